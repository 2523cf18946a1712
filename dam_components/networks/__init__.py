"""S, D and the paper's strongest baseline."""

from dam_components.networks.confidence_net import ConfidenceNet
from dam_components.networks.ds_res_unet import DSResUNet
from dam_components.networks.enhanced_unet import EnhancedUNet
from dam_components.networks.weights import load_weights

__all__ = ["ConfidenceNet", "DSResUNet", "EnhancedUNet", "load_weights"]
