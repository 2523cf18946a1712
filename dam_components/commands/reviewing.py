"""The ``review`` command: a page in the browser to look through the cases that inference segmented."""

from __future__ import annotations

from pathlib import Path

__all__ = ["review"]


def review(results: str, port: int = 0, images: str | None = None) -> None:
    """Shows the cases that inference segmented in the browser: what needs eyes first, doubt, and your verdict.

    Prints an address to open. Only this machine is served. Verdicts go to review.csv in the folder, at once.

    Args:
        results: the folder that inference wrote (its output_dir), or a model's folder that train left: its test cases.
        port: of the server; by default a free one.
        images: the images' folder, if they no longer lie where inference read them.

    Raises:
        FileNotFoundError: the folder holds no results.
        ImportError: the extra review is not installed.
        ValueError: the port cannot be used.
    """
    if not isinstance(port, int) or not 0 <= port < 65536:
        raise ValueError(f"port must be a number from 0 to 65535, got {port!r}")
    try:
        from dam_components.review.server import serve
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'dam-components[review]'") from error
    serve(Path(str(results)), port, None if images is None else Path(str(images)))
