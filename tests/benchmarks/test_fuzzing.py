"""The fuzzing command: what it counts as accepted, harmed, foreign or greedy, and a few inputs by every reader."""

import gc
import random
import sys

import numpy as np
import pytest

from benchmarks import damage, fuzzing
from benchmarks.forked import Ended, forked, started

GOOD = {"c0 image": np.arange(3.0), "c1 image": np.ones(2)}
REFUSED = Ended(1, "error: c1.nii.gz cannot be read: it is damaged; fetch it again\n", 0.0)


@pytest.mark.parametrize(
    ("ended", "seen", "found"),
    [
        (Ended(0, "", 0.0), GOOD, "harmless"),
        (Ended(0, "", 0.0), {**GOOD, "c1 image": np.zeros(2)}, "ACCEPTED"),
        (Ended(0, "", 0.0), {"c0 image": GOOD["c0 image"]}, "ACCEPTED"),  # a case is lost without a word
        (REFUSED, {"c0 image": GOOD["c0 image"]}, "refused"),
        (REFUSED, {}, "HARMED"),
        (REFUSED, {**GOOD, "c0 image": np.zeros(3)}, "HARMED"),
        (Ended(1, "error: bad (KeyError); all of it is in /tmp/x.log\n", 0.0), GOOD, "FOREIGN"),
        (Ended(1, "", 0.0), GOOD, "FOREIGN"),
        (Ended(1, "Traceback (most recent call last):\n", 0.0), GOOD, "TRACEBACK"),
        (Ended(-11, "", 0.0), GOOD, "TRACEBACK"),
    ],
)
def test_outcomes(ended, seen, found):
    assert fuzzing.outcome(ended, seen, GOOD, rest=("c0",)) == found


def test_a_fork_tells_its_end_its_words_and_its_memory(tmp_path):
    def work():
        print("working")
        gc.collect()
        np.ones(40_000_000).sum()  # 320 MB
        raise SystemExit("error: no")

    garbage = [np.ones(50_000_000)]  # of this process: the fork's peak isn't lower for freeing it
    garbage.append(garbage)
    del garbage
    ended = forked(work, tmp_path / "log")
    assert (ended.status, ended.told.split()) == (1, ["working", "error:", "no"])
    assert 300 < ended.grown_mb < 400
    assert forked(lambda: None, tmp_path / "log").status == 0
    assert forked(lambda: 1 / 0, tmp_path / "log").has_traceback
    assert started(["platform"], tmp_path / "log").told.startswith(sys.platform.capitalize())


def test_every_damage_changes_its_file_and_a_seed_repeats_it(tmp_path):
    damage.make_data(tmp_path / "data")
    for name, kinds in damage.DAMAGES.items():
        if not name.startswith("data/"):
            continue
        file = tmp_path / name
        whole = file.read_bytes()
        for kind in {*kinds}:
            seen = []
            for _ in range(2):
                assert kind(file, random.Random(1))
                seen.append(file.read_bytes())
                file.write_bytes(whole)
            assert seen[0] != whole
            assert len(seen[0]) == len(seen[1])  # gzip writes the time


@pytest.mark.parametrize(("found", "status"), [("refused", None), ("ACCEPTED", 1)])
def test_the_command_counts_and_ends_with_status_1_where_damage_is_accepted(capsys, monkeypatch, found, status):
    def prepare(fuzzer):
        for name in damage.DAMAGES:
            (fuzzer.root / name).parent.mkdir(parents=True, exist_ok=True)
            (fuzzer.root / name).write_text("{" * 99)
        fuzzer.good = {name: {} for name in fuzzing.WAYS}
        fuzzer.good_mb = dict.fromkeys(fuzzing.WAYS, 10.0)

    nothing = dict.fromkeys(damage.DAMAGES, (damage.cut,))
    monkeypatch.setattr(fuzzing, "DAMAGES", nothing)
    monkeypatch.setattr(fuzzing.Fuzzer, "prepare", prepare)
    monkeypatch.setattr(fuzzing.Fuzzer, "run", lambda fuzzer, name, fresh=False: (REFUSED, {}))
    monkeypatch.setattr(fuzzing, "outcome", lambda *_: found)
    if status:
        with pytest.raises(SystemExit):
            fuzzing.run(count=8, seed=3)
    else:
        fuzzing.run(count=8, seed=3)
    printed = capsys.readouterr().out
    assert f"8 damaged inputs, seed 3: {'0' if not status else ''}" in printed
    assert ("| imagesTr/c1: cut | new_bundle | 1 | 0" in printed) == (not status)


def test_the_readers_refuse_a_damaged_image_and_spare_the_others(tmp_path):
    fuzzer = fuzzing.Fuzzer(tmp_path)
    damage.make_data(tmp_path / "data")
    fuzzing.preload(["itk"])
    ways = [name for name, way in fuzzing.WAYS.items() if way.words is None]
    fuzzer.good = {name: fuzzer.run(name)[1] for name in ways}
    assert all(len(seen) == 6 * (1 + ("train" in name)) for name, seen in fuzzer.good.items())
    damage.cut(tmp_path / "data/imagesTr/c1.nii.gz", random.Random(0))
    for name in ways:
        fuzzer.judge(0, "cut", "data/imagesTr/c1.nii.gz", [name], fresh=False)
    assert {key[2] for key in fuzzer.table} == {"refused"}
    assert not fuzzer.bad
