"""The examples run, assert their own numbers, and draw their figures."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maximum_likelihood", "asymptotics", "kl_divergence", "bits_per_pixel"])
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert (tmp_path / f"{name.replace('_', '-')}.png").stat().st_size > 5000
