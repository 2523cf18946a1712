"""Where the bundle lies, from any working directory."""

from __future__ import annotations

import inspect
from pathlib import Path

__all__ = ["find_bundle_root"]


def find_bundle_root() -> str:
    """The bundle folder whose configuration is being evaluated, for ``"bundle_root": "$...find_bundle_root()"``.

    MONAI knows the configuration's path and does not tell it to the configuration. This asks the workflow that
    evaluates it, further up the call stack. Where there is none (a ``ConfigParser`` by hand), it is the working
    directory, MONAI's own convention; ``bundle_root`` can always be overridden.
    """
    frame = inspect.currentframe()
    while frame is not None:
        # statically: ConfigParser, which lies on the way, takes any attribute for an entry of the configuration
        configs = inspect.getattr_static(frame.f_locals.get("self"), "config_root_path", None)
        if configs is not None:
            folder = Path(configs).resolve()
            while folder.name != "configs" and folder != folder.parent:
                folder = folder.parent
            return str(folder.parent if folder.name == "configs" else Path(configs).resolve())
        frame = frame.f_back
    return "."
