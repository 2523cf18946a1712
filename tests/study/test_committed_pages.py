"""A page in docs/results is what its command makes of the committed cells."""

from pathlib import Path

import pytest

from dam_study.commands.results import report

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the results are not there")
@pytest.mark.parametrize(
    ("folder", "data", "reference"),
    [("longer", "hippocampus", "default_flips"), ("literal", "hippocampus", "paper"), ("brain", "ibsr18", "unet")],
)
def test_the_tables_and_the_page_are_rebuilt_byte_for_byte(tmp_path, folder, data, reference):
    report(str(RESULTS / folder / "runs"), str(tmp_path), reference=reference)
    rebuilt = {file.name: file for file in (tmp_path / data).iterdir()}
    committed = {file.name: file for file in (RESULTS / folder / data).iterdir()}
    assert rebuilt.keys() == committed.keys()
    for name, file in committed.items():
        if file.suffix != ".png":  # these follow matplotlib's version
            assert rebuilt[name].read_bytes() == file.read_bytes(), name
