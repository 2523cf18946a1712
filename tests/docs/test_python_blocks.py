"""Python in the texts runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = [
    (page, code)
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
    for mark, code in re.findall(
        r"(<!-- not run: .+? -->\n)?^```python\n(.*?)^```",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    if not mark
]


@pytest.mark.parametrize("page, code", BLOCKS, ids=[page.name for page, _ in BLOCKS])
def test_a_block_runs(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {"__name__": "block"})
