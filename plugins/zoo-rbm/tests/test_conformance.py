"""The kit that every plugin author has, on ours."""

from __future__ import annotations

from zoo_core.testing import parametrize_with_checks

GAP = "the loss is the gap of F between data and chains, which tends to 0 from either side: it measures no progress"


@parametrize_with_checks(
    "zoo-rbm",
    expected_failures={f"check_training_lowers_the_loss[{name}@rbm-moons]": GAP for name in ("cd", "pcd")},
)
def test_conformance(check):
    check()
