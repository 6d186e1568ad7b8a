"""The kit that every plugin author has, on ours."""

from __future__ import annotations

from zoo_core.testing import parametrize_with_checks

ALIKE = "neighbours lie on one great circle on purpose: they are no independent draws"


@parametrize_with_checks(
    "zoo-guidance", expected_failures={"check_sampler_draws_the_right_distribution[interpolate]": ALIKE}
)
def test_conformance(check):
    check()
