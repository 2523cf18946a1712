"""Commands of ``python -m dam_components``, each a function in a file of its own; ``cli.py`` lists them."""

from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.commands.calibrate import calibrate
from dam_components.commands.demo import demo
from dam_components.commands.synthesize import synthesize

__all__ = ["bundle_folder", "calibrate", "demo", "run_bundle", "synthesize"]
