"""Which S, D and calibration a case's numbers come from, and what about them a reader must know."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.metrics import DiceCalibration
from dam_components.networks import file_digests, identity_in, parameters_digest, read_weights

__all__ = ["describe_networks", "fitting_calibration"]

logger = logging.getLogger(__name__)


def describe_networks(weights: Sequence[str | Sequence[str]]) -> tuple[dict[str, Any], list[str]]:
    """The networks behind a report, and remarks on them.

    Args:
        weights: the file or files of S's weights, and the file of D's.

    Returns:
        Digests of the parameters, ``{"S": [...], "D": ...}``; a remark where D was trained for another S.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dam_components.networks.read_weights`.
    """
    segmenter, confidence = weights
    state = read_weights(str(confidence))
    networks = {"S": file_digests(segmenter), "D": parameters_digest(state)}
    made_for = (identity_in(state) or {}).get("made_for")
    if made_for is None or sorted(made_for) == sorted(networks["S"]):
        return networks, []
    return networks, [f"D ({networks['D']}) was trained for another S ({', '.join(made_for)})"]


def fitting_calibration(
    path: Path, label_names: Mapping[int, str], networks: Mapping[str, Any] | None = None
) -> tuple[DiceCalibration | None, list[str]]:
    """The calibration in a file if it belongs to these networks and classes, and remarks where it is not used.

    Args:
        path: the file; need not exist.
        label_names: name of each foreground class.
        networks: as :func:`describe_networks` gives them; ``None``: unknown.

    Raises:
        ValueError: it is no calibration, or one for another number of classes that does not say of which networks.
    """
    if not path.exists():
        return None, _remarked(f"there is no calibration {path}: predicted Dice is raw and has no interval")
    calibration = DiceCalibration.load(path)
    remedy = "predicted Dice is raw and has no interval until you run calibrate for these"
    if networks is not None and calibration.networks:
        here = (*networks["S"], networks["D"])
        if sorted(calibration.networks) != sorted(here):
            there = ", ".join(calibration.networks)
            return None, _remarked(f"{path} is of the weights {there}, not of {', '.join(here)}: {remedy}")
    names = {str(index): name for index, name in label_names.items()}
    if calibration.label_names and calibration.label_names != names:
        there = ", ".join(calibration.label_names.values())
        return None, _remarked(f"{path} is of the classes {there}, not of {', '.join(names.values())}: {remedy}")
    if networks is not None and not calibration.networks:
        logger.warning("%s does not say of which weights it is; it is used as if it were of these", path)
    return DiceCalibration.load(path, len(label_names)), []


def _remarked(text: str) -> list[str]:
    logger.warning(text)
    return [text]
