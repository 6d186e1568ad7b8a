"""The example of the dishonest casino runs, asserts its own numbers, and draws its figure."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_dishonest_casino(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dishonest_casino", str(tmp_path)])
    runpy.run_path(str(Path(__file__).parents[3] / "examples" / "dishonest_casino.py"), run_name="__main__")
    assert (tmp_path / "dishonest-casino.png").stat().st_size > 5000
