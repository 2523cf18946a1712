"""An error ends a program in one line; the traceback of one that is not ours is kept in a file."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dam_components.data import list_inference_cases, read_folds
from dam_components.errors import plain_message


def caught(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("no error")


def wrapped(cause):
    """As MONAI does: an error in an error in an error."""
    try:
        try:
            cause()
        except Exception as error:
            raise RuntimeError("applying transform") from error
    except RuntimeError as error:
        raise RuntimeError("Failed to instantiate component") from error


def refuse():
    list_inference_cases("there is no such folder")


def test_the_root_of_a_chain_is_what_counts():
    assert plain_message(caught(refuse)).startswith("there is no folder there is no such folder")
    assert plain_message(caught(lambda: wrapped(refuse))) == plain_message(caught(refuse))


def test_an_error_of_ours_that_a_library_caused_counts(tmp_path):
    (tmp_path / "folds.json").write_text("{")
    message = plain_message(caught(lambda: wrapped(lambda: read_folds(tmp_path / "folds.json", ["a"]))))
    assert message is not None
    assert "folds.json is damaged or no fold file" in message


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, KeyError])
def test_an_error_of_other_code_is_left_as_it_is(kind):
    def elsewhere():
        raise kind("not ours")

    assert plain_message(caught(elsewhere)) is None
    assert plain_message(caught(lambda: wrapped(elsewhere))) is None
    assert plain_message(kind("never raised")) is None


def test_a_fault_of_this_package_keeps_its_traceback():
    # raised in the package, but nothing that a user can mend
    assert isinstance(error := caught(lambda: list_inference_cases(None)), TypeError)
    assert plain_message(error) is None


def run(body):
    code = "from dam_components.errors import plain_errors\nplain_errors()\n" + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120)


def test_a_program_ends_with_one_line_and_status_1():
    ended = run(
        "from dam_components.data import find_bundle_root, list_inference_cases\nlist_inference_cases('nowhere')"
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("error: there is no folder nowhere; name the images' folder")
    assert "Traceback" not in ended.stderr


def test_other_errors_are_a_line_and_a_file_and_threads_of_a_pool_are_waited_for():
    # the thread of the pool still has to work when the error ends the program
    ended = run(
        """
        import time
        from multiprocessing.pool import ThreadPool

        def work(item):
            if item == 0:
                raise KeyError("a fault")
            time.sleep(0.5)
            print("finished", flush=True)

        with ThreadPool(2) as pool:
            list(pool.imap(work, range(2)))
        """
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("error: 'a fault' (KeyError); all of it is in ")
    assert "in work" in Path(line.split(" is in ")[1]).read_text()
    assert ended.stdout == "finished\n"
