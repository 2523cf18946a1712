"""The paper's second baseline: features of a stacked sparse auto-encoder, then sparse patch matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_dst_type
from scipy.ndimage import binary_dilation
from torch import nn
from tqdm import tqdm

from dam_study.baselines.atlases import Atlases
from dam_study.baselines.patch_matching import check_matching, match_patches
from dam_study.baselines.patches import box_offsets, check_patch_size, take_patches
from dam_study.baselines.registration import Registration
from dam_study.baselines.simple_itk import simple_itk
from dam_study.baselines.sparse_autoencoder import StackedSparseAutoencoder

__all__ = ["SparsePatchMatching"]

AT_ONCE = 256  # voxels whose candidates are in memory together
ENCODED = 4096  # patches that are encoded together


class SparsePatchMatching(nn.Module):
    """Segments an image by patches of linearly aligned training cases, compared in the features of an SSAE.

    Guo, Gao and Shen, IEEE TMI 2016: the auto-encoder learns from patches of the training cases, layer by layer and
    then by their labels; the atlases are aligned linearly; the patch of a voxel is represented by few atlas patches
    near it, whose labels give the likelihood. Left out is the paper's last step, a deformable model with a sparse
    shape prior, which needs shapes in correspondence; the likelihood's argmax is the segmentation. The atlases' labels,
    dilated by ``margin``, bound where is looked at all; elsewhere is background.

    The auto-encoder is fitted when the first image comes.

    Shapes: images ``(B, K, ...)`` to likelihoods ``(B, C, ...)``.

    Args:
        cases: see :class:`~dam_study.baselines.Atlases`.
        preprocessing: see :class:`~dam_study.baselines.Atlases`.
        spacing_mm: see :class:`~dam_study.baselines.Atlases`.
        num_classes: C, with the background.
        atlases: how many, see :class:`~dam_study.baselines.Atlases`.
        patch_size: in voxels, odd.
        hidden: units of the auto-encoder's layers.
        sparsity: see :class:`~dam_study.baselines.StackedSparseAutoencoder`.
        sparsity_weight: likewise.
        epochs: of each layer.
        refine_epochs: with labels; 0 leaves the features as they were learned without.
        patches_per_case: half of organs, half of what is near them.
        search: how many voxels an atlas patch may be away, along each axis.
        margin: see above, in voxels.
        matching: see :func:`~dam_study.baselines.match_patches`.
        neighbours: likewise.
        penalty: likewise.
        registration: its affine part is used.
        seed: of patches, weights and batches.

    Raises:
        ImportError: without SimpleITK.
        ValueError: for an option out of range; in ``forward``, if no training case has an organ.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[Any], Any],
        spacing_mm: Sequence[float],
        num_classes: int,
        atlases: int | None = 10,
        patch_size: Sequence[int] = (11, 11, 5),
        hidden: Sequence[int] = (800, 400, 200, 100),
        sparsity: float = 0.1,
        sparsity_weight: float = 0.1,
        epochs: int = 20,
        refine_epochs: int = 20,
        patches_per_case: int = 200,
        search: int = 1,
        margin: int = 2,
        matching: str = "lasso",
        neighbours: int = 16,
        penalty: float = 0.05,
        registration: Registration | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        simple_itk()
        check_patch_size(patch_size)
        check_matching(matching, neighbours, penalty)
        least = {"epochs": (epochs, 1), "refine_epochs": (refine_epochs, 0), "patches_per_case": (patches_per_case, 2)}
        for name, (value, low) in {**least, "search": (search, 0), "margin": (margin, 0)}.items():
            if value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}")
        self.atlases = Atlases(cases, preprocessing, spacing_mm, atlases)
        self.num_classes = num_classes
        self.patch_size = tuple(patch_size)
        self.sae: dict[str, Any] = {
            "hidden": hidden,
            "sparsity": sparsity,
            "sparsity_weight": sparsity_weight,
            "seed": seed,
        }
        self.epochs, self.refine_epochs, self.patches_per_case = epochs, refine_epochs, patches_per_case
        self.search, self.margin, self.seed = search, margin, seed
        self.matching: dict[str, Any] = {"matching": matching, "neighbours": neighbours, "penalty": penalty}
        self.registration = replace(registration or Registration(), deformable="none")
        self.encoder: StackedSparseAutoencoder | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the likelihood of each class, ``(B, C, ...)``."""
        with torch.autocast(x.device.type, enabled=False):
            images = x.as_subclass(torch.Tensor).detach().float()
            if self.encoder is None:
                self.encoder = self.fit(x.device)
            found = torch.stack([self.likelihood(image, self.encoder) for image in images])
        return convert_to_dst_type(found, x)[0]  # a MetaTensor too, which can be inverted

    def fit(self, device: torch.device) -> StackedSparseAutoencoder:
        """The auto-encoder, trained on patches of all training cases."""
        draw = np.random.default_rng(self.seed)
        patches, classes = [], []
        for index in tqdm(range(len(self.atlases)), desc="take patches", leave=False):
            image, label = self.atlases.read(index)
            near = binary_dilation(label > 0, iterations=max(self.margin, 1))
            for where in (label > 0, near & (label == 0)):
                places = np.argwhere(where)
                if len(places):
                    drawn = draw.choice(len(places), min(self.patches_per_case // 2, len(places)), replace=False)
                    centres = torch.from_numpy(places[np.sort(drawn)])
                    patches.append(take_patches(torch.from_numpy(image), centres, self.patch_size))
                    classes.append(torch.from_numpy(label[tuple(centres.numpy().T)]).long())
        if not patches:
            raise ValueError("no training case has a voxel of any organ: check the labels")
        table, told = torch.cat(patches).to(device), torch.cat(classes).to(device)
        encoder = StackedSparseAutoencoder(table.shape[1], num_classes=self.num_classes, **self.sae).to(device)
        encoder.pretrain(table, self.epochs)
        if self.refine_epochs:
            encoder.refine(table, told, self.refine_epochs)
        return encoder.eval()

    @torch.no_grad()
    def likelihood(self, image: torch.Tensor, encoder: StackedSparseAutoencoder) -> torch.Tensor:
        """Of each class, ``(C, ...)``, for an image ``(K, ...)``."""
        aligned = list(self.atlases.onto(image.cpu().numpy(), self.registration))
        images = [torch.from_numpy(np.ascontiguousarray(other)).to(image.device) for other, _ in aligned]
        labels = torch.from_numpy(np.stack([label for _, label in aligned])).to(image.device).flatten(1)
        shape = torch.tensor(image.shape[1:])
        where = (labels > 0).any(0).cpu().reshape(image.shape[1:]).numpy()
        if self.margin:  # 0 would repeat until nothing changes
            where = binary_dilation(where, iterations=self.margin)
        result = torch.zeros(self.num_classes, *image.shape[1:], device=image.device)
        result[0] = 1
        places = torch.from_numpy(np.argwhere(where))
        strides = torch.tensor([int(shape[axis + 1 :].prod()) for axis in range(len(shape))])
        offsets = box_offsets([self.search] * len(shape))
        for block in tqdm(places.split(ENCODED), desc="match patches", leave=False):
            around = (block[:, None] + offsets).clamp(torch.zeros_like(shape), shape - 1)
            needed, rows = (around * strides).sum(-1).unique(return_inverse=True)
            spots = torch.stack(torch.unravel_index(needed, tuple(shape.tolist())), 1)
            known = torch.stack([self._features(encoder, other, spots) for other in images])
            names = labels[:, needed.to(labels.device)]
            for part, near in zip(block.split(AT_ONCE), rows.split(AT_ONCE), strict=True):
                near = near.to(image.device)
                candidates = known[:, near].movedim(0, 1).flatten(1, 2)
                told = names[:, near].movedim(0, 1).flatten(1)
                own = self._features(encoder, image, part)
                found = match_patches(own, candidates, told, self.num_classes, **self.matching)
                result[(slice(None), *part.T.to(image.device))] = found.T
        return result

    def _features(self, encoder: StackedSparseAutoencoder, image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        parts = places.split(ENCODED)
        return torch.cat([encoder(take_patches(image, part, self.patch_size)) for part in parts])
