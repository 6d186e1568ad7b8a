"""Training starts from weights of other channels and labels: what fits is kept, what does not is adapted or fresh."""

from __future__ import annotations

import pytest
import torch

from zoo_core.errors import WeightsError
from zoo_core.training.starting import adapted


def test_equal_tensors_are_kept_and_others_are_said():
    mine = {"a": torch.zeros(4, 4), "b": torch.zeros(2), "new": torch.full((2,), 7.0)}
    start = adapted(mine, {"a": torch.ones(4, 4), "b": torch.ones(2), "old": torch.ones(3)}, "other")
    assert start.kept == ["a", "b"]
    assert start.fresh == ["new"]
    assert torch.equal(start.state["a"], torch.ones(4, 4))
    assert torch.equal(start.state["new"], mine["new"])
    assert start.lines() == ["2 of 3 tensors are kept", "fresh: new"]


@pytest.mark.parametrize(("here", "there"), [(3, 1), (1, 3)])
def test_a_grey_image_is_answered_as_before_by_other_channels(here, there):
    """A convolution of equal channels gives what it gave; its own output channels become equal or their mean."""
    torch.manual_seed(0)
    old = torch.nn.Conv2d(there, 8, 3, bias=False)
    new = torch.nn.Conv2d(here, 8, 3, bias=False)
    body = {"body": torch.zeros(1000)}
    start = adapted({"stem.weight": new.weight.detach(), **body}, {"stem.weight": old.weight.detach(), **body}, "other")
    new.weight.data.copy_(start.state["stem.weight"])
    grey = torch.randn(2, 1, 6, 6)
    assert torch.allclose(new(grey.expand(-1, here, -1, -1)), old(grey.expand(-1, there, -1, -1)), atol=1e-5)
    assert start.changed == {"stem.weight": f"from {there} channels to {here}"}
    out = adapted({"head": torch.zeros(here, 8, 3, 3), **body}, {"head": torch.ones(there, 8, 3, 3), **body}, "other")
    assert torch.equal(out.state["head"], torch.ones(here, 8, 3, 3))


def test_labels_that_both_have_keep_their_rows():
    mine = {"embedding": torch.zeros(5, 8), "body": torch.zeros(1000)}
    theirs = {"embedding": torch.arange(24.0).view(3, 8), "body": torch.ones(1000)}
    start = adapted(mine, theirs, "other")
    assert torch.equal(start.state["embedding"][:3], theirs["embedding"])
    assert torch.equal(start.state["embedding"][3:], mine["embedding"][3:])
    assert "3 of 5 rows taken, of 3" in start.lines()[1]


def test_weights_of_another_network_are_no_start():
    with pytest.raises(WeightsError, match="fits 1% of the numbers of this model"):
        adapted({"a": torch.zeros(10), "b": torch.zeros(990)}, {"a": torch.zeros(10)}, "other")
