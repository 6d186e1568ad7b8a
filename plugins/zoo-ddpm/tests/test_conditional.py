"""A DDPM with classes: it begins as the unconditional one, and the null class is no label."""

from __future__ import annotations

import pytest
import torch

from zoo_core.errors import ConditionError
from zoo_core.interfaces import Batch, Condition, Streams
from zoo_ddpm.model import DDPM
from zoo_ddpm.objective import Hybrid

MLP = {"kind": "mlp", "width": 16, "depth": 2}


def pair() -> tuple[DDPM, DDPM]:
    """An unconditional model with arbitrary weights, and a conditional one that starts from it."""
    plain, labelled = DDPM([2], MLP, steps=20), DDPM([2], MLP, steps=20, classes=3)
    source = torch.Generator().manual_seed(0)
    for p in plain.parameters():
        p.data.normal_(std=0.3, generator=source)
    labelled.load_state_dict(labelled.started_from(plain.state_dict()), strict=True)
    return plain, labelled


def test_a_fresh_start_ignores_the_label_to_the_bit():
    plain, labelled = pair()
    x = Streams(0, "test", 0, 4).normal(2)
    for condition in (None, Condition(label=torch.tensor([0, 1, 2, 3]))):
        assert torch.equal(plain.predict(x, 0.5).data, labelled.predict(x, 0.5, condition=condition).data)


def test_no_label_is_the_null_class_and_a_label_is_not():
    _, model = pair()
    model.network.class_embedding.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    x = Streams(0, "test", 0, 4).normal(2)
    null, two = (Condition(label=torch.full((4,), k)) for k in (3, 2))
    none = model.predict(x, 0.5).data
    assert torch.equal(none, model.predict(x, 0.5, condition=null).data)
    assert (none - model.predict(x, 0.5, condition=two).data).abs().min() > 1e-3


def test_objective_and_bound_see_the_label():
    model = DDPM([2], MLP, steps=20, classes=3, variance="learned")
    model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    x = Streams(0, "x", 0, 6).normal(2)
    label = torch.tensor([0, 0, 1, 1, 1, 0])
    next(Hybrid().losses(model, Batch(x, Condition(label=label)), Streams(0, "train/0", 0, 6))).value.backward()
    rows = model.network.class_embedding.weight.grad.abs().sum(1)
    assert (rows[:2] > 0).all()  # those that occur
    assert (rows[2:] == 0).all()
    model.network.class_embedding.weight.data.normal_(generator=torch.Generator().manual_seed(2))
    bounds = [model.log_prob(x, condition=Condition(label=torch.full((6,), k))) for k in (0, 1)]
    assert (bounds[0] - bounds[1]).abs().min() > 1e-4


def test_a_label_for_an_unconditional_model_is_refused():
    plain, _ = pair()
    with pytest.raises(ConditionError, match=r"no condition 'label'; .* it is unconditional"):
        plain.predict(torch.zeros(1, 2), 0.5, condition=Condition(label=torch.tensor([0])))
