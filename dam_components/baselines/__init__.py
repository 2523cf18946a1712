"""The paper's two baselines that are no CNN; they need the extra ``experiments``."""

from dam_components.baselines.atlases import Atlases, thumbnail
from dam_components.baselines.fusion import fuse_labels
from dam_components.baselines.malf import MultiAtlasFusion
from dam_components.baselines.patch_matching import match_patches
from dam_components.baselines.patches import take_patches
from dam_components.baselines.registration import Registration
from dam_components.baselines.sparse_autoencoder import StackedSparseAutoencoder, sparsity_penalty
from dam_components.baselines.ssae import SparsePatchMatching

__all__ = [
    "Atlases",
    "MultiAtlasFusion",
    "Registration",
    "SparsePatchMatching",
    "StackedSparseAutoencoder",
    "fuse_labels",
    "match_patches",
    "sparsity_penalty",
    "take_patches",
    "thumbnail",
]
