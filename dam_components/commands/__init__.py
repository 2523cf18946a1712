"""Commands of ``python -m dam_components``, each a function in a file of its own; ``cli.py`` lists them."""

from dam_components.commands.active_learning import active_learning
from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.commands.calibrate import calibrate
from dam_components.commands.compare import compare
from dam_components.commands.demo import demo
from dam_components.commands.experiment import experiment
from dam_components.commands.new_bundle import new_bundle
from dam_components.commands.report import report
from dam_components.commands.synthesize import synthesize

__all__ = [
    "active_learning",
    "bundle_folder",
    "calibrate",
    "compare",
    "demo",
    "experiment",
    "new_bundle",
    "report",
    "run_bundle",
    "synthesize",
]
