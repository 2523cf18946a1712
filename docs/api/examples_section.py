"""For the API pages: a docstring's ``Example:`` is shown as code, as ``Examples:`` is by default."""

import re
from typing import Any

import griffe


class ExamplesSection(griffe.Extension):
    """Renames the section before docstrings are read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for each object."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
