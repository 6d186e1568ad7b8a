"""The kit that every plugin author has, on ours."""

from __future__ import annotations

from zoo_core.testing import parametrize_with_checks


@parametrize_with_checks("zoo-autoregressive")
def test_conformance(check):
    check()
