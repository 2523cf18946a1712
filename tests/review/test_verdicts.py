import csv
import multiprocessing
import time

import pytest

from dam_components.review.verdicts import COLUMNS, OtherVerdict, Verdicts


@pytest.fixture
def verdicts(tmp_path):
    return Verdicts(tmp_path / "review.csv")


@pytest.mark.parametrize(
    "note", ["", "plain", 'a "quoted", part', "two\nlines\r\nthree", "=1+1", "ä 測 🧠", " spaces "]
)
def test_a_note_is_read_as_it_was_written(verdicts, note):
    row = verdicts.save("a, b", "accept", note, 0, "digest")
    assert Verdicts(verdicts.file).read() == {"a, b": row}
    assert row["note"] == note
    assert row["revision"] == "1"
    assert row["result"] == "digest"


def test_a_change_replaces_the_row_and_nothing_else(verdicts):
    verdicts.save("a", "accept", "", 0, "x")
    verdicts.save("b", "needs correction", "left end", 0, "x")
    verdicts.save("a", "", "again", 1, "y")
    rows = verdicts.read()
    assert [(row["case"], row["verdict"], row["note"], row["revision"]) for row in rows.values()] == [
        ("a", "", "again", "2"),
        ("b", "needs correction", "left end", "1"),
    ]


def test_what_was_not_seen_is_not_replaced(verdicts):
    verdicts.save("a", "accept", "first tab", 0, "x")
    with pytest.raises(OtherVerdict) as raised:
        verdicts.save("a", "needs correction", "second tab", 0, "x")
    assert raised.value.row["note"] == "first tab"
    assert verdicts.read()["a"]["note"] == "first tab"


def test_columns_of_others_are_kept(verdicts):
    verdicts.save("a", "accept", "", 0, "x")
    with verdicts.file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    with verdicts.file.open("w", newline="", encoding="utf-8-sig") as opened:  # as a spreadsheet saves it
        writer = csv.DictWriter(opened, [*COLUMNS, "second reader"])
        writer.writeheader()
        writer.writerow({**rows[0], "second reader": "agrees"})
    verdicts.save("b", "accept", "", 0, "x")
    verdicts.save("a", "accept", "n", 1, "x")
    assert [row["second reader"] for row in verdicts.read().values()] == ["agrees", ""]


@pytest.mark.parametrize(
    "content", ["case;verdict\na;accept\n", "", "case,verdict\n", "\0", ",".join(COLUMNS) + "\na\n"]
)
def test_another_table_is_refused_and_left_alone(verdicts, content):
    verdicts.file.write_text(content)
    with pytest.raises(ValueError, match=r"review\.csv is no table of verdicts"):
        verdicts.save("a", "accept", "", 0, "x")
    assert verdicts.file.read_text() == content


def write_on(file, name, count, told):
    """Saves again and again, as another process; counts what was told as saved."""
    verdicts = Verdicts(file)
    for i in range(count):
        verdicts.save(f"{name}{i % 40}", "accept", str(i), i // 40, "x")
        told.value = i + 1


def writer(verdicts, name, count):
    fork = multiprocessing.get_context("fork")  # a new Python would import for longer than the test takes
    told = fork.Value("i", 0)
    process = fork.Process(target=write_on, args=(verdicts.file, name, count, told))
    process.start()
    return process, told


def test_two_servers_at_once_lose_nothing(verdicts):
    for process, _ in [writer(verdicts, name, 40) for name in ("a", "b")]:
        process.join(60)
        assert process.exitcode == 0
    assert set(verdicts.read()) == {f"{name}{i}" for name in ("a", "b") for i in range(40)}


def test_a_kill_loses_nothing_that_was_told_as_saved(verdicts):
    for attempt in range(3):
        process, told = writer(verdicts, f"{attempt} ", 100000)
        while told.value < 50 + 7 * attempt:
            time.sleep(0.01)
        process.kill()
        process.join()
        rows = verdicts.read()
        for i in range(told.value - 40, told.value):
            assert int(rows[f"{attempt} {i % 40}"]["note"]) >= i
    verdicts.save("after", "accept", "", 0, "x")  # the dead process holds no lock
