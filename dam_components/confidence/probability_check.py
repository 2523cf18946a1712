"""All stored probabilities of a dataset, read once before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping

from monai.transforms import Compose, EnsureChannelFirstd
from tqdm import tqdm

from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.probability_cases import FoldFile
from dam_components.transforms import LoadCased, LoadProbabilitiesd

__all__ = ["check_stored"]


def check_stored(dataset: SourceDataset, probabilities: Mapping[str, FoldFile], order: str | None = None) -> None:
    """Reads every case's probabilities beside its label, so that whatever is wrong is told before anything is trained.

    Args:
        dataset: with the names of its labels.
        probabilities: by case.
        order: of the files' axes.

    Raises:
        ValueError: as :func:`~dam_components.data.read_probabilities`, or if axes look swapped beside the label.
    """
    load = LoadProbabilitiesd("probabilities", 1 + len(dataset.label_names or {}), order, "label", "label")
    read = Compose([LoadCased("label"), EnsureChannelFirstd("label")])
    for case in tqdm(dataset.cases, desc="check probabilities", unit="case"):
        load({**read({"label": str(case.label)}), "probabilities": str(probabilities[case.name].file)})
