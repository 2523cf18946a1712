"""S, D and the paper's strongest baseline."""

from dam_components.networks.averaging import FlipAverage, MeanEnsemble, load_averaged, log_mean_softmax
from dam_components.networks.confidence_net import ConfidenceNet
from dam_components.networks.cross_fitted import CrossFitted, load_cross_fitted
from dam_components.networks.ds_res_unet import DSResUNet
from dam_components.networks.enhanced_unet import EnhancedUNet
from dam_components.networks.identity import identify, identity_in, keep_options, parameters_digest, put_identity
from dam_components.networks.local_calibration import LocalCalibrationNet
from dam_components.networks.padded import PaddedNetwork
from dam_components.networks.rising_confidence import RisingConfidence, put_curve
from dam_components.networks.stored_probabilities import StoredProbabilities
from dam_components.networks.weights import file_digests, load_weights, read_weights
from dam_components.networks.with_confidence import SegmentationWithConfidence

__all__ = [
    "ConfidenceNet",
    "CrossFitted",
    "DSResUNet",
    "EnhancedUNet",
    "FlipAverage",
    "LocalCalibrationNet",
    "MeanEnsemble",
    "PaddedNetwork",
    "RisingConfidence",
    "SegmentationWithConfidence",
    "StoredProbabilities",
    "file_digests",
    "identify",
    "identity_in",
    "keep_options",
    "load_averaged",
    "load_cross_fitted",
    "load_weights",
    "log_mean_softmax",
    "parameters_digest",
    "put_curve",
    "put_identity",
    "read_weights",
]
