"""Labels that are drawn where none is given: from the numbers of training examples, seeded by the sample."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from zoo_core.interfaces import Condition, DataSet, Streams
from zoo_core.sampling import make_sampler, sample
from zoo_flow_matching.model import FlowMatching

MLP = {"kind": "mlp", "width": 16, "depth": 1}
COUNTS = [600, 0, 300, 100]


@pytest.fixture
def model():
    """A model whose samples differ by label."""
    made = FlowMatching([2], MLP, classes=COUNTS)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return made.eval()


def test_labels_are_drawn_in_proportion(model):
    """Frequencies of 10,000 draws are within four standard errors, and a label without examples never comes."""
    label = model.draw_condition(Streams(0, "condition", 0, 10_000))["label"]
    assert len(label) == 10_000
    for value, count in enumerate(COUNTS):
        share = count / sum(COUNTS)
        assert abs((label == value).double().mean() - share) <= 4 * (share * (1 - share) / 10_000) ** 0.5


def test_a_sample_without_a_label_is_one_with_a_drawn_label(model):
    """Whatever the batch size and the first index; the noise is that of the same sample with a label."""
    whole = sample(model, 12, sampler=make_sampler(model, "ddim", steps=3), seed=5)
    drawn = model.draw_condition(Streams(5, "condition", 0, 12))
    asked = sample(model, 12, sampler=make_sampler(model, "ddim", steps=3), seed=5, condition=Condition(**drawn.values))
    assert torch.equal(whole, asked)
    for low, high in pairwise([0, 5, 12]):
        part = sample(model, high - low, sampler=make_sampler(model, "ddim", steps=3), seed=5, first=low, batch_size=3)
        assert torch.allclose(part, whole[low:high], atol=1e-6)


def test_with_a_number_of_classes_nothing_is_drawn():
    model = FlowMatching([2], MLP, classes=4)
    assert model.draw_condition(Streams(0, "condition", 0, 3)) is None
    assert FlowMatching([2], MLP).draw_condition(Streams(0, "condition", 0, 3)) is None
    keys = (set(FlowMatching([2], MLP, classes=classes).state_dict()) for classes in (4, COUNTS))
    assert next(keys) == next(keys)


def test_other_data_bring_their_own_numbers():
    y = torch.tensor([0, 0, 2, 2, 2])
    config = {"shape": [2], "network": MLP, "classes": COUNTS}
    data = DataSet("mine", "train", torch.zeros(5, 2), columns={"label": y})
    assert FlowMatching.config_for(config, data, [2])["classes"] == [2, 0, 3]
    assert FlowMatching.config_for(config, DataSet("mine", "train", torch.zeros(5, 2)), [2])["classes"] is None
    assert FlowMatching.config_for({**config, "classes": 4}, data, [2])["classes"] == 3


@pytest.mark.parametrize("classes", [[], [0, 0], [3, -1]])
def test_impossible_numbers_of_examples_are_refused(classes):
    with pytest.raises(ValueError, match="expected numbers of examples"):
        FlowMatching([2], MLP, classes=classes)
