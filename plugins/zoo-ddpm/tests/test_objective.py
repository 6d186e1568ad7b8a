"""What is trained: the targets, the gradients, and that training works on a toy."""

import pytest
import torch

from zoo_core.interfaces import Batch, Streams
from zoo_ddpm.model import DDPM
from zoo_ddpm.objective import Hybrid, Simple, VariationalBound

MLP = {"kind": "mlp", "width": 32, "depth": 2}


@pytest.mark.parametrize("prediction", ["noise", "data", "v"])
def test_targets_are_consistent(prediction):
    """A network that answers the target predicts the data and the noise exactly."""
    from zoo_core.paths import to_prediction

    model = DDPM([2], MLP, "cosine", 100, prediction).double()
    streams = Streams(0, "test", 0, 6, dtype=torch.float64)
    x, noise, t = streams.normal(2), streams.normal(2), torch.linspace(0.05, 0.95, 6, dtype=torch.float64)
    target = Simple.target(model, x, noise, t)
    prediction_of = to_prediction(model.path, prediction, model.path.diffuse(x, noise, t), t, target)
    assert torch.allclose(prediction_of.data, x, atol=1e-10)
    assert torch.allclose(prediction_of.noise, noise, atol=1e-10)


@pytest.mark.parametrize("objective", [Simple(), VariationalBound(), Hybrid()])
def test_every_parameter_gets_a_gradient(objective):
    model = DDPM([2], MLP, "linear", 50, "noise", "learned")
    source = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(std=0.3, generator=source)
    streams = Streams(0, "test", 0, 64)
    (loss,) = objective.losses(model, Batch(streams.normal(2)), streams)
    loss.value.backward()
    assert torch.isfinite(loss.value)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert all((p.grad != 0).any() for p in model.parameters())


def test_hybrid_bound_trains_the_variance_only():
    model = DDPM([2], MLP, "linear", 50, "noise", "learned")
    head = model.network.head.weight
    head.data.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    streams = Streams(0, "test", 0, 64)
    (loss,) = VariationalBound(stop_mean=True).losses(model, Batch(streams.normal(2)), streams)
    loss.value.backward()
    assert (head.grad[:2] == 0).all()
    assert (head.grad[2:] != 0).any()
