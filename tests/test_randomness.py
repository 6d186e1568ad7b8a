"""Random streams: stable, independent, and nobody else's."""

import math

import pytest
import torch

from zoo_core.randomness import Streams, generator, stable_seed


def test_the_seed_is_a_promise():
    """Pinned: a change would change every sample that anyone ever drew."""
    assert stable_seed(0, "sample", 0) == 178316582436694654
    assert Streams(0, "sample", 0, 1).normal(2).tolist() == [
        pytest.approx([-1.069456934928894, -1.698624849319458], abs=1e-6)
    ]


def test_a_stream_belongs_to_its_index():
    whole = Streams(7, "sample", 0, 40).normal(3, 2)
    assert torch.equal(whole[25:], Streams(7, "sample", 25, 15).normal(3, 2))
    assert not torch.equal(whole, Streams(7, "noise", 0, 40).normal(3, 2))
    assert not torch.equal(whole, Streams(8, "sample", 0, 40).normal(3, 2))


def test_chunks_are_parts_of_the_whole():
    whole = Streams(5, "x", 10, 6).normal(3)
    parts = [chunk.normal(3) for chunk in Streams(5, "x", 10, 6).chunks(3)]
    assert [len(p) for p in parts] == [2, 2, 2]
    assert torch.equal(torch.cat(parts), whole)


def test_streams_begin_again():
    streams = Streams(5, "x", 10, 6)
    first = streams.normal(3)
    assert torch.equal(streams.again().normal(3), first)
    assert not torch.equal(streams.normal(3), first)


def test_draws_go_on():
    streams = Streams(0, "sample", 0, 4)
    assert not torch.equal(streams.normal(2), streams.normal(2))


def test_moments():
    """20,000 streams: five standard errors."""
    x = Streams(0, "moments", 0, 20_000).normal(1)
    assert abs(x.mean().item()) < 5 / math.sqrt(20_000)
    assert x.var().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / 20_000))
    u = Streams(0, "moments", 0, 20_000).uniform(1)
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean().item() == pytest.approx(0.5, abs=5 * math.sqrt(1 / 12 / 20_000))


def test_categorical_follows_its_probabilities():
    p = torch.tensor([0.5, 0.0, 0.2, 0.3])
    counts = torch.bincount(Streams(0, "die", 0, 20_000).categorical(p), minlength=4) / 20_000
    assert counts[1] == 0
    assert (counts - p).abs().max().item() < 5 * math.sqrt(0.25 / 20_000)
    rows = torch.eye(4)[torch.arange(8) % 4]
    assert Streams(0, "die", 0, 8).categorical(rows).tolist() == [0, 1, 2, 3] * 2


def test_dtypes():
    assert Streams(0, "s", 0, 2, dtype=torch.float64).normal(1).dtype == torch.float64
    low = Streams(0, "s", 0, 2, dtype=torch.bfloat16).normal(1)
    assert torch.equal(low, Streams(0, "s", 0, 2).normal(1).bfloat16())


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Streams(0, "s", 0, 3).normal(2)
    torch.randperm(5, generator=generator(0, "order"))
    assert torch.equal(before, torch.get_rng_state())
