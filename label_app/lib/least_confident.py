"""The active-learning strategy: of the images without a label, the one that a person should look at first."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from dam_components.metrics import least_confident_first

logger = logging.getLogger(__name__)


class LeastConfident(Strategy):
    """Least confident unlabelled image first, by its report's ``case_confidence``: images for review come first.

    Images that the present weights have not judged are judged now, those that none has judged first, for as long as
    ``seconds`` allow; what older weights said counts for the rest, and what nobody has judged waits.

    Args:
        judge: infers (image's id, model's name) and returns the report.
        known: the report of (image's information in the datastore, model's name), or ``None``.
        is_current: whether a report comes from the present weights of a model.
        model: the model that decides, unless a request names another.
        seconds: how long a request may judge; at least one image is judged where none is known.
    """

    def __init__(
        self,
        judge: Callable[[str, str], Mapping[str, Any]],
        known: Callable[[Mapping[str, Any], str], Mapping[str, Any] | None],
        is_current: Callable[[Mapping[str, Any], str], bool],
        model: str,
        seconds: float = 60,
    ) -> None:
        super().__init__("Least confident unlabelled image first")
        self.judge = judge
        self.known = known
        self.is_current = is_current
        self.model = model
        self.seconds = seconds

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not images:
            return None
        model = request.get("model") or self.model
        reports = {image: self.known(datastore.get_image_info(image), model) for image in images}
        reports = {image: report for image, report in reports.items() if report and "case_confidence" in report}
        waiting = [image for image in images if image not in reports]
        waiting += [image for image in images if image in reports and not self.is_current(reports[image], model)]
        deadline = time.monotonic() + self.seconds
        for image in waiting:
            if reports and time.monotonic() > deadline:
                break
            try:
                reports[image] = self.judge(image, model)
            except HTTPException as error:  # one unreadable image must not stop the others
                logger.warning("%s: %s", image, error.detail)
            except Exception:
                logger.exception("%s cannot be judged by %s", image, model)
        if not reports:
            raise HTTPException(
                422, f"{model} could judge none of the {len(images)} unlabelled images; the server's log says why"
            )
        image = least_confident_first(reports)[0]
        counts = {"judged": len(reports), "unlabelled": len(images)}
        numbers = {name: reports[image][name] for name in ("case_confidence", "predicted_mean_dice")}
        return {"id": image, **numbers, **counts}
