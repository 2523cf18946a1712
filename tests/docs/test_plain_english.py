"""Texts for users: short sentences and usual words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bundle" / "docs" / "README.md"]
PAGES = sorted([*OTHERS, *ROOT.glob("docs/*.md")])
LONGEST = 30
UNUSUAL = r"\b(anew|likewise|mend(?:s|ed|ing)?|wants|heed(?:s|ed)?|thereof|hitherto)\b"


def sentences(page: Path) -> list[str]:
    """The sentences of a page's paragraphs and list entries, without code, tables, headings and links' addresses."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|`[^`]*`|\[[-+\d.,\s%]*\]|https?://\S+", "] ", text)
    marks = ("|", "#", "!!!", "::", "![", "--8<--")
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(marks)]
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)", "\n".join(kept))
    ends = r"(?<=[.!?:;])\s+(?=[A-Z0-9\]\"*(])"
    return [part for block in blocks for part in re.split(ends, " ".join(block.split()))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page):
    long = [part for part in sentences(page) if len(re.findall(r"[A-Za-z][\w'-]*", part)) > LONGEST]
    assert not long, f"{len(long)} sentences of more than {LONGEST} words, the first: {long[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_words_are_usual(page):
    found = [part for part in sentences(page) if re.search(UNUSUAL, part)]
    assert not found, found[0]


def test_a_long_sentence_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\nShort. Word " + "word " * 30 + "end.\n\n```\n" + "code " * 40 + "\n```\n")
    assert sorted(len(part.split()) for part in sentences(page) if part) == [1, 32]


def test_the_front_page_is_one_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130
