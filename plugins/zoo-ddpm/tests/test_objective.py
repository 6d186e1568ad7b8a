"""What is trained: the targets, the gradients, and that training works on a toy."""

import pytest
import torch

from zoo_core.interfaces import Batch, Streams
from zoo_ddpm.model import DDPM
from zoo_ddpm.objective import Hybrid, Simple, VariationalBound
from zoo_ddpm.train import data_order, learning_rate, train

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


RECIPE = {
    "objective": "ddpm-simple",
    "seed": 0,
    "batch": 64,
    "steps": 60,
    "lr": 1e-2,
    "warmup": 5,
    "clip": 1.0,
    "ema": 0.9,
}


def test_training_lowers_the_loss_and_resumes_to_the_bit(tmp_path, monkeypatch):
    """Stopped at step 40 and started again, the weights are those of an uninterrupted run."""
    import zoo_ddpm.train as module

    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 40)
    config = {"shape": [2], "network": MLP, "noise_schedule": "linear", "steps": 50}
    data = Streams(0, "data", 0, 512).normal(2) * 0.3 + 1.0
    whole = train(config, RECIPE, data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, RECIPE, data, tmp_path / "parts", progress=_interrupt_at(45))
    parts = train(config, RECIPE, data, tmp_path / "parts")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    streams = Streams(1, "test", 0, 512)
    (trained,) = Simple().losses(whole, Batch(data), streams)
    (fresh,) = Simple().losses(DDPM(**config), Batch(data), Streams(1, "test", 0, 512))
    assert trained.value < 0.8 * fresh.value


def _interrupt_at(step: int):  # type: ignore[no-untyped-def]
    def progress(done: int, loss: float) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


def test_data_order_visits_everything_once_an_epoch():
    batches = data_order(0, 10, 3, 0)
    epoch = torch.cat([next(batches) for _ in range(3)])
    assert len(set(epoch.tolist())) == 9
    resumed = data_order(0, 10, 3, 4)
    batches = data_order(0, 10, 3, 0)
    later = [next(batches) for _ in range(5)][4]
    assert torch.equal(next(resumed), later)


def test_learning_rate_warms_up_and_falls_to_zero():
    assert learning_rate(RECIPE, 0) == pytest.approx(RECIPE["lr"] / 5)
    assert learning_rate(RECIPE, 60) == pytest.approx(0.0, abs=1e-12)
