"""The paper's two baselines that are no CNN; they need the extra ``study``."""

from dam_study.baselines.atlases import Atlases, thumbnail
from dam_study.baselines.fusion import fuse_labels
from dam_study.baselines.malf import MultiAtlasFusion
from dam_study.baselines.patch_matching import match_patches
from dam_study.baselines.patches import take_patches
from dam_study.baselines.registration import Registration
from dam_study.baselines.sparse_autoencoder import StackedSparseAutoencoder, sparsity_penalty
from dam_study.baselines.ssae import SparsePatchMatching

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
