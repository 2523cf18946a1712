"""Parts for 3D medical image segmentation with difficulty-aware attention and confidence learning."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("dam-components")  # setup.cfg has it
except PackageNotFoundError:
    __version__ = "unknown"  # the package lies on the path and is not installed
