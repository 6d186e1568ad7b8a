"""docs/fill-and-score.md is followed: its commands run in order, in one folder, and print what the page says.

``csv`` blocks are the files that the page says to write; a ``text`` block must be in what the ``sh`` block before it
printed (``…`` is anything).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "fill-and-score.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
WRITTEN = re.compile(r"Write `([^`]+)`:\s*$")


def pattern(line: str) -> str:
    return re.escape(line).replace("…", ".*")


@pytest.mark.slow
def test_the_page_is_followed(run):
    printed, ran, shown = "", 0, 0
    for match in BLOCK.finditer(TEXT):
        language, block = match.groups()
        if language == "csv":
            [name] = WRITTEN.findall(TEXT[: match.start()])
            Path(name).write_text(block, encoding="utf-8")
        elif language == "sh":
            printed = ""
            for line in block.splitlines():
                code, out, err = run(*shlex.split(line)[1:])
                assert code == 0, f"{line}\n{err}"
                printed += out + err
                ran += 1
        elif language == "text":
            for line in block.splitlines():
                assert re.search(pattern(line), printed), f"{line!r} is not in\n{printed}"
                shown += 1
    assert ran == 13
    assert shown == 10
    assert Path("filled.csv").read_text(encoding="utf-8").splitlines()[3] == "-2.00,0.01"
    pictures = {"00000-0.png", "00000-1.png", "00001.png", "00002.png"}
    assert {path.name for path in Path("whole").iterdir()} == {*pictures, "manifest.json"}
    assert len(list(Path("again").glob("*.png"))) == 3
