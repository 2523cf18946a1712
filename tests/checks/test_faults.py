"""Every row of docs/what_is_checked.md."""

from pathlib import Path

import pytest

from dam_components.errors import plain_message
from tests.checks.table import all_faults, page

PAGE = Path(__file__).parents[2] / "docs" / "what_is_checked.md"
FAULTS = all_faults()
PACKAGES = [Path(__file__).parents[2] / name for name in ("dam_components", "dam_study")]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.place}: {fault.kind}" for fault in FAULTS])
def test_fault(fault, tmp_path):
    if not fault.refused:
        fault.run(tmp_path)
        return
    with pytest.raises((Exception, SystemExit)) as caught:
        fault.run(tmp_path)
    message = str(caught.value) if caught.type is SystemExit else plain_message(caught.value, PACKAGES)
    assert message is not None, f"not an error of this package: {caught.value!r}"
    assert fault.happens in message
    assert "\n" not in message


def test_kinds_differ():
    kinds = [(fault.place, fault.kind) for fault in FAULTS]
    assert len(set(kinds)) == len(kinds)


def test_the_page_is_the_table():
    """Print it again with: python -m tests.checks.table > docs/what_is_checked.md"""
    assert PAGE.read_text(encoding="utf-8") == page()
