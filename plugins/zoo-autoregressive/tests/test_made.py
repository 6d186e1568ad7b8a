"""Masked autoencoders: the autoregressive property by gradients, probabilities by enumeration, and completions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo_autoregressive.ancestral import Ancestral
from zoo_autoregressive.completion import Particles
from zoo_autoregressive.made import MADE
from zoo_autoregressive.objective import MaskedLikelihood
from zoo_autoregressive.orders import degrees, positions
from zoo_core.errors import IncompatibleError
from zoo_core.filling import fill, way_of
from zoo_core.interfaces import Batch, Call, Streams
from zoo_core.sampling import sample

SHAPE = [1, 2, 4]
BITS = 8
STATES = ((torch.arange(2**BITS)[:, None] >> torch.arange(BITS)) & 1).float().view(-1, *SHAPE)
ORDERS = pytest.mark.parametrize(("order", "masks"), [("raster", 1), ("raster", 3), ("random", 3)])


def shaken(order: str = "raster", masks: int = 1, hidden: tuple[int, ...] = (16, 16), direct: bool = True) -> MADE:
    """A small model whose pixels depend on each other strongly."""
    model = MADE(SHAPE, hidden, masks, order, direct)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.7 if parameter.dim() > 1 else 0.3))
    return model.eval().requires_grad_(False)


def conditional(model: MADE, x: Tensor, known: Tensor) -> Tensor:
    """Enumerates p(state | known pixels of x), ``(states,)``."""
    agrees = ((x == STATES) | ~known).flatten(1).all(1)
    return torch.softmax(torch.where(agrees, model.log_prob(STATES).double(), -torch.inf), 0)


def far(states: Tensor, expected: Tensor) -> float:
    """A χ² statistic of draws, minus its mean, in its standard deviations."""
    number = (states.flatten(1).long() << torch.arange(BITS)).sum(1)
    counts = torch.bincount(number, minlength=len(expected)).double()
    likely = expected * len(states) >= 5
    wanted = torch.cat([expected[likely], expected[~likely].sum()[None]]) * len(states)
    found = torch.cat([counts[likely], counts[~likely].sum()[None]])
    wanted, found = wanted[wanted > 0], found[wanted > 0]
    freedom = len(wanted) - 1
    return (((found - wanted) ** 2 / wanted).sum().item() - freedom) / (2 * freedom) ** 0.5


@ORDERS
@pytest.mark.parametrize("hidden", [(16,), (16, 16), (5, 5, 5)])
def test_a_pixel_depends_on_those_before_it_only(order, masks, hidden):
    model = shaken(order, masks, hidden)
    for mask in range(masks):
        slopes = torch.autograd.functional.jacobian(lambda x, m=mask: model.logits(x, m).sum(0), torch.rand(1, BITS))
        position = model.position[mask]
        before = position[None] < position[:, None]
        assert not slopes[:, 0][~before].any(), "a pixel depends on one that is not before it"
        assert slopes[:, 0][before].abs().min() > 0, "direct connections reach every pixel before"


@ORDERS
@pytest.mark.parametrize("direct", [True, False])
def test_probabilities_sum_to_one(order, masks, direct):
    model = shaken(order, masks, direct=direct).double()
    assert model.log_prob(STATES.double()).exp().sum().item() == pytest.approx(1.0, abs=1e-10)


@ORDERS
def test_samples_have_the_probabilities(order, masks):
    """χ² of 20,000 samples over 256 states is within 5 standard deviations of its mean."""
    model = shaken(order, masks)
    drawn = model.draw(Streams(0, "test", 0, 20_000))
    assert abs(far(drawn, model.log_prob(STATES).double().exp())) < 5


@ORDERS
def test_pixel_by_pixel_is_the_whole_network(order, masks):
    """The log-odds computed incrementally are those of an evaluation of the network, in float64 to 1e-12."""
    model = shaken(order, masks).double()
    x = STATES[::7].double()
    for mask in range(masks):
        run = Ancestral(model, mask, len(x), torch.float64)
        whole = model.logits(x, mask)
        for pixel in run.order.tolist():
            assert torch.allclose(run.logits(), whole[:, pixel], atol=1e-12)
            run.append(x.flatten(1)[:, pixel])
        assert torch.equal(run.pixels(), x.flatten(1))


def test_sample_i_depends_on_the_seed_and_on_i_only():
    model = shaken("random", 3)
    whole = sample(model, 20, sampler="direct", seed=5)
    assert torch.equal(whole, sample(model, 20, sampler="direct", seed=5, batch_size=7))


@pytest.mark.parametrize("masks", [1, 3])
def test_a_beginning_of_the_order_is_completed_exactly(masks):
    model, draws = shaken("raster", masks), 20_000
    known = torch.arange(BITS).view(SHAPE) < 3
    x = STATES[5]
    made = fill(model, x.expand(draws, *SHAPE).clone(), known.expand(draws, *SHAPE), seed=1, batch_size=5000)[0]
    assert (made[:, known] == x[known]).all()
    assert abs(far(made, conditional(model, x, known))) < 5
    assert way_of(model, known[None]) is None


@pytest.mark.parametrize(("order", "masks"), [("raster", 1), ("random", 2)])
def test_other_pixels_are_completed_by_particles(order, masks):
    """With 100 particles the total variation from the enumerated conditional is at most 0.05, 0.02 of it noise."""
    model, draws = shaken(order, masks), 4000
    known = torch.arange(BITS).view(SHAPE) >= 4
    x = STATES[0b10110000]
    made = fill(model, x.expand(draws, *SHAPE).clone(), known.expand(draws, *SHAPE), sampler="particles", particles=100)
    expected = conditional(model, x, known)
    number = (made[0].flatten(1).long() << torch.arange(BITS)).sum(1)
    found = torch.bincount(number, minlength=2**BITS).double() / draws
    assert 0.5 * (found - expected).abs().sum() < 0.05
    alone = fill(model, x.expand(draws, *SHAPE).clone(), known.expand(draws, *SHAPE), sampler="particles", particles=1)
    number = (alone[0].flatten(1).long() << torch.arange(BITS)).sum(1)
    plain = torch.bincount(number, minlength=2**BITS).double() / draws
    assert 0.5 * (plain - expected).abs().sum() > 0.1, "one particle does not know what comes later"
    assert way_of(model, known[None]).name == "particles"


def test_all_masks_are_trained_in_turn():
    model = MADE(SHAPE, (16,), 2, "random").train()
    objective, x, streams = MaskedLikelihood(), STATES[:50], Streams(0, "train", 0, 50)
    for step in range(2):
        (loss,) = objective.losses(model, Batch(x, step=step), streams)
        assert loss.value.item() == pytest.approx(-model.pixel_log_prob(x, step).sum(1).mean().item())
    weights = torch.arange(50.0)
    (loss,) = objective.losses(model, Batch(x, weights=weights, step=0), streams)
    expected = -(weights * model.pixel_log_prob(x, 0).sum(1)).sum() / weights.sum()
    assert loss.value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_bound_of_several_masks_is_above_the_mixture():
    model = shaken("random", 3)
    each = torch.stack([model.pixel_log_prob(STATES, mask).sum(1) for mask in range(3)])
    assert (each.mean(0) <= model.log_prob(STATES) + 1e-5).all()


def test_positions_and_degrees_are_permutations_and_reach_all():
    position, degree = positions(9, 4, "random"), degrees(20, 9, 4)
    assert (position.sort(1).values == torch.arange(9)).all()
    assert not torch.equal(position[0], position[1])
    assert (degree.sort(1).values == degree[0]).all()
    assert torch.unique(degree).tolist() == list(range(8))
    assert torch.equal(position, positions(9, 4, "random")), "a config determines them"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"hidden": []}, "one hidden layer"),
        ({"hidden": [8, 9]}, "as many units in every layer"),
        ({"masks": 0}, "masks = 0"),
        ({"order": "spiral"}, "order = 'spiral'; expected raster or random"),
    ],
)
def test_bad_arguments_are_named(config, says):
    with pytest.raises(IncompatibleError, match=says):
        MADE(SHAPE, **config)
    with pytest.raises(IncompatibleError, match="particles = 0"):
        Particles(0)


def test_completion_refuses_what_no_order_begins_with():
    model = shaken()
    known = torch.zeros(1, *SHAPE, dtype=torch.bool)
    known[..., -1] = True
    assert "not the beginning" in str(model.completes(known))
    with pytest.raises(IncompatibleError, match="without options"):
        fill(model, STATES[:1], ~known | True, sampler=None, particles=3)
    call = Call(Streams(0, "draw", 0, 3))
    assert Particles().draw(model, call).shape == (3, *SHAPE)
