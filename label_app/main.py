"""MONAI Label's app ``monaibundle``, which here also keeps what D says of an image, and offers the least confident.

``serve.py`` puts this file in the place of the stock app's ``main.py``, which becomes ``monaibundle.py`` beside it.
"""

import os
from collections.abc import Mapping
from typing import Any

from lib.least_confident import LeastConfident
from monaibundle import MyApp
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

INFO = "confidence"  # entry of an image's information, and the tag of its confidence map among its labels
NOT_A_REPORT = {"label_names", "latencies", "centroids"}


class ConfidenceApp(MyApp, MONAILabelApp):  # MONAI Label takes the class that names MONAILabelApp itself as a base
    """Serves bundles whose ``result`` has a ``predicted_mean_dice``, and may have the path of a ``confidence_map``.

    What the result says is kept in the image's information; the map is kept as a label with the tag ``confidence``,
    so that clients on other machines can fetch it. Settings (``--conf``): those of ``monaibundle``, and
    ``judge_seconds``, how long a request for the next sample may judge images, 60 by default.
    """

    def init_strategies(self) -> dict[str, Strategy]:
        strategies = super().init_strategies()
        if self.models:
            seconds = float(self.conf.get("judge_seconds", 60))
            model = next(iter(self.models))
            strategies["confidence"] = LeastConfident(self.judge, self.known, self.is_current, model, seconds)
        return strategies

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        result = super().infer(request, datastore)
        self.keep(request["image"], request["model"], result["params"], datastore or self.datastore())
        return result

    def keep(self, image: Any, model: str, params: Mapping[str, Any], datastore: Datastore) -> None:
        """Keeps what was said of an image of the datastore."""
        if "predicted_mean_dice" not in params or image not in datastore.list_images():
            return
        report = {name: value for name, value in params.items() if name not in NOT_A_REPORT}
        report["weights"] = self.weights(model)
        if os.path.isfile(report.get("confidence_map", "")):
            datastore.save_label(image, report["confidence_map"], INFO, {"model": model})
        info = datastore.get_image_info(image).get(INFO, {})
        datastore.update_image_info(image, {INFO: {**info, model: report}})

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
