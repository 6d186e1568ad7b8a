"""What an outsider's first plugins ran into, as small as it gets: it answers rightly, or says in a line why not."""

import math

import pytest
import torch

import zoo_core
from zoo_core import datasets
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import DataSet, Density, DirectSampler, Model, Ragged, SampleSpace


class Open(Model, DirectSampler[Ragged]):
    """Throws of a die, of any length."""

    def __init__(self):
        super().__init__()
        self.space = SampleSpace("tokens", (None,), vocabulary=6)
        self.register_buffer("p", torch.ones(6) / 6)

    def draw(self, streams, *, condition=None):
        length = streams.integers(9) + 1
        return Ragged(streams.integers(6, int(length.max())), length)


class Padded(Open):
    """The same with padding in place of lengths."""

    def draw(self, streams, *, condition=None):
        x = super().draw(streams)
        return x.padded_with(-1).data


class Tokens(Model, Density, DirectSampler):
    """Four throws; remembers what it was asked about."""

    discrete = True

    def __init__(self):
        super().__init__()
        self.space = SampleSpace("tokens", (4,), vocabulary=6)
        self.register_buffer("p", torch.ones(6) / 6)
        self.seen = []

    def draw(self, streams, *, condition=None):
        return streams.integers(6, 4)

    def log_prob(self, x, *, condition=None, streams=None):
        self.seen.append(x.dtype)
        return self.p.log()[x].sum(1)


class Bits(Model, Density, DirectSampler):
    """Independent bits, over points or images."""

    discrete = binarises = True

    def __init__(self, kind="points", shape=(2,)):
        super().__init__()
        self.space = SampleSpace(kind, shape, 0.0, 1.0)
        self.register_buffer("p", torch.full(shape, 0.3))
        self.seen = []

    def draw(self, streams, *, condition=None):
        return (streams.uniform(*self.space.sizes) < self.p).float()

    def log_prob(self, x, *, condition=None, streams=None):
        self.seen.append(x.unique().tolist())
        return (x * self.p.log() + (1 - x) * (1 - self.p).log()).flatten(1).sum(1)


@pytest.mark.parametrize("n", [1, 64, 65, 300])
def test_samples_of_open_length_are_joined_over_batches(n):
    x = zoo_core.sample(Open(), n, sampler="direct", batch_size=64)
    assert isinstance(x, Ragged)
    assert len(x) == n
    assert all(1 <= len(row) <= 9 and int(row.max()) < 6 for row in x)


def test_padding_in_place_of_lengths_is_refused_in_a_line():
    with pytest.raises(IncompatibleError, match=r"'direct' gave a Tensor for tokens any length.*expected a Ragged"):
        zoo_core.sample(Padded(), 65, sampler="direct")


def test_a_space_of_tokens_says_how_many_there_are():
    with pytest.raises(ValueError, match="vocabulary = None; a space of tokens needs the number of different tokens"):
        SampleSpace("tokens", (None,))


def test_tokens_stay_whole_numbers_all_the_way():
    model = Tokens()
    assert zoo_core.sample(model, 2, sampler="direct").dtype == torch.int64
    result = evaluate(model, "nll", data=DataSet("t", "test", torch.randint(6, (10, 4))))
    assert set(model.seen) == {torch.int64}
    assert result.value == pytest.approx(4 * math.log(6))


def test_tokens_have_no_bits_per_dimension_of_grey_levels():
    with pytest.raises(IncompatibleError, match="grey levels; t has tokens 4, 6 different: use nll"):
        evaluate(Tokens(), "bits-per-dim", data=DataSet("t", "test", torch.arange(40).view(10, 4) % 6))


@pytest.mark.parametrize("metric", ["mmd", "precision", "coverage", "sliced-wasserstein", "wasserstein", "kid"])
def test_metrics_that_would_take_codes_for_numbers_refuse(metric):
    with pytest.raises(IncompatibleError, match="codes, whose differences have no meaning"):
        evaluate(Tokens(), metric, data=DataSet("t", "train", torch.arange(40).view(10, 4) % 6), sampler=None, n=4)


def test_bits_are_not_measured_against_points():
    with pytest.raises(IncompatibleError, match="a model of black and white needs grey levels, or numbers in"):
        evaluate(Bits(), "nll", data=datasets.load("two-moons", "test"))


def test_grey_levels_are_binarised_before_the_model_sees_them():
    """And the protocol line is true: once it said so of 17 grey levels."""
    model = Bits("image", (1, 8, 8))
    result = evaluate(model, "nll", data=datasets.load("digits", "test"))
    assert all(set(values) <= {0.0, 1.0} for values in model.seen)
    assert result.protocol == "exact, binarised by chance (dynamic binarisation)"
