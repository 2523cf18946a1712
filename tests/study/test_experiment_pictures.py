"""The report's pictures, and that all its files are the same when built again."""

import random
import shutil
from pathlib import Path


def test_the_same_bytes_again_in_any_order_of_the_disk(two_seeds, monkeypatch, write_images, make_report, tmp_path):
    for folder in sorted(two_seeds.glob("*/*/fold*")):
        write_images(folder, ["a"] if "fold0" in folder.name else ["b"])
    first = {p.name: p.read_bytes() for p in make_report(pictures=True).iterdir()}
    glob = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: random.Random(1).sample(f := list(glob(self, pattern)), len(f))
    )
    shutil.rmtree(tmp_path / "results")
    again = {p.name: p.read_bytes() for p in make_report(pictures=True).iterdir()}
    assert first == again
    assert {"figure2.png", "figure3.png", "figure5.png", "figure4_unet.png", "curves.png"} <= set(first)
    assert all(len(content) < 300_000 for content in first.values())
    page = first["report.md"].decode()
    assert all(f"]({name})" in page for name in first if name.endswith(".png"))


def test_images_of_promise12_are_shown_on_demand_only(write_cell, whole, make_report):
    for system in ("unet", "enunet_hybrid"):
        write_cell(system, whole({"a": 0.5}), data="promise12", images=True)
    folder = make_report(pictures=True, task="promise12")
    assert {p.name for p in folder.glob("*.png")} == {"figure3.png", "curves.png"}
    assert "(Figures 2, 4 and 5) are left out" in (folder / "report.md").read_text()
    make_report(pictures=True, task="promise12", pictures_of_images=True)
    assert (folder / "figure2.png").is_file()
    assert (folder / "figure4_unet.png").is_file()


def test_a_system_that_is_no_network_has_its_row(write_cell, whole, make_report):
    folder = write_cell("malf", whole({"a": 0.7}))
    (folder / "curves.csv").unlink()
    write_cell("enunet_hybrid", whole({"a": 0.8}))
    results = make_report(pictures=True)
    page = (results / "report.md").read_text()
    assert "| malf | 1 | 0 | 0 | 1 |  | 0.50 |" in page  # no epochs
    assert "70.00 (-)" in page
    assert (results / "curves.png").is_file()
