"""Autoregressive tables: densities by quadrature and enumeration, completions, missing cells, and a user's columns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from zoo_autoregressive.any_order import AnyOrder
from zoo_autoregressive.columns import Margin
from zoo_autoregressive.completion import AnyOrderCompletion
from zoo_autoregressive.mixtures import UNIT, mixture_log_density, mixture_log_mass
from zoo_autoregressive.quantiles import QuantileMap
from zoo_autoregressive.table import AutoregressiveTable
from zoo_core.errors import IncompatibleError
from zoo_core.filling import fill, way_of
from zoo_core.interfaces import Batch, Streams

NUMBER, COLOUR, SWITCH = {"kind": "number"}, {"kind": "category", "size": 3}, {"kind": "category", "size": 2}
COUNT = {"kind": "whole", "mean": 2.0, "std": 1.5}


def shaken(*columns: dict[str, object], scale: float = 1.0) -> AutoregressiveTable:
    """A small model whose columns depend on each other strongly, with maps that are not the identity."""
    width = sum(Margin.of(column).width for column in columns)
    model = AutoregressiveTable([width], columns, hidden=16, components=2, knots=6)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale / math.sqrt(parameter.shape[-1]))
    for place in range(len(model.columns.real)):
        values = torch.randn(60, generator=generator)
        model.columns.map.fit(place, values.exp() - 1.5 if place % 2 else values)
    return model.eval().requires_grad_(False)


def cells(*codes: tuple[int, int]) -> Tensor:
    """The numbers that stand for categories inside a model, without noise, ``(1, width)``."""
    return torch.cat([2.0 * torch.nn.functional.one_hot(torch.tensor([c]), size) - 1.0 for c, size in codes], 1)


def everything() -> Tensor:
    """All rows of a table of three and two categories."""
    return torch.cat([cells((a, 3), (b, 2)) for a in range(3) for b in range(2)])


def test_the_map_is_its_inverse_and_has_its_slope():
    model = QuantileMap(2, 8)
    values = torch.randn(200, generator=torch.Generator().manual_seed(0))
    model.fit(0, values)
    model.fit(1, values.exp())
    x = torch.linspace(-6, 6, 401).double()[:, None].expand(-1, 2).clone().requires_grad_()
    model = model.double()
    z, log_slope = model(x)
    slopes = torch.autograd.grad(z.sum(), x)[0]
    assert torch.allclose(slopes, log_slope.exp())
    assert (z.diff(dim=0) > 0).all()
    for column in range(2):
        assert torch.allclose(model.inverse(z[:, column], column), x[:, column], atol=1e-9)
        assert torch.equal(model(x[:, column], column)[0], z[:, column])


def test_the_map_takes_data_to_the_logistic_distribution():
    """The greatest distance from its distribution function is at most one knot: 1/30."""
    model = QuantileMap(1, 31)
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0)).exp()
    model.fit(0, values)
    z = model(values, 0)[0].sort().values
    assert (torch.sigmoid(z / UNIT) - (torch.arange(5000) + 0.5) / 5000).abs().max() < 1 / 30


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0, 5.0], [0.0, 1e-6, 2e-6, 1.0], [3.0, 4.0], [0.0] * 50 + [1.0]])
def test_the_map_takes_values_that_repeat(values):
    model = QuantileMap(1, 16)
    model.fit(0, torch.tensor(values))
    x = torch.linspace(-3, 8, 50)
    z, log_slope = model(x, 0)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_slope).all()
    assert (z.diff() > 0).all()


def test_masses_of_intervals_are_integrals():
    answer = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).double()
    at = torch.linspace(-1.0, 1.5, 20001, dtype=torch.float64)
    density = mixture_log_density(at[None], answer[:, None].expand(-1, 20001, -1)).exp()
    integral = torch.trapezoid(density, at)
    mass = mixture_log_mass(torch.full((5,), -1.0).double(), torch.full((5,), 1.5).double(), answer).exp()
    assert torch.allclose(mass, integral, atol=1e-7)
    far = mixture_log_mass(torch.tensor(60.0).double(), torch.tensor(60.1).double(), answer[0])
    assert torch.isfinite(far), "no cancellation far away"


def test_the_density_of_numbers_integrates_to_one():
    """Each column's density given those before it, by trapezia from −548 to 548, to 1e-3: T′ jumps at the knots."""
    model = shaken(NUMBER, NUMBER, scale=0.6).double()
    axis = torch.sinh(torch.linspace(-7, 7, 40001, dtype=torch.float64))
    for column, given in ((0, 0.0), (1, -0.7), (1, 0.4)):
        rows = torch.full((len(axis), 2), given, dtype=torch.float64)
        rows[:, column] = axis
        wanted = torch.zeros(len(axis), 2, dtype=torch.bool)
        wanted[:, column] = True
        known = torch.arange(2).expand(len(axis), -1) < column
        density = model.chain(rows, known, wanted).exp()
        assert torch.trapezoid(density, axis).item() == pytest.approx(1.0, abs=1e-3)


def test_probabilities_of_categories_sum_to_one():
    model = shaken(COLOUR, SWITCH).double()
    assert model.log_prob(everything().double()).exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    outside = everything().double()
    outside[:, 0] = 0.1
    assert (model.log_prob(outside) == -torch.inf).all(), "there is nothing outside of the cubes"


def test_probabilities_of_whole_numbers_sum_to_one():
    model = shaken(COUNT, SWITCH).double()
    v = torch.arange(-400, 400, dtype=torch.float64)
    x = torch.cat([torch.cat([((v - 2.0) / 1.5)[:, None], cells((c, 2)).double().expand(800, -1)], 1) for c in (0, 1)])
    total = (model.log_prob(x) - math.log(1.5)).exp().sum().item()
    assert total == pytest.approx(1.0, abs=1e-6)
    moved = x.clone()
    moved[:, 0] += 0.3 / 1.5
    assert torch.allclose(model.log_prob(moved), model.log_prob(x)), "the density is even within a whole number's cell"


def test_a_column_depends_on_those_before_it_only():
    """∂ log q(x_j | …)/∂x_i = 0 for i > j, and not for i < j."""
    model = shaken(NUMBER, NUMBER, NUMBER, NUMBER).double()

    def terms(x: Tensor) -> Tensor:
        wanted = torch.eye(4, dtype=torch.bool)
        before = torch.ones(4, 4, dtype=torch.bool).tril(-1)
        return model.chain(x.expand(4, -1), before, wanted)

    slopes = torch.autograd.functional.jacobian(terms, torch.tensor([[0.3, -0.2, 0.7, 0.1]]).double())[:, 0]
    assert (slopes.triu(1) == 0).all()
    assert slopes.tril(-1)[torch.ones(4, 4).tril(-1).bool()].abs().min() > 0


def test_unknown_cells_are_not_read():
    model = shaken(NUMBER, COLOUR, COUNT)
    x = torch.cat([torch.randn(6, 1), cells((1, 3)).expand(6, -1), torch.randn(6, 1)], 1)
    known = torch.tensor([[True, False, True]]).expand(6, -1)
    other = torch.where(known[:, model.columns.of_number], x, 77.0)
    streams = [Streams(0, "test", 0, 6) for _ in range(2)]
    assert torch.equal(model.drawn(x, known, streams[0]), model.drawn(other, known, streams[1]))


def test_samples_have_the_probabilities():
    """Frequencies of 20,000 rows are within 5 standard errors of the enumerated probabilities."""
    model = shaken(COLOUR, SWITCH)
    drawn = model.draw(Streams(0, "test", 0, 20_000))
    place = drawn[:, :3].argmax(1) * 2 + drawn[:, 3:].argmax(1)
    p = model.log_prob(everything()).exp()
    found = torch.bincount(place, minlength=6) / 20_000
    assert ((found - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()
    assert torch.isfinite(model.log_prob(drawn)).all(), "samples lie within the cubes"


def test_whole_numbers_are_drawn_with_their_probabilities():
    model = shaken(COUNT, SWITCH)
    drawn = model.draw(Streams(0, "test", 0, 20_000))
    v = (drawn[:, 0] * 1.5 + 2.0).round()
    for value in range(-1, 6):
        number = torch.tensor([[(value - 2.0) / 1.5]]).expand(2, -1)
        rows = torch.cat([number, torch.cat([cells((0, 2)), cells((1, 2))])], 1)
        p = (model.log_prob(rows) - math.log(1.5)).exp().sum().item()
        assert abs((v == value).double().mean().item() - p) < 5 * math.sqrt(p * (1 - p) / 20_000) + 1e-9


def test_a_beginning_of_the_columns_is_completed_exactly():
    """Draws given the first column have the conditional probabilities p(x)/p(x_1), by enumeration."""
    model, n = shaken(COLOUR, SWITCH), 20_000
    x = cells((2, 3), (0, 2)).expand(n, -1)
    known = torch.tensor([True, True, True, False, False]).expand(n, -1)
    made = model.complete(x, known, Streams(0, "test", 0, n))
    p = model.log_prob(everything()[4:]).softmax(0)
    share = made[:, 3:].argmax(1).double().mean().item()
    assert abs(share - p[1].item()) < 5 * math.sqrt(p[0] * p[1] / n)
    assert model.completes(known) is None
    assert way_of(model, known) is None


def test_other_cells_are_completed_by_proposals():
    """One proposal follows the learned q(x_1 | x_2); many follow p: the total variation is at most 0.04."""
    model, n = shaken(COLOUR, SWITCH), 4000
    x = cells((0, 3), (1, 2)).expand(n, -1).clone()
    known = torch.tensor([False, False, False, True, True]).expand(n, -1)
    assert way_of(model, known).name == "any-order"
    expected = model.log_prob(everything()[1::2]).double().softmax(0)

    def away(proposals: int) -> float:
        made = fill(model, x, known, sampler="any-order", proposals=proposals)[0]
        share = torch.bincount(made[:, :3].argmax(1), minlength=3) / n
        return 0.5 * (share - expected).abs().sum().item()

    assert away(1) > 0.06
    assert away(100) < 0.04


def test_a_completion_depends_on_its_row_only():
    model = shaken(NUMBER, COLOUR, COUNT)
    x = model.draw(Streams(1, "test", 0, 20))
    known = (torch.arange(20)[:, None] + torch.arange(3)) % 3 > 0
    known[3] = True
    known[4] = False
    inside = known[:, model.columns.of_number]
    whole = fill(model, x, inside, seed=3, sampler="any-order")[0]
    assert torch.allclose(whole, fill(model, x, inside, seed=3, sampler="any-order", batch_size=3)[0], atol=1e-5)
    assert torch.equal(whole[inside], x[inside])


def test_missing_cells_are_left_out():
    """log p of a row with holes is the chain over its other cells; without any it is 0, and with the last one, ∫ p."""
    model = shaken(COLOUR, SWITCH)
    x = everything()
    last = x.clone()
    last[:, 3:] = math.nan
    marginal = model.log_prob(x).view(3, 2).logsumexp(1)
    assert torch.allclose(model.log_prob(last).view(3, 2)[:, 0], marginal, atol=1e-5)
    assert (model.log_prob(torch.full_like(x, math.nan)) == 0).all()


def correlated(n: int) -> Tensor:
    """Rows of two numbers with correlation 0.8, and a category that is their sign."""
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    second = 0.8 * noise[:, :1] + 0.6 * noise[:, 1:]
    code = (noise[:, :1] > 0).float()
    return torch.cat([noise[:, :1], second, 1 - 2 * code, 2 * code - 1], 1)


class Given:
    """Training data that are held in memory."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def first(self) -> Batch:
        return Batch(self.x[:64])

    def batches(self, size=None):
        yield from (Batch(part) for part in self.x.split(size or len(self.x)))


def trained(x: Tensor, steps: int = 250) -> AutoregressiveTable:
    torch.manual_seed(0)
    model = AutoregressiveTable([4], [NUMBER, NUMBER, SWITCH], hidden=32, knots=16)
    objective = AnyOrder()
    objective.initialise(model, Given(x), 0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        rows = torch.randint(len(x), (256,), generator=torch.Generator().manual_seed(step))
        (loss,) = objective.losses(model, Batch(x[rows]), Streams(0, f"train/{step}", 0, 256))
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def with_holes(x: Tensor, share: float) -> Tensor:
    holes = torch.rand(len(x), 3, generator=torch.Generator().manual_seed(9)) < share
    return x.masked_fill(holes[:, [0, 1, 2, 2]], math.nan)


@pytest.mark.slow
def test_training_with_holes_tends_to_training_without():
    """The loss of held-out likelihood by missing cells goes to 0 with their share, and all beat independent columns."""
    x = correlated(3000)
    held_out = correlated(6000)[3000:]
    nll = [-trained(with_holes(x, share)).log_prob(held_out).mean().item() for share in (0.0, 0.02, 0.2, 0.5)]
    independent = trained(x, steps=0).log_prob(held_out).mean().neg().item()
    assert nll[1] - nll[0] < 0.02
    assert nll[2] - nll[0] < 0.1
    assert max(nll) < independent - 0.5


@pytest.mark.slow
def test_completions_of_a_trained_model_are_the_conditionals():
    """x_1 given x_2 = 1 and x_1 > 0 is N(0.8, 0.6²), truncated at 0: mean 0.903, std 0.508; to within 0.08."""
    model, n = trained(correlated(20_000), steps=1200), 4000
    x = torch.tensor([[math.nan, 1.0, -1.0, 1.0]]).expand(n, -1).clone()
    drawn = fill(model, x, seed=0)[0][:, 0]
    assert drawn.mean().item() == pytest.approx(0.903, abs=0.08)
    assert drawn.std().item() == pytest.approx(0.508, abs=0.08)
    assert (drawn > -0.1).double().mean() > 0.97


def test_known_cells_are_drawn_among_those_that_are_there():
    present = torch.rand(500, 6, generator=torch.Generator().manual_seed(0)) < 0.7
    for share in (0.0, 1.0):
        known, factor = AnyOrder(share).known(present, Streams(0, "train", 0, 500))
        assert not (known & ~present).any()
        left = present.sum(1) - known.sum(1)
        assert (left[present.any(1)] > 0).all(), "something is left to be predicted"
        assert torch.allclose(factor[left > 0], (present.sum(1) / left)[left > 0].float())
        if share == 1.0:
            first = present.cumsum(1) <= known.sum(1, keepdim=True)
            assert torch.equal(known, first & present)


def test_training_begins_with_the_distribution_of_each_column():
    """Before the first step, −log p is that of independent columns: of normal numbers and of a fair sign."""
    x = correlated(4000)
    model = trained(x, steps=0)
    expected = 2 * 0.5 * math.log(2 * math.pi * math.e) + math.log(2)
    assert -model.log_prob(x).mean().item() == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"shape": [3], "columns": [NUMBER]}, "columns have 1 numbers, and shape has 3"),
        ({"shape": [1], "columns": [{"kind": "text"}]}, "expected kind = number, whole"),
        ({"shape": [1], "columns": [{"type": "number"}]}, "expected kind, and mean, std or size"),
        ({"shape": [1], "columns": [{"kind": "whole", "std": 0.0}]}, "std > 0"),
        ({"shape": [1, 2, 2]}, "expected one axis"),
        ({"shape": [2], "components": 0}, "components = 0"),
        ({"shape": [2], "dropout": 1.0}, "a share below 1"),
        ({"shape": [2], "knots": 1}, "knots = 1"),
    ],
)
def test_bad_arguments_are_named(config, says):
    with pytest.raises(IncompatibleError, match=says):
        AutoregressiveTable(**config)


def test_bad_options_are_named():
    with pytest.raises(IncompatibleError, match="in_order = 2"):
        AnyOrder(2.0)
    with pytest.raises(IncompatibleError, match="proposals = 0"):
        AnyOrderCompletion(0)


def test_samplers_of_other_families_are_not_named():
    """A table has two ways to be completed; a mixture, none of those of this plugin."""
    import zoo_core

    x = torch.tensor([[math.nan, 0.0]])
    table = zoo_core.load("autoregressive-table-moons")
    with pytest.raises(IncompatibleError, match=r"'direct' completes no samples; those that do: any-order, inpaint$"):
        fill(table, x, sampler="direct")
    assert way_of(table, ~x.isnan()).name == "any-order"
    with pytest.raises(IncompatibleError, match=r"those that do: inpaint$"):
        fill("gmm-eight-gaussians", x, sampler="direct")
    with pytest.raises(IncompatibleError, match="is for models of tables in any order"):
        fill("gmm-eight-gaussians", x, sampler="any-order")
