"""What is trained: gradients, the weight of the KL divergence, and that training works on a toy."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core.interfaces import Batch, GradientObjective, Streams
from zoo_vae.model import VAE
from zoo_vae.objective import ELBO, IWAE

MLP = {"kind": "mlp", "hidden": [16]}
CONV = {"kind": "conv", "widths": [4, 8], "hidden": 16, "blocks": 1}


def image_model(kind: str = "bernoulli", network: dict = CONV) -> VAE:  # type: ignore[type-arg]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learned = {"learned": True} if kind == "gaussian" else {}
        return VAE([1, 8, 8], 3, network, {"kind": kind, **learned})


def value(objective: GradientObjective, model: VAE, x: torch.Tensor, step: int = 0) -> torch.Tensor:
    (loss,) = objective.losses(model, Batch(x, step=step), Streams(0, f"train/{step}", 0, len(x), dtype=x.dtype))
    return loss.value


def terms(objective: GradientObjective, model: VAE, x: torch.Tensor, step: int = 0) -> dict[str, float]:
    (loss,) = objective.losses(model, Batch(x, step=step), Streams(0, f"train/{step}", 0, len(x), dtype=x.dtype))
    return {"loss": loss.value.item(), **{k: v.item() for k, v in loss.terms.items()}}


GREY = Streams(0, "data", 0, 12).uniform(1, 8, 8)
X = GREY.round()


@pytest.mark.parametrize("objective", [ELBO(), ELBO(beta=4.0, free_bits=0.01, samples=2), IWAE(5)])
@pytest.mark.parametrize("network", [MLP, CONV], ids=["mlp", "conv"])
@pytest.mark.parametrize("kind", ["bernoulli", "continuous-bernoulli", "gaussian"])
def test_every_parameter_gets_a_gradient(objective, network, kind):
    model = image_model(kind, network)
    value(objective, model, X if model.binarises else GREY).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all(), name
        assert (p.grad != 0).any(), name


def test_the_terms_make_the_loss():
    model = image_model()
    plain, beta, bits = (terms(o, model, X) for o in (ELBO(), ELBO(beta=4.0), ELBO(beta=2.0, free_bits=10.0)))
    assert plain["loss"] == pytest.approx(-plain["elbo"], rel=1e-6)
    assert plain["elbo"] == pytest.approx(plain["reconstruction"] - plain["kl"], rel=1e-6)
    assert beta["loss"] == pytest.approx(4.0 * plain["kl"] - plain["reconstruction"], rel=1e-6)
    assert beta["elbo"] == plain["elbo"]
    # at the start no dimension has ten nats: the KL divergence is charged λ for each of three
    assert bits["loss"] == pytest.approx(2.0 * 30.0 - plain["reconstruction"], rel=1e-6)


def test_free_bits_leave_the_rate_alone():
    """Below λ the KL divergence has no gradient: that of the loss is that of the reconstruction."""
    with_bits, without = image_model(), image_model()
    value(ELBO(free_bits=10.0), with_bits, X).backward()
    value(ELBO(beta=0.0), without, X).backward()
    pairs = zip(with_bits.parameters(), without.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad) for a, b in pairs)


def test_annealing_grows_to_beta():
    model, objective = image_model(), ELBO(beta=2.0, annealing=100)
    now = [terms(objective, model, X, step) for step in (0, 50, 100, 1000)]
    weights = [(t["loss"] + t["reconstruction"]) / t["kl"] for t in now]
    assert weights == pytest.approx([0.0, 1.0, 2.0, 2.0], abs=1e-3)
    with pytest.raises(ValueError, match="needs the training step"):
        next(objective.losses(model, Batch(X), Streams(0, "evaluation", 0, len(X))))


def test_iwae_of_one_draw_is_the_elbo_and_more_draws_are_tighter():
    model = image_model().double()
    x = X.double().repeat(20, 1, 1, 1)
    one, many = terms(IWAE(1), model, x), terms(IWAE(20), model, x)
    assert one["bound"] == pytest.approx(one["elbo"])
    assert one["elbo"] == pytest.approx(terms(ELBO(), model, x)["elbo"], abs=0.5)  # sampled KL beside the closed form
    assert many["bound"] > one["bound"]
    streams = Streams(0, "train/0", 0, len(x), dtype=torch.float64)
    assert many["bound"] == pytest.approx(model.importance_log_prob(x, 20, streams).mean().item())


@pytest.mark.parametrize("objective", [ELBO(), ELBO(free_bits=0.05, annealing=10), IWAE(4)])
def test_two_halves_average_to_the_whole(objective):
    """A loss is a mean over examples, with the randomness of its own streams: two machines train as one."""
    model = image_model().double()
    x, streams = X.double(), Streams(0, "train/5", 0, 12, dtype=torch.float64)
    halves = [
        next(objective.losses(model, part, own)).value.item()
        for part, own in zip(Batch(x, step=5).chunks(2), streams.chunks(2), strict=True)
    ]
    assert math.fsum(halves) / 2 == pytest.approx(value(objective, model, x, step=5).item(), rel=1e-12)


@pytest.mark.parametrize("objective", [ELBO(annealing=20), IWAE(3)])
def test_training_lowers_the_loss(objective):
    """Bars in one of eight places, log 8 = 2.1 nats: the bound comes down from 45."""
    model = image_model(network=MLP)
    bars = torch.eye(8)[torch.arange(64) % 8].view(64, 1, 1, 8).expand(64, 1, 8, 8).contiguous()
    before = -model.log_prob(bars).mean().item()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(200):
        loss = value(objective, model, bars, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = -model.log_prob(bars).mean().item()
    assert before > 40
    assert math.log(8) < after < 10


def test_bfloat16_answers_are_summed_in_float32():
    model = image_model()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = value(ELBO(), model, X)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(value(ELBO(), model, X).item(), rel=0.01)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: ELBO(beta=-1.0), "beta = -1.0"),
        (lambda: ELBO(annealing=-1), "annealing = -1"),
        (lambda: ELBO(samples=0), "samples = 0"),
        (lambda: IWAE(0), "k = 0"),
    ],
)
def test_bad_options_are_named(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
