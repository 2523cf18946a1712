"""One version: that of setup.cfg, by way of what is installed."""

from importlib.metadata import version

import dam_components
import dam_study


def test_the_packages_have_the_version_of_the_distribution():
    assert dam_components.__version__ == dam_study.__version__ == version("dam-components")
