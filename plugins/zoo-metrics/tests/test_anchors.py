"""The anchors that are shipped are those that the code measures."""

from __future__ import annotations

import pytest

from zoo_metrics import real
from zoo_metrics.anchors import KINDS, measure
from zoo_metrics.extractor import PINNED
from zoo_metrics.neighbours import Precision


def test_every_kind_and_data_set_is_shipped():
    for pinned in PINNED.values():
        for kind in KINDS:
            assert sum(key.startswith(f"{kind.kind}/{pinned.dataset}/") for key in real.shipped()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_anchors_of_digits(kind):
    agree(*measure(kind(), "digits"))


@pytest.mark.slow
@pytest.mark.needs_data("mnist", "fashion-mnist")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_anchors_of_images(name):
    agree(*measure(Precision(), name))


def agree(key, found):
    """To a thousandth: neighbours at equal distances fall either way with another machine's rounding."""
    for score, anchors in real.shipped()[key].items():
        assert found[score] == pytest.approx(anchors, rel=1e-3, abs=1e-3), score
