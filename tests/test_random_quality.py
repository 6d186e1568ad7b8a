"""Random streams are uniform and independent: within a row, across rows, across purposes and across seeds.

Every test is deterministic; a probability of 10⁻⁵ is what a right generator had to fail by, once and for all.
"""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from zoo_core import randomness
from zoo_core.randomness import Streams

LEVEL = 1e-5
COUNT = 65_536


def within_a_row(count: int) -> Tensor:
    return Streams(0, "quality", 0, 1, dtype=torch.float64).uniform(count)[0]


def across_rows(count: int) -> Tensor:
    return Streams(0, "quality", 0, count, dtype=torch.float64).uniform()


def over_many_draws(count: int) -> Tensor:
    streams = Streams(0, "quality", 0, count // 256, dtype=torch.float64)
    return torch.stack([streams.uniform() for _ in range(256)]).flatten()


def a_few_of_each_row(count: int) -> Tensor:
    return Streams(0, "quality", 0, count // 4, dtype=torch.float64).uniform(4).flatten()


def across_purposes(count: int) -> Tensor:
    runs = [Streams(0, f"train/{k}", 0, 64, dtype=torch.float64).uniform() for k in range(count // 64)]
    return torch.stack(runs, 1).flatten()


def across_seeds(count: int) -> Tensor:
    runs = [Streams(k, "sample", 0, 64, dtype=torch.float64).uniform() for k in range(count // 64)]
    return torch.stack(runs, 1).flatten()


ORDERS = [within_a_row, across_rows, over_many_draws, a_few_of_each_row, across_purposes, across_seeds]


@pytest.fixture(scope="module", params=ORDERS, ids=lambda order: order.__name__)
def u(request: pytest.FixtureRequest) -> Tensor:
    """Numbers that lie next to each other in one of the orders in which they might be alike."""
    return request.param(COUNT)


def chi_square(counts: Tensor, expected: Tensor | float) -> float:
    """The probability of a deviation as large."""
    statistic = ((counts - expected).square() / expected).sum().item()
    return stats.chi2.sf(statistic, counts.numel() - 1)


def usual(p: float) -> bool:
    """Neither too far from what is expected nor too near."""
    return LEVEL < p < 1 - LEVEL


def test_they_are_uniform(u):
    assert u.min() >= 0
    assert u.max() < 1
    assert usual(chi_square(torch.bincount((u * 256).long(), minlength=256).double(), len(u) / 256))
    assert usual(stats.kstest(u.numpy(), "uniform").pvalue)


def test_neighbours_are_independent(u):
    for lag in (1, 2, 3, 4, 5, 8, 64, 100):
        pair = (u[:-lag] * 16).long() * 16 + (u[lag:] * 16).long()
        assert usual(chi_square(torch.bincount(pair, minlength=256).double(), len(pair) / 256))
        centred = u - 0.5
        correlation = (centred[:-lag] * centred[lag:]).mean() * 12
        assert abs(correlation) < 4.5 / math.sqrt(len(u))
    triple = (u[: len(u) // 3 * 3].view(-1, 3) * 8).long() @ torch.tensor([64, 8, 1])
    assert usual(chi_square(torch.bincount(triple, minlength=512).double(), len(triple) / 512))


def test_every_bit_is_fair_and_owes_nothing_to_the_next_numbers(u):
    bits = ((u * 2.0**53).long()[:, None] >> torch.arange(53)) & 1
    signs = 2.0 * bits.double() - 1
    limit = stats.norm.isf(LEVEL / 2 / (53 + 53**2 + 53 * 52 / 2)) * math.sqrt(len(u))  # one of so many sums
    assert signs.sum(0).abs().max() < limit
    assert (signs[:-1].T @ signs[1:]).abs().max() < limit
    same = signs.T @ signs
    assert (same - same.diag().diag()).abs().max() < limit


def test_no_frequency_stands_out(u):
    """The periodogram of noise is exponential: its largest ordinate, and the number above a twentieth."""
    power = torch.fft.rfft(u - 0.5).abs().square()[1:-1] / (len(u) / 12)
    assert power.max() < math.log(len(power) / LEVEL)
    above = int((power > math.log(20)).sum())
    assert usual(stats.binom.cdf(above, len(power), 0.05))


def test_birthday_spacings(u):
    """Marsaglia's: of 256 birthdays in 2²² days, spacings that come again number Poisson(256³/2²⁴ = 1)."""
    for shift in (0, 31):  # upper and lower bits
        days = ((u * 2.0**53).long() >> (31 - shift)) & (2**22 - 1)
        born = days.view(-1, 256).sort(1).values
        spacings = born.diff(dim=1, prepend=torch.zeros(len(born), 1, dtype=torch.int64)).sort(1).values
        again = int((spacings.diff(dim=1) == 0).sum())
        assert usual(stats.poisson.cdf(again, 256**3 / 2**24 * len(born)))


def test_one_bit_of_a_label_changes_half_of_the_bits():
    """Rows that differ by one bit, neighbours among them, and places that do."""
    mask = 2**53

    def distance(a: Streams, b: Streams) -> float:
        words = [(s.uniform(256) * mask).long() for s in (a, b)]
        different = words[0] ^ words[1]
        return sum(int(((different >> k) & 1).sum()) for k in range(53)) / (53 * 256)

    def one(index: int, place: int = 0) -> Streams:
        return Streams(0, "avalanche", index, 1, dtype=torch.float64, counter=place)

    for bit in range(62):
        assert abs(distance(one(0), one(2**bit)) - 0.5) < 5 * 0.5 / math.sqrt(53 * 256)
        if bit > 6:  # nearer places have numbers in common
            assert abs(distance(one(0), one(0, 2**bit)) - 0.5) < 5 * 0.5 / math.sqrt(53 * 256)


def test_uniforms_have_53_bits():
    u = Streams(0, "bits", 0, 1000, dtype=torch.float64).uniform(100)
    last = (u * 2.0**53).long()
    assert torch.equal(last.double() / 2.0**53, u)
    assert len(u.flatten().unique()) == u.numel()
    single = Streams(0, "bits", 0, 1000).uniform(100)
    assert torch.equal((single * 2.0**24).round() / 2.0**24, single)
    assert single.max() < 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_normal(dtype):
    x = Streams(0, "normal", 0, 400, dtype=dtype).normal(501).double()
    n = x.numel()
    assert usual(stats.kstest(x.flatten().numpy(), "norm").pvalue)
    # Moments 1 … 6, the standard error from the moments of twice the order.
    for order, moment in enumerate((0, 1, 0, 3, 0, 15), start=1):
        spread = math.sqrt((math.prod(range(1, 2 * order, 2)) - moment**2) / n)
        assert abs(x.pow(order).mean().item() - moment) < 4.5 * spread
    rows, columns = x.mean(1) * math.sqrt(x.shape[1]), x.mean(0) * math.sqrt(x.shape[0])
    for means in (rows, columns):
        assert usual(stats.kstest(means.numpy(), "norm").pvalue)
    # The two of a pair, and the sums of their squares, which are exponential.
    pair = Streams(0, "pairs", 0, 100_000, dtype=dtype).normal(2).double()
    assert abs((pair[:, 0] * pair[:, 1]).mean()) < 4.5 / math.sqrt(len(pair))
    assert usual(stats.kstest(pair.square().sum(1).numpy() / 2, "expon").pvalue)
    assert usual(stats.kstest(torch.atan2(pair[:, 1], pair[:, 0]).numpy() / math.pi, "uniform", (-1, 2)).pvalue)


@pytest.mark.parametrize(("dtype", "reach"), [(torch.float32, 6.76), (torch.float64, 9.49)])
def test_the_tails_reach_far(dtype, reach):
    """The words of the smallest u: beyond 5.8 deviations, where 24 bits stop, and finite; the largest u gives zero."""
    smallest, largest = torch.zeros(1, 1, 1, dtype=torch.int64), torch.full((1, 1, 1), 2**32 - 1)
    for words, expected in ((smallest, reach), (largest, 0.0)):
        both, out = torch.stack([words, smallest]), torch.empty(2, 1, 1, 1, dtype=dtype)
        randomness._box_muller(both, both, out)
        assert out[0].item() == pytest.approx(expected, abs=0.005)
        assert out[1].item() == 0


def test_integers_and_categories_are_as_probable_as_they_say():
    streams = Streams(0, "counts", 0, 20_000)
    for high in (2, 3, 10, 1000):
        counts = torch.bincount(streams.integers(high, 10).flatten(), minlength=high).double()
        assert usual(chi_square(counts, 200_000 / high))
    p = torch.tensor([0.5, 0.2, 0.25, 0.04, 0.01])
    for given in (p, 3 * p, p.expand(20_000, 5)):
        counts = torch.bincount(streams.categorical(given), minlength=5).double()
        assert usual(chi_square(counts, 20_000 * p.double()))
    counts = torch.bincount(streams.categorical(p.expand(20_000, 7, 5)).flatten(), minlength=5).double()
    assert usual(chi_square(counts, 140_000 * p.double()))


@pytest.mark.slow
def test_as_many_far_out_as_there_should_be():
    """Of 2²⁸ normals 10.2 are expected beyond 5.5 deviations, and 154 beyond 5."""
    beyond = dict.fromkeys((4.0, 4.5, 5.0, 5.5), 0)
    streams = Streams(0, "tails", 0, 2**12)
    for _ in range(64):
        x = streams.normal(2**10).abs_()
        x = x[x > 4]
        for level in beyond:
            beyond[level] += int((x > level).sum())
    for level, count in beyond.items():
        assert usual(stats.poisson.cdf(count, 2**28 * 2 * stats.norm.sf(level))), (level, count)
    assert beyond[5.5] > 0


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS[:4], ids=lambda order: order.__name__)
def test_four_million(order):
    """The same questions with 2²² numbers: finer cells, more dimensions, collisions, ranks of binary matrices."""
    u = order(2**22)
    assert usual(stats.kstest(u.numpy(), "uniform").pvalue)
    assert usual(chi_square(torch.bincount((u * 2**16).long(), minlength=2**16).double(), len(u) / 2**16))
    for dimensions, cells in ((2, 256), (3, 32), (4, 16), (8, 4)):
        points = (u[: len(u) // dimensions * dimensions].view(-1, dimensions) * cells).long()
        index = points @ cells ** torch.arange(dimensions)
        counts = torch.bincount(index, minlength=cells**dimensions).double()
        assert usual(chi_square(counts, len(index) / cells**dimensions))
    low = ((u * 2.0**53).long() & 0xFFFF).double()  # the last 16 bits
    assert usual(chi_square(torch.bincount(low.long(), minlength=2**16).double(), len(u) / 2**16))
    test_every_bit_is_fair_and_owes_nothing_to_the_next_numbers(u[: 2**20])
    test_no_frequency_stands_out(u)
    test_birthday_spacings(u)
    assert usual(rank_test((u[: 2**20] * 2.0**32).long().view(-1, 32)))


def rank_test(rows: Tensor) -> float:
    """Marsaglia's ranks of 32 × 32 binary matrices: how usual is the number of 32, 31, 30 and fewer."""
    rows = rows.clone()
    rank = torch.zeros(len(rows), dtype=torch.int64)
    for bit in range(32):
        has = (rows >> bit & 1).bool()
        place = torch.arange(32).expand_as(rows)
        free = has & (place >= rank[:, None])
        pivot = torch.where(free, place, 32).amin(1)
        found = pivot < 32
        at, to = pivot.clamp(max=31)[:, None], rank.clamp(max=31)[:, None]
        row, other = rows.gather(1, at), rows.gather(1, to)
        swapped = rows.scatter(1, at, other).scatter(1, to, row)
        clear = (swapped >> bit & 1).bool() & (place != to)
        rows = torch.where(found[:, None], torch.where(clear, swapped ^ row, swapped), rows)
        rank += found
    counts = torch.stack([(rank == 32).sum(), (rank == 31).sum(), (rank < 31).sum()]).double()
    expected = torch.tensor([0.288788, 0.577576, 0.133636], dtype=torch.float64) * len(rows)
    return chi_square(counts, expected)
