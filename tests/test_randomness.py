"""Random streams: stable, the same however they are cut, and nobody else's.  How random: ``test_random_quality.py``."""

import math
from itertools import pairwise

import pytest
import torch

from zoo_core import randomness
from zoo_core.randomness import Streams, generator, stable_seed
from zoo_core.randomness.philox import Philox

CPU = torch.device("cpu")
HALF = 2**32
VECTORS = [
    # Random123 1.14, tests/kat_vectors: counter, key, block
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
"""Philox-4x32-10 as its authors publish it."""


def by_the_book(counter: list[int], key: list[int]) -> list[int]:
    """One block in Python's integers, as the paper writes it."""
    x, k = list(counter), list(key)
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [b // HALF ^ x[1] ^ k[0], b % HALF, a // HALF ^ x[3] ^ k[1], a % HALF]
        k = [(k[0] + 0x9E3779B9) % HALF, (k[1] + 0xBB67AE85) % HALF]
    return x


def word(seed: int, purpose: str, index: int, place: int) -> list[int]:
    """The block of a stream, by the book."""
    key = stable_seed(seed, purpose)
    return by_the_book([place % HALF, place // HALF, index % HALF, index // HALF], [key % HALF, key // HALF])


def signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("counter", "key", "block"), VECTORS)
def test_the_published_vectors(counter, key, block, plain):
    c, k, expected = ([int(part, 16) for part in text.split()] for text in (counter, key, block))
    place, row = (torch.tensor([signed(low + high * HALF)]) for low, high in (c[:2], c[2:]))
    (x0, x2), (x1, x3) = Philox(k[0] + k[1] * HALF, CPU, plain=plain).blocks(row, place).view(2, 2).tolist()
    assert [x0, x1, x2, x3] == expected == by_the_book(c, k)


def test_unsigned_and_signed_arithmetic_give_the_same_bits():
    """numpy's on a CPU, torch's anywhere else."""
    draw = torch.Generator().manual_seed(0)
    rows, places = (torch.randint(-(2**63), 2**63 - 1, (n,), generator=draw) for n in (300, 200))
    for key in (0, 1, 2**64 - 1, stable_seed(0, "sample")):
        ours, plain = (Philox(key, CPU, plain=plain).blocks(rows, places) for plain in (False, True))
        assert torch.equal(ours, plain)
        assert ours.min() >= 0
        assert ours.max() < HALF


def test_the_seed_is_a_promise():
    """Pinned: a change would change every sample that anyone ever drew."""
    assert stable_seed(0, "sample", 0) == 178316582436694654
    normals = [0.12088611, 1.2381362, 0.42371297, -0.70610726]
    assert Streams(0, "sample", 0, 1).normal(4).tolist() == [pytest.approx(normals, abs=1e-6)]
    assert Streams(0, "sample", 0, 3).integers(2**31).tolist() == [990544451, 2071387250, 1495019393]


def test_numbers_are_made_as_the_module_says():
    """Five numbers take two blocks, and two more for their lower bits; words of a kind lie together."""
    u = Streams(3, "x", 2**40 + 7, 2, dtype=torch.float64, counter=2**33).uniform(5)
    for row in range(2):
        blocks = [word(3, "x", 2**40 + 7 + row, 2**33 + place) for place in range(4)]
        # (x₀ of both blocks), (x₁ of both), (x₂ of both)
        words = [(blocks[b][lane] << 32) + blocks[b + 2][lane] for lane in range(4) for b in range(2)][:5]
        assert u[row].tolist() == [(w >> 11) / 2**53 for w in words]
    whole = Streams(3, "x", 2**40 + 7, 2, counter=2**33)
    assert torch.equal(whole.uniform(5).double(), (u * 2**24).floor() / 2**24)
    z = Streams(3, "x", 9, 1, dtype=torch.float64).normal(2)[0].tolist()
    upper, lower = (word(3, "x", 9, place) for place in (0, 1))
    first, second = ((upper[lane] << 32) + lower[lane] for lane in (0, 1))
    radius, angle = math.sqrt(-2 * math.log((first + 0.5) / 2**64)), 2 * math.pi * second / 2**64
    assert z == pytest.approx([radius * math.cos(angle), radius * math.sin(angle)], abs=1e-14)


def draws(streams: Streams, shape: tuple[int, ...]) -> list[torch.Tensor]:
    return [streams.normal(*shape), streams.uniform(*shape), streams.integers(7, *shape), streams.normal(*shape)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (3, 5), (40,), (0,)])
def test_any_split_into_batches_gives_the_same_bits(dtype, shape):
    whole = draws(Streams(7, "sample", 5, 40, dtype=dtype), shape)
    for cuts in ([0, 40], [0, 1, 2, 3, 40], [0, 17, 17, 33, 40], list(range(41))):
        parts = [draws(Streams(7, "sample", 5 + a, b - a, dtype=dtype), shape) for a, b in pairwise(cuts)]
        for expected, pieces in zip(whole, zip(*parts, strict=True), strict=True):
            assert expected.shape == (40, *shape)
            assert torch.equal(torch.cat(pieces), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_do_not_depend_on_how_the_work_is_cut(dtype, monkeypatch):
    whole = draws(Streams(7, "sample", 5, 10, dtype=dtype), (83,))
    for tile in (2, 3, 16, 50):  # blocks; a row has 21
        monkeypatch.setattr(randomness, "TILE", tile)
        for expected, found in zip(whole, draws(Streams(7, "sample", 5, 10, dtype=dtype), (83,)), strict=True):
            assert torch.equal(found, expected)


def test_seeds_purposes_and_draws_differ():
    whole = Streams(7, "sample", 0, 40).normal(3, 2)
    assert not torch.equal(whole, Streams(7, "noise", 0, 40).normal(3, 2))
    assert not torch.equal(whole, Streams(8, "sample", 0, 40).normal(3, 2))
    streams = Streams(0, "sample", 0, 4)
    assert not torch.equal(streams.normal(2), streams.normal(2))


def test_counters_never_overlap():
    """Draws of every kind and type take as many blocks, and no 53-bit number comes twice."""
    seen = []
    streams = Streams(0, "overlap", 0, 50, dtype=torch.float64)
    twin = Streams(0, "overlap", 0, 50)
    for k in (1, 2, 3, 4, 5, 8, 9, 100):
        for one in (streams, twin):
            before = one.counter
            one.normal(k), one.integers(10, k), one.categorical(torch.ones(50, k, 3))
            assert one.counter == before + 3 * 2 * math.ceil(k / 4)
            assert one.categorical(torch.ones(3)).shape == (50,)
            assert one.counter == before + 3 * 2 * math.ceil(k / 4) + 2
        seen.append(streams.uniform(k))
        twin.uniform(k)
        assert streams.counter == twin.counter
    together = torch.cat(seen, 1).flatten()
    assert len(together.unique()) == len(together)
    assert Streams(0, "none", 0, 0).normal(3).shape == (0, 3)


def test_a_resumed_stream_goes_on():
    streams = Streams(0, "run", 3, 5)
    streams.normal(7), streams.uniform()
    resumed = Streams(0, "run", 3, 5, counter=streams.counter)
    assert torch.equal(resumed.normal(2), streams.normal(2))
    assert resumed.counter == streams.counter


def test_chunks_go_on_where_the_whole_is():
    streams = Streams(5, "x", 10, 6)
    streams.uniform(2)
    parts = [chunk.normal(3) for chunk in streams.chunks(3)]
    assert [len(p) for p in parts] == [2, 2, 2]
    assert [chunk.start for chunk in streams.chunks(3)] == [10, 12, 14]
    assert torch.equal(torch.cat(parts), streams.normal(3))


@pytest.mark.parametrize(
    "index",
    [
        slice(1, 4),
        slice(None, None, 2),
        torch.tensor([4, 0, 5]),
        torch.tensor([True, False, False, True, True, False]),
        torch.zeros(6, dtype=torch.bool),
    ],
)
def test_rows_go_on_where_the_whole_is(index):
    streams = Streams(5, "x", 10, 6, dtype=torch.float64)
    streams.uniform(2)
    part = streams.rows(index)
    assert (part.seed, part.purpose, part.counter, part.dtype) == (5, "x", 2, torch.float64)
    assert torch.equal(part.indices, torch.arange(10, 16)[index])
    again, both = part.rows(slice(0, 1)), streams.normal(3)
    assert torch.equal(part.normal(3), both[index])
    assert torch.equal(again.normal(3), both[index][:1])
    assert torch.equal(part.restarted().uniform(2), Streams(5, "x", 10, 6, dtype=torch.float64).uniform(2)[index])
    if len(part):
        assert part.start == torch.arange(10, 16)[index][0]


def test_streams_begin_again():
    streams = Streams(5, "x", 10, 6)
    first = streams.normal(3)
    assert not torch.equal(streams.normal(3), first)
    assert torch.equal(streams.restarted().normal(3), first)


def test_streams_cost_nothing_until_they_draw():
    streams = Streams(0, "sample", 0, 10**15)
    assert len(streams) == 10**15
    last = streams.rows(slice(10**15 - 2, None))
    assert torch.equal(last.normal(2), Streams(0, "sample", 10**15 - 2, 2).normal(2))


def test_float32_and_float64_are_the_same_numbers():
    single, double = Streams(0, "s", 0, 1000).normal(50), Streams(0, "s", 0, 1000, dtype=torch.float64).normal(50)
    # 2⁻²⁴ of u near 1, where the radius is the root of 1 − u, is 2⁻¹²; 2⁻³³ of a tail at four deviations is 10⁻⁷.
    assert (single - double).abs().max() < 2.0**-12
    assert (single - double).abs().median() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_float32_rounded(dtype):
    low = Streams(0, "s", 0, 2, dtype=dtype)
    full = Streams(0, "s", 0, 2)
    assert torch.equal(low.normal(3), full.normal(3).to(dtype))
    assert torch.equal(low.uniform(3), full.uniform(3).to(dtype))


def test_integers_are_the_upper_half_of_the_product():
    for high in (1, 2, 3, 10, 60_000, 2**31 - 1, 2**31):
        found = Streams(1, "n", 20, 3).integers(high, 2)
        for row in range(3):
            upper, lower = (word(1, "n", 20 + row, place) for place in (0, 1))
            assert found[row].tolist() == [((upper[lane] << 32) + lower[lane]) * high >> 64 for lane in (0, 1)]
    assert found.dtype == torch.int64


@pytest.mark.parametrize("high", [0, -1, 2**31 + 1])
def test_integers_have_a_range(high):
    with pytest.raises(ValueError, match=rf"high = {high}; expected 1 … 2\*\*31"):
        Streams(0, "n", 0, 1).integers(high)


def test_categories_are_found_by_inversion():
    rows = torch.eye(4)[torch.arange(8) % 4]
    assert Streams(0, "die", 0, 8).categorical(rows).tolist() == [0, 1, 2, 3] * 2
    assert Streams(0, "die", 0, 8).categorical(rows * 1e-30).tolist() == [0, 1, 2, 3] * 2
    assert Streams(0, "die", 0, 2).categorical(rows.view(2, 2, 2, 4)).tolist() == [[[0, 1], [2, 3]]] * 2
    p = torch.tensor([0.1, 0.2, 0.0, 0.7], dtype=torch.float64)
    u = Streams(0, "die", 0, 500, dtype=torch.float64).uniform()
    expected = torch.bucketize(u, p.cumsum(0), right=True)
    for weights in (p, 7 * p, p.expand(500, 4)):
        assert torch.equal(Streams(0, "die", 0, 500).categorical(weights), expected)
    assert Streams(0, "die", 0, 3).categorical(torch.ones(1)).tolist() == [0, 0, 0]


def test_no_category_without_probability_is_drawn(monkeypatch):
    """Not even for the largest number below 1."""
    largest = 1 - 2.0**-53
    monkeypatch.setattr(Streams, "_draw", lambda self, shape, *_: torch.full((len(self), *shape), largest).double())
    for p in ([1.0, 0.0], [0.3, 0.3, 0.4, 0.0, 0.0], [1e-300, 3.0, 1e-18, 0.0]):
        weights = torch.tensor(p, dtype=torch.float64)
        for given in (weights, weights.expand(2, -1)):
            assert (weights[Streams(0, "die", 0, 2).categorical(given)] > 0).all()


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Streams(0, "s", 0, 3).normal(2)
    torch.randperm(5, generator=generator(0, "order"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the device's numbers cannot be compared")
def test_a_gpu_draws_the_same_numbers():
    for dtype, near in ((torch.float32, 1e-5), (torch.float64, 1e-13)):
        here, there = (draws(Streams(0, "s", 0, 1000, device=d, dtype=dtype), (33,)) for d in ("cpu", "cuda"))
        for a, b in zip(here, there, strict=True):
            assert b.is_cuda
            assert torch.allclose(a, b.cpu(), rtol=0, atol=0 if not a.is_floating_point() else near)
        assert torch.equal(here[1], there[1].cpu())
    p = torch.rand(1000, 50)
    here, there = (Streams(0, "s", 0, 1000, device=d).categorical(p) for d in ("cpu", "cuda"))
    assert torch.equal(here, there.cpu())
