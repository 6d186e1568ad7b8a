"""Every family in every floating type: the smallest shipped model of each draws samples and says densities."""

from __future__ import annotations

import pytest
import torch

import zoo_core
from zoo_core import registry
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, Density, Streams
from zoo_core.interfaces.values import finite_rows
from zoo_core.sampling import quick_sampler

SLACK = {"bfloat16": (0.03, 1.0), "float16": (0.005, 0.3), "float64": (1e-4, 1e-3)}
"""How far log p may be from that in float32: relative, and in nats.  Parameters are right to 2⁻⁹, 2⁻¹² and 2⁻²⁴."""


def smallest():
    """One model of every family that has weights."""
    found = {}
    for entry in registry.load().find():
        if entry.weights and entry.parameters < found.get(entry.family, (entry.id, 10**9))[1]:
            found[entry.family] = (entry.id, entry.parameters)
    return sorted(name for name, _ in found.values())


def condition_for(model):
    """Two rows of whatever the model is conditioned on; ``None`` for a model that is not."""
    made = {}
    for name, spec in model.conditions.items():
        made[name] = torch.tensor([1, 0]) if spec.classes is not None else torch.full((2, *spec.shape), 0.5)
    return Condition(**made) if made else None


@pytest.mark.long
@pytest.mark.parametrize("dtype", SLACK)
@pytest.mark.parametrize("name", smallest())
def test_every_family_in_every_dtype(name, dtype):
    model = zoo_core.load(name, dtype=dtype)
    assert str(model.dtype) == f"torch.{dtype}"
    outside = torch.float64 if dtype == "float64" else torch.float32
    condition = condition_for(model)
    try:
        sampler = quick_sampler(model, 2)
    except IncompatibleError:  # a classifier has no samples
        pass
    else:
        x = zoo_core.sample(model, 2, sampler=sampler, condition=condition)
        assert x.dtype == (outside if x.is_floating_point() else torch.int64)
        assert finite_rows(x).all()
    if not isinstance(model, Density) or (model.space.kind == "image" and model.many_passes):  # minutes
        return
    reference = zoo_core.load(name)
    if model.space.kind in ("table", "tokens") or (model.discrete and model.space.kind != "image"):
        x = zoo_core.sample(reference, 2, condition=condition)  # other numbers have no chance
    else:
        x = 0.3 + 0.2 * Streams(0, "x", 0, 2).uniform(*model.space.sizes)
    if model.binarises:
        x = x.round()
    x = x if model.space.kind == "tokens" else x.float()
    with torch.inference_mode():
        expected = reference.log_prob(x, condition=condition, streams=Streams(0, "noise", 0, 2)).double()
        found = model.log_prob(
            x if model.space.kind == "tokens" else x.to(outside),
            condition=condition,
            streams=Streams(0, "noise", 0, 2, dtype=outside),
        )
    assert found.dtype in (outside, torch.float64)
    relative, nats = SLACK[dtype]
    assert (found.double() - expected).abs().max() <= nats + relative * expected.abs().max()
