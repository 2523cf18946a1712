"""Each block of commands in a text names its test, or why it has none. No command has an option that is not there."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dam_components.cli import COMMANDS as PARTS
from dam_components.front.checked_words import check_words
from dam_components.front.described import describe_command
from dam_study.cli import COMMANDS as STUDY

ROOT = Path(__file__).parents[2]
FRONT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bundle" / "docs" / "README.md"]
PAGES = [page for page in sorted([*FRONT, *ROOT.glob("docs/*.md")]) if page.name != "contributing.md"]
MARK = re.compile(r"<!-- (tested|not run): (.+?) -->")
STARTS = {"dam": PARTS, "python -m dam_components": PARTS, "python -m dam_study": STUDY}


def blocks(page: Path) -> list[tuple[str, str | None]]:
    """The shell blocks of a page, each with the comment in front of it."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(?:sh|bash|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        before = text[: match.start()].rstrip().rsplit("\n", 1)[-1]
        found.append((match[1], before if MARK.fullmatch(before) else None))
    return found


def commands(block: str) -> list[list[str]]:
    """The command lines of a block as words."""
    found = []
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        reader = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        reader.whitespace_split, reader.commenters = True, "#"
        words: list[str] = []
        for word in [*reader, ";"]:
            if set(word) <= set(";&|"):
                found.append(words)
                words = []
            else:
                words.append(word)
    return [words for words in found if words]


BLOCKS = [(page, *entry) for page in PAGES for entry in blocks(page)]
WORDS = [(page, words) for page, block, _ in BLOCKS for words in commands(block)]


def names(entry) -> str:
    return str(entry.relative_to(ROOT)) if isinstance(entry, Path) else ""


@pytest.mark.parametrize("page, block, mark", BLOCKS, ids=names)
def test_a_block_names_its_test_or_a_reason(page, block, mark):
    assert mark, f"no <!-- tested: file::test --> or <!-- not run: reason --> in front of\n{block}"
    kind, said = MARK.fullmatch(mark).groups()
    for name in said.split(", ") if kind == "tested" else []:
        file, _, test = name.partition("::")
        assert (ROOT / file).exists(), f"{page.name}: no {file}"
        assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{page.name}: no {name}"


def of_ours(words: list[str]) -> tuple[dict, list[str]] | None:
    line = re.sub(r"^\S*/", "", words[0])  # .venv/bin/dam
    for start, found in STARTS.items():
        parts = start.split()
        if [line, *words[1 : len(parts)]] == parts:
            return found, words[len(parts) :]
    return None


@pytest.mark.parametrize("page, words", [pair for pair in WORDS if of_ours(pair[1])], ids=names)
def test_a_command_of_ours_has_these_options(page, words):
    entry, rest = of_ours(words)
    if rest and rest[0].startswith("-"):
        assert rest[0] in ("--help", "--version", "-h")
        return
    while not isinstance(entry, str):
        entry = entry[rest.pop(0).replace("-", "_")]
    if rest not in (["--help"], ["-h"]):
        check_words(describe_command(entry), rest)


@pytest.mark.parametrize("page, words", [pair for pair in WORDS if "monai.bundle" in pair[1]], ids=names)
def test_a_run_of_the_bundle_has_these_files_and_entries(page, words):
    options = dict(zip(words[::1], words[1:], strict=False))
    files = options["--config_file"].strip("[]").replace("'", "").split(",")
    local = [ROOT / "bundle" / "configs" / file.split("configs/")[-1] for file in files if "configs/" in file]
    if len(local) < len(files):
        return  # another project's files
    assert all(file.is_file() for file in local), local
    content = ConfigParser.load_config_files([str(file) for file in local])
    ours = {word[2:].split("=")[0] for word in words if word.startswith("--")}
    of_monai = {"config_file", "meta_file", "bundle_root", "net_id", "filepath", "ckpt_file", "tracking", "precision"}
    unknown = [
        name
        for name in ours - of_monai - {"input_shape", "converter_kwargs", "nproc_per_node"}
        if name.split("#")[0] not in content
    ]
    assert not unknown, f"{page.name}: no entry {unknown} in {files}"


WRITES = {"--output", "--output_dir", "--filepath", "--model_dir"}
WRITES_FIRST = {"demo", "synthesize", "make_data.py", "venv"}  # their first argument


def outputs() -> list[str]:
    """What the commands write, as paths in the repository. Names in capitals stand for a folder of the reader's."""
    found = set()
    for _, block, _ in BLOCKS:
        folder = Path()
        for words in commands(block):
            if words[0] == "cd":
                folder /= words[1]
                continue
            pairs = zip(words, words[1:], strict=False)
            for word, value in pairs:
                first = re.sub(r"^.*/", "", word) in WRITES_FIRST and not value.startswith("-")
                if (word in WRITES or first) and not re.match(r"[/~$A-Z]", value):
                    found.add(os.path.normpath(folder / value))
    return sorted(found)


def test_what_the_commands_write_is_ignored_by_git():
    """git status stays clean after every command, interrupted or not."""
    assert outputs()
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = [name if Path(name).suffix else f"{name}/file" for name in outputs()]
    found = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True)
    assert sorted(found.stdout.split()) == sorted(files)
