"""MONAI Label's app ``monaibundle``, which here also keeps what D says of an image, and offers the least confident.

``serve.py`` puts this file in the place of the stock app's ``main.py``, which becomes ``monaibundle.py`` beside it.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import dam_components.torchvision_operators  # noqa: F401  before MONAI Label imports torchvision

# isort: split
from fastapi import HTTPException
from lib.least_confident import LeastConfident
from lib.uploads import UPLOADS
from monaibundle import MyApp
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy

from dam_components.errors import plain_message

logger = logging.getLogger(__name__)

INFO = "confidence"  # entry of an image's information, and the tag of its confidence map among its labels
NOT_A_REPORT = {"label_names", "latencies", "centroids"}
WEIGHTS_OF_D = "model_confidence.pt"


class ConfidenceApp(MyApp, MONAILabelApp):  # MONAI Label takes the class that names MONAILabelApp itself as a base
    """Serves bundles whose ``result`` has a ``case_confidence``, and may have the path of a ``confidence_map``.

    What the result says is kept in the image's information; the map is kept as a label with the tag ``confidence``,
    so that clients on other machines can fetch it. Settings (``--conf``): those of ``monaibundle``, and
    ``judge_seconds``, how long a request for the next sample may judge images, 60 by default.

    What is wrong with a request or an image comes back to the client as one line, under ``detail``.
    """

    def init_infers(self) -> dict[str, InferTask]:
        infers = super().init_infers()
        for name in self.models:  # MONAI Label takes every file of weights for one of S
            offered = infers[name]._config["model_filename"]
            offered[:] = [file for file in offered if file != WEIGHTS_OF_D]
        return infers

    def init_strategies(self) -> dict[str, Strategy]:
        strategies = super().init_strategies()
        if self.models:
            seconds = float(self.conf.get("judge_seconds", 60))
            model = next(iter(self.models))
            strategies["confidence"] = LeastConfident(self.judge, self.known, self.is_current, model, seconds)
        return strategies

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        images, image, model = datastore or self.datastore(), request["image"], request["model"]
        chosen = request.get("model_filename") or None
        chosen = chosen if chosen is None or isinstance(chosen, str) else chosen[0]
        if chosen is not None and model in self._infers:
            offered = self._infers[model]._config["model_filename"]
            if chosen not in offered:
                raise HTTPException(422, f"model_filename must be one of {', '.join(offered)}, got {chosen}")
        try:
            result = super().infer(request, datastore)
        except Exception as error:
            if isinstance(image, str) and not os.path.exists(image) and image not in images.list_images():
                raise HTTPException(404, f"no image {image} among the studies: GET /datastore/ lists them") from error
            message = plain_message(error)
            if message is None:
                raise
            raise HTTPException(422, message) from error
        judged = chosen in (None, os.path.basename(self._infers[model].get_path()))
        self.keep(image, model, result["params"], images, judged)
        return result

    def batch_infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """As MONAI Label's, but an image that fails is listed at the end, and the others are done."""
        failed = {}

        def infer(one: Mapping[str, Any], images: Datastore) -> dict[str, Any]:
            try:
                return self.infer(one, images)
            except HTTPException as error:
                logger.warning("%s: %s", one["image"], error.detail)
                failed[one["image"]] = error.detail
                return {"file": None}

        result = self._batch_infer(request, datastore or self.datastore(), infer)
        if failed:
            listed = "\n".join(f"  {image}: {why}" for image, why in failed.items())
            raise ValueError(f"{len(failed)} of {len(result)} images failed, the others are done:\n{listed}")
        return result

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if not self.datastore().get_labeled_images():
            raise ValueError("no image of the studies has a final label to learn from: submit one first")
        return super().train(request)

    def keep(self, image: Any, model: str, params: dict[str, Any], datastore: Datastore, judged: bool = True) -> None:
        """Keeps what was said of an image of the studies. Of an uploaded one the map is kept for a while, and no more.

        ``params["confidence_map"]`` becomes the address at which a client fetches the map.
        """
        written = str(params.get("confidence_map", ""))
        among_studies = isinstance(image, str) and image in datastore.list_images()
        if among_studies and judged and "case_confidence" in params:
            report = {name: value for name, value in params.items() if name not in NOT_A_REPORT}
            report["weights"] = self.weights(model)
            report.pop("confidence_map", None)
            if os.path.isfile(written):
                datastore.save_label(image, written, INFO, {"model": model})
                report["confidence_map"] = f"/datastore/label?label={quote(image)}&tag={INFO}"
                params["confidence_map"] = report["confidence_map"]
            info = datastore.get_image_info(image).get(INFO, {})
            datastore.update_image_info(image, {INFO: {**info, model: report}})
        elif os.path.isfile(written):
            params["confidence_map"] = f"/uploads/{UPLOADS.keep(written)}"
        if os.path.dirname(written):  # the case's folder: what a client may see of it is kept elsewhere now
            shutil.rmtree(os.path.dirname(written), ignore_errors=True)

    def judge(self, image: str, model: str) -> dict[str, Any]:
        """Infers an image and returns its report."""
        result = self.infer({"model": model, "image": image})
        if result["file"] and os.path.isfile(result["file"]):
            os.unlink(result["file"])  # the segmentation, in a temporary file that nobody asked for
        return result["params"]

    def known(self, info: Mapping[str, Any], model: str) -> Mapping[str, Any] | None:
        """What is kept of an image, from its information."""
        return info.get(INFO, {}).get(model)

    def is_current(self, report: Mapping[str, Any], model: str) -> bool:
        """Whether the model's weights are still those that a report was made with."""
        return report.get("weights") == self.weights(model)

    def weights(self, model: str) -> float:
        """When the model's weights were written."""
        return os.stat(self._infers[model].get_path()).st_mtime
