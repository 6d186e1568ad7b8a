"""docs/plugins.md is followed word for word, in a clean environment, against a Hub on loopback.

``sh`` blocks are run in order, in one shell; ``text`` blocks must be in what the block before printed (``…`` is
anything; decimals and spaces may differ); what the page says to write or to add to a file is written; what it quotes
from a file is in it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from zoo_core.authoring import scaffold
from zoo_core.interfaces import CAPABILITIES
from zoo_core.plugins.catalogue import KINDS
from zoo_core.registry import schema
from zoo_core.testing.hub_standin import HubStandIn

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
PLACE = re.compile(r"(From|Add to|Write)\s+`([^`]+)`:")


@dataclass
class Block:
    """One block, and what the words before it say to do with it."""

    language: str
    text: str
    verb: str
    path: str


def blocks() -> list[Block]:
    """The page's blocks in order; a quotation without words of its own is from the file of the one before."""
    found: list[Block] = []
    end = 0
    for match in BLOCK.finditer(TEXT):
        places = PLACE.findall(TEXT[end : match.start()])
        verb, path = places[-1] if places else ("", "")
        if match[1] == "python" and not verb:
            verb, path = found[-1].verb, found[-1].path
        found.append(Block(match[1], match[2], verb, path))
        end = match.end()
    return found


def script() -> str:
    """All that the page says to do after its first block, with a mark before each block's output."""
    parts = []
    for i, block in enumerate(blocks()[1:], start=1):
        if block.language == "sh":
            parts.append(f"echo '@@{i}'\n{block.text}")
        elif block.verb in ("Add to", "Write"):
            how = ">>" if block.verb == "Add to" else ">"
            parts.append(f"cat {how} {block.path} <<'END'\n\n{block.text}END\n")
    return "\n".join(parts)


def pattern(line: str) -> str:
    """What a line of a ``text`` block stands for."""
    words = re.escape(" ".join(line.split())).replace("\\ ", r"\s+").replace("…", ".*")
    return re.sub(r"0\\\.\d+", r"[\\d.]+", words)


def test_what_is_quoted_is_in_the_template(tmp_path):
    home = scaffold.new("my-family", tmp_path)
    quoted = [b for b in blocks() if b.verb == "From"]
    assert len(quoted) >= 4
    for block in quoted:
        assert block.text in (tmp_path / block.path).read_text(encoding="utf-8"), block
    tree = next(b.text for b in blocks() if not b.language)
    for path in re.findall(r"[\w./]+\.(?:py|toml|md|yml)|LICENSE", tree):
        assert (home / path).is_file(), path


def test_every_block_is_used():
    assert {b.language for b in blocks()} == {"sh", "text", "python", "toml", ""}
    assert all(b.verb for b in blocks() if b.language in ("python", "toml"))
    assert len([b for b in blocks() if not b.language]) == 1


def test_the_reference_is_that_of_the_code():
    done = subprocess.run([sys.executable, "docs/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_variable_that_is_read_is_in_the_reference():
    from zoo_core.cli.env import VARIABLES

    read = set()
    for path in (ROOT / "zoo_core").rglob("*.py"):
        if path.name != "env.py":
            read |= set(re.findall(r"[\"'](ZOO_[A-Z_]+)[\"']", path.read_text(encoding="utf-8")))
    assert read - {"ZOO_API"} == {name for name in VARIABLES if name.startswith("ZOO_")}


def test_what_a_reader_may_rely_on_is_in_the_reference():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for name in (*CAPABILITIES, *(f"catalogue.{kind}" for kind in KINDS), "zoo_register", *schema.RECIPE):
        assert re.search(rf"[`# ]{re.escape(name)}\b", text), name


@pytest.mark.slow
def test_the_page_is_followed_word_for_word(author, tmp_path):
    with HubStandIn() as hub:
        out = author(f". .venv/bin/activate\n{script()}", **hub.environment(tmp_path / "hf", token=True))
    printed = {int(i): text for i, text in re.findall(r"^@@(\d+)\n(.*?)(?=^@@|\Z)", out, re.DOTALL | re.MULTILINE)}
    shown = 0
    for i, block in enumerate(blocks()):
        if block.language == "text":
            before = max(j for j in printed if j < i)
            for line in block.text.splitlines():
                assert re.search(pattern(line), printed[before]), f"{line!r} is not in\n{printed[before]}"
                shown += 1
    assert shown >= 7
    assert " passed" in out
