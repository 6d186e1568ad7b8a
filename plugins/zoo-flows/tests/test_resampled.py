"""A flow with an acceptance: its density is normalised, it is that of its samples, and it is a Glow at first."""

from __future__ import annotations

import pytest
import torch

from zoo_core.interfaces import Batch, Streams
from zoo_flows.glow import Glow
from zoo_flows.resampled import AcceptanceRegression, ResampledGlow
from zoo_flows.sampler import Tempered

GLOW = {"steps": 1, "width": 4, "levels": 1}


def stirred(tries: int) -> ResampledGlow:
    """In float64, with log-odds whose deviation is 2 over proposals, and Z measured with 20,000 of them."""
    model = ResampledGlow([1, 4, 4], tries=tries, acceptance_width=4, **GLOW).double().eval().requires_grad_(False)
    last = model.acceptance.last
    last.weight += Streams(0, "weights", 0, 1, dtype=torch.float64).normal(*last.weight.shape)[0]
    log_odds = model.acceptance(proposals(model, 1000))
    last.weight *= 2.0 / log_odds.std()
    last.bias -= 2.0 * log_odds.mean() / log_odds.std()
    model.measure(20_000, seed=1)
    return model


def proposals(model: ResampledGlow, n: int) -> torch.Tensor:
    return model.propose(Streams(2, "proposals", 0, n, dtype=torch.float64))


@pytest.mark.long
@pytest.mark.parametrize("tries", [2, 5, 200])
def test_the_density_is_normalised_and_that_of_the_samples(tries):
    """∫ p = E_q[p/q] = 1, and E_p f = E_q[f·p/q], within 4 standard errors of both means and that of Z."""
    model = stirred(tries)
    x = proposals(model, 20_000)
    ratio = model.log_ratio(x).exp()
    assert 0.05 < model.Z.item() < 0.95
    assert ratio.std() > 0.2, "the acceptance is the same for all: this shows nothing"
    assert ratio.mean().item() == pytest.approx(1.0, abs=4 * 1.5 * ratio.std().item() / 20_000**0.5)
    f = model.accepts
    drawn = f(model.draw(Streams(3, "sample", 0, 5_000, dtype=torch.float64)))
    expected = ratio * f(x)
    slack = 4 * (drawn.var() / 5_000 + 2.0 * expected.var() / 20_000).sqrt().item()
    assert drawn.mean().item() == pytest.approx(expected.mean().item(), abs=slack)
    assert abs(f(x).mean().item() - drawn.mean().item()) > 2 * slack, "samples are as the proposals: this shows nothing"


def test_log_prob_is_the_flows_and_the_ratios():
    model = stirred(5)
    x = proposals(model, 8)
    assert torch.equal(model.log_prob(x), Glow.log_prob(model, x) + model.log_ratio(x))


def test_with_one_try_it_is_the_flow():
    model = stirred(1)
    streams = Streams(0, "sample", 0, 6, dtype=torch.float64)
    assert torch.equal(model.draw_latent(streams), streams.restarted().normal(16))
    assert torch.equal(model.log_ratio(proposals(model, 6)), torch.zeros(6, dtype=torch.float64))


def test_a_sample_depends_on_its_own_stream():
    model = stirred(50)
    together = model.draw_latent(Streams(0, "sample", 0, 7, dtype=torch.float64), 0.8)
    alone = [model.draw_latent(Streams(0, "sample", i, 1, dtype=torch.float64), 0.8) for i in range(7)]
    assert torch.equal(together, torch.cat(alone))
    first = 0.8 * Streams(0, "sample", 0, 7, dtype=torch.float64).normal(16)
    assert not torch.equal(together, first), "every first proposal was taken: this shows nothing"


def test_it_starts_as_the_glow_that_it_is_given():
    glow = Glow([1, 4, 4], **GLOW)
    model = ResampledGlow([1, 4, 4], **GLOW)
    model.load_state_dict(model.started_from(glow.state_dict()))
    x = torch.rand(5, 1, 4, 4)
    assert torch.allclose(model.log_prob(x), glow.log_prob(x), atol=1e-5)
    assert model.load_state_dict(model.started_from(model.state_dict())).missing_keys == []


def test_training_moves_the_acceptance_alone_and_ends_with_its_rate():
    """Data that the flow hardly ever proposes: the log-odds learn to tell, and Z is the mean over proposals."""
    model = ResampledGlow([1, 4, 4], acceptance_width=4, dropout=0.0, **GLOW)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    objective, optimiser = AcceptanceRegression(512), torch.optim.Adam(model.players["acceptance"].parameters(), 0.01)
    data = 0.05 * torch.rand(64, 1, 4, 4)
    losses = []
    for step in range(40):
        for loss in objective.losses(model, Batch(data), Streams(0, f"train/{step}", 0, 64)):
            optimiser.zero_grad()
            loss.value.backward()
            optimiser.step()
            losses.append(loss.value.item())
    assert losses[0] == pytest.approx(2 * torch.log(torch.tensor(2.0)).item(), abs=1e-6)
    assert losses[-1] < 0.2
    objective.finish(model, 0)
    changed = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"acceptance", "Z"}
    with torch.no_grad():
        x = model.propose(Streams(0, "normaliser", 0, 512))
        assert model.Z.item() == pytest.approx(model.accepts(x).mean().item(), rel=1e-5)
    assert model.training


def test_the_temperature_is_that_of_the_proposals():
    model = stirred(3)
    cold = Tempered(0.0).sample(model, Streams(0, "sample", 0, 3, dtype=torch.float64))
    assert torch.equal(cold, model.decode(torch.zeros(3, 16, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tries": 0}, "tries = 0"),
        ({"acceptance_width": 1}, "acceptance_width = 1"),
        ({"classes": 10}, "classes = 10; resampled flows take no classes"),
        ({"dequantisation": {}}, "resampled flows take no classes"),
    ],
)
def test_bad_configurations_are_named(options, problem):
    with pytest.raises(ValueError, match=problem):
        ResampledGlow([1, 4, 4], **options)


def test_no_proposal_is_too_few():
    with pytest.raises(ValueError, match="proposals = 0"):
        AcceptanceRegression(0)
