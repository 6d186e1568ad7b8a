"""SECURITY.md: every promise names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_promise_names_a_test_there_is():
    text = (HERE.parent / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    there = {
        name
        for path in [*HERE.glob("test_*.py"), *HERE.parent.glob("plugins/*/tests/test_*.py")]
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.M)
    }
    assert named - there == set()
    promises = text.split("## What loading may execute")[1].split("## What is not verified")[0]
    for promise in re.split(r"\n(?=- |An id)", promises):
        if promise.startswith("- ") and "the same for the commit" not in promise:
            assert "`test_" in promise or "docs/faults.md" in promise, promise
