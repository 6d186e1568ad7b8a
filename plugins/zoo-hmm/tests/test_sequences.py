"""Lengths, missing values, weights, topologies, classes and completions, against what is known of them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import ConditionError, IncompatibleError, ZooError
from zoo_core.interfaces import Batch, Condition, DataSet, Ragged, Streams
from zoo_hmm.casino import casino, casino_truth
from zoo_hmm.chain import Chain
from zoo_hmm.inference import filtered, smoothed
from zoo_hmm.model import HiddenMarkov
from zoo_hmm.objective import BaumWelch
from zoo_hmm.one_thread import one_thread
from zoo_hmm.packed import pack


def speech(n: int = 24, longest: int = 30, features: int = 3, seed: int = 0) -> Ragged:
    """Returns sequences that rise from −2 to 2, with noise."""
    source = torch.Generator().manual_seed(seed)
    lengths = torch.randint(12, longest, (n,), generator=source)
    time = torch.arange(longest) / lengths[:, None]
    noise = 0.3 * torch.randn(n, longest, features, generator=source, dtype=torch.float64)
    return Ragged(4.0 * time.double()[:, :, None] - 2.0 + noise, lengths)


def fitted(x: Ragged, iterations: int = 5, labels: torch.Tensor | None = None, **config) -> HiddenMarkov:
    model = HiddenMarkov(features=x.data.shape[2], **config)
    data = DataSet("speech", "train", x, {} if labels is None else {"label": labels}, space=model.space)
    objective = BaumWelch()
    prepared = Prepared(model, data)
    objective.initialise(model, prepared, 0)
    batch = next(prepared.batches())
    for _ in range(iterations):
        objective.maximise(model, objective.statistics(model, batch))
    return model


def test_packing_is_undone_by_padding():
    x = Ragged(torch.arange(12).view(3, 4), torch.tensor([2, 4, 1]))
    packed = pack(x)
    assert packed.counts == (3, 2, 1, 1)
    assert packed.frames.tolist() == [4, 0, 8, 5, 1, 6, 7]
    assert torch.equal(packed.padded(packed.frames), x.padded_with(0).data)
    assert packed.frames[packed.last].tolist() == [7, 1, 8]
    assert packed.previous().tolist() == [0, 1, 3, 5]
    assert packed.unsorted(torch.tensor([4, 2, 1])).tolist() == [2, 4, 1]


def test_sequences_of_one_length_are_packed_as_others_are():
    data, lengths = torch.randn(3, 5, 2), torch.full((3,), 4)
    packed = pack(Ragged(data, lengths))
    longer = pack(Ragged(torch.cat([data, data[:1]]), torch.tensor([4, 4, 4, 1])))
    assert torch.equal(packed.frames[:3], longer.frames[:3])
    assert torch.equal(packed.frames[3:], longer.frames[4:])
    assert packed.counts == (3, 3, 3, 3)
    assert packed.last.tolist() == [9, 10, 11]
    assert torch.equal(packed.padded(packed.frames), data[:, :4])
    assert packed.previous().tolist() == list(range(9))


def test_a_sequence_without_a_frame_is_refused():
    with pytest.raises(IncompatibleError, match="no frame"):
        pack(Ragged(torch.zeros(2, 3), torch.tensor([3, 0])))


def test_what_underflows_is_computed_in_logarithms():
    """State 1 cannot be reached, and all frames are e^-2000 less likely in state 0: the scaled numbers are all 0."""
    chain = Chain(
        torch.tensor([1.0, 0.0], dtype=torch.float64),
        torch.tensor([[0.9, 0.0], [0.0, 0.9]], dtype=torch.float64),
        torch.tensor([0.1, 0.1], dtype=torch.float64),
    )
    packed = pack(Ragged(torch.zeros(2, 3), torch.tensor([3, 2])))
    log_b = torch.zeros(5, 2, dtype=torch.float64)
    log_b[packed.rows == 0, 0] = -2000.0
    expected = [-6000.0 + 2 * math.log(0.9) + math.log(0.1), math.log(0.9) + math.log(0.1)]
    assert filtered(chain, log_b, packed)[0].tolist() == pytest.approx(expected, rel=1e-14)
    found = smoothed(chain, log_b, packed)
    assert found.log_likelihood.tolist() == pytest.approx(expected, rel=1e-14)
    torch.testing.assert_close(found.gamma, torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(5, 2))
    torch.testing.assert_close(found.xi, torch.tensor([[3.0, 0.0], [0.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("length", ["geometric", "stop"])
def test_the_zeros_of_a_topology_stay(length):
    model = fitted(speech(), states=4, topology="left-right", length=length)
    zero = ~torch.ones(4, 4, dtype=torch.bool).triu().tril(1)
    assert float(model.transitions[0][zero].abs().max()) == 0.0
    assert model.start_probabilities.tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert (model.emissions.means[0, :, 0, 0].diff() > 0).all()


def test_ends_have_their_own_probabilities_or_share_one():
    own = fitted(speech(), states=3, topology="left-right", length="stop")
    assert own.stop[0, 2] > 0.05
    assert float(own.stop[0, :2].max()) < 1e-6
    x = speech()
    shared = fitted(x, states=3, topology="left-right")
    assert shared.stop[0].tolist() == pytest.approx([len(x) / int(x.lengths.sum())] * 3)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_frames_without_numbers_are_summed_over(covariance):
    """A frame that is missing at the end of a sequence leaves the others' density, by the sum over its state."""
    model = fitted(speech(), states=3, covariance=covariance)
    x = speech(4, seed=1)
    data = x.data.clone()
    data[0, 5] = math.nan
    data[1, 3, 1] = math.nan
    holes = Ragged(data, x.lengths)
    packed = pack(holes)
    log_b = model.emissions.log_density(packed.frames, 0)
    gone = torch.isnan(packed.frames).all(1)
    assert gone.sum() == 1
    assert float(log_b[gone].abs().max()) == 0.0
    cell = (torch.isnan(packed.frames).any(1) & ~gone).nonzero().item()
    scale, mean = model.emissions.scale[0, :, 0], model.emissions.means[0, :, 0]
    sigma = scale @ scale.mT if covariance == "full" else torch.diag_embed(scale.square())
    known = torch.tensor([0, 2])
    for state in range(3):
        marginal = torch.distributions.MultivariateNormal(mean[state][known], sigma[state][known][:, known])
        assert log_b[cell, state].item() == pytest.approx(
            marginal.log_prob(packed.frames[cell][known]).item(), abs=1e-9
        )


@pytest.mark.parametrize("config", [{"covariance": "full"}, {"components": 2}], ids=["full", "mixture"])
def test_baum_welch_with_holes_raises_the_likelihood(config):
    x = speech()
    holes = torch.rand(x.data.shape, generator=torch.Generator().manual_seed(3)) < 0.2
    batch = Batch(Ragged(x.data.masked_fill(holes, math.nan), x.lengths))
    model, objective = fitted(x, 1, states=3, **config), BaumWelch()
    history = []
    for _ in range(8):
        statistics = objective.statistics(model, batch)
        history.append(statistics["log_likelihood"].item())
        objective.maximise(model, statistics)
    assert all(b > a - 1e-9 for a, b in pairwise(history))
    assert history[-1] > history[0]


def test_missing_tokens_are_summed_over():
    model = casino_truth()
    throws = torch.tensor([[5, -1, 2]])
    whole = Ragged(torch.tensor([[5, k, 2] for k in range(6)]), torch.full((6,), 3))
    found = model.log_prob(Ragged(throws, torch.tensor([3])))
    assert found.item() == pytest.approx(torch.logsumexp(model.log_prob(whole), 0).item(), abs=1e-12)


def test_an_impossible_sequence_has_probability_0_and_is_refused_by_baum_welch():
    model = casino_truth()
    model.emissions.probabilities[0, :, 3] = 0.0
    x = Ragged(torch.tensor([[3, 1], [1, 1]]), torch.tensor([2, 2]))
    assert torch.isinf(model.log_prob(x)).tolist() == [True, False]
    with pytest.raises(ZooError, match="probability 0"):
        BaumWelch().statistics(model, Batch(x))
    BaumWelch().statistics(model, Batch(x, weights=torch.tensor([0.0, 1.0])))


def test_a_state_of_equal_frames_is_refused_and_a_floor_allows_it():
    x = Ragged(torch.ones(3, 4, 2), torch.tensor([4, 2, 3]))
    model = HiddenMarkov(1, features=2)
    with pytest.raises(ZooError, match="floor"):
        BaumWelch().maximise(model, BaumWelch().statistics(model, Batch(x)))
    objective = BaumWelch(floor=0.25)
    objective.maximise(model, objective.statistics(model, Batch(x)))
    assert model.emissions.scale.flatten().tolist() == pytest.approx([0.5, 0.5])


def test_parts_can_be_fixed():
    model = casino_truth()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    objective = BaumWelch(fixed=["transitions", "emissions"])
    objective.maximise(model, objective.statistics(model, Batch(casino("train", 50).x)))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"start_probabilities", "stop"}


def test_one_chain_for_each_class_classifies():
    up, down = speech(seed=1), speech(seed=2)
    x = Ragged(torch.cat([up.data, -down.data]), torch.cat([up.lengths, down.lengths]))
    labels = torch.arange(48) // 24
    model = fitted(x, 3, labels, states=3, topology="left-right", classes=2)
    assert torch.equal(model.classify(x).argmax(1), labels)
    both = torch.stack([model.log_prob(x, condition=Condition(label=torch.full((48,), c))) for c in range(2)], 1)
    torch.testing.assert_close(both, model.class_log_prob(x))
    torch.testing.assert_close(model.log_prob(x), torch.logsumexp(both - math.log(2), 1))
    with pytest.raises(ConditionError, match="label"):
        model.posterior(x)


def test_lengths_are_those_of_the_model():
    """The mean of a geometric length is 1/e; five standard errors of 4,000 lengths."""
    x = casino_truth().draw(Streams(0, "lengths", 0, 4000, dtype=torch.float64))
    assert x.lengths.double().mean().item() == pytest.approx(50.0, abs=5 * 49.5 / math.sqrt(4000))


def test_completions_of_two_frames_are_drawn_jointly():
    """Sixes come in runs: two unknown throws among sixes are both sixes as often as the sum over all pairs says."""
    model, n = casino_truth(), 4000
    x = Ragged(torch.full((n, 4), 5), torch.full((n,), 4))
    known = torch.tensor([True, False, False, True]).expand(n, 4)
    made = model.complete(x, known, Streams(0, "complete", 0, n, dtype=torch.float64))
    pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    five = torch.full((36, 1), 5)
    log_p = model.log_prob(Ragged(torch.cat([five, pairs, five], 1), torch.full((36,), 4)))
    expected = torch.softmax(log_p, 0)
    found = torch.bincount(made.data[:, 1] * 6 + made.data[:, 2], minlength=36) / n
    assert float(((found - expected).abs() / (expected * (1 - expected) / n).sqrt()).max()) < 5.0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"states": 0, "symbols": 2}, "states = 0"),
        ({"states": 2}, "expected one of the two"),
        ({"states": 2, "symbols": 2, "features": 2}, "expected one of the two"),
        ({"states": 2, "symbols": 2, "topology": "ring"}, "topology"),
        ({"states": 2, "symbols": 2, "length": "fixed"}, "length"),
        ({"states": 2, "features": 2, "covariance": "tied"}, "covariance"),
    ],
)
def test_arguments_out_of_range_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        HiddenMarkov(**config)


@pytest.mark.parametrize(
    ("options", "words"), [({"fixed": ["means"]}, "fixed"), ({"floor": -1.0}, "floor"), ({"arithmetic": "x"}, "arith")]
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        BaumWelch(**options)


@pytest.mark.parametrize("lengths", [(2000,), (2117, 2000, 5)], ids=str)
def test_blocks_of_a_long_sequence_give_what_logarithms_give(lengths):
    source = torch.Generator().manual_seed(0)
    draw = torch.rand(3, 3, generator=source, dtype=torch.float64) + torch.eye(3)
    chain = Chain(draw[0] / draw[0].sum(), 0.99 * draw / draw.sum(1, keepdim=True), torch.full_like(draw[0], 0.01))
    packed = pack(Ragged(torch.zeros(len(lengths), max(lengths)), torch.tensor(lengths)))
    log_b = 3.0 * torch.randn(len(packed.frames), 3, generator=source, dtype=torch.float64)
    weights = torch.arange(1.0, len(lengths) + 1, dtype=torch.float64)
    blocks, logs = (smoothed(chain, log_b, packed, weights, way) for way in ("scaled", "log"))
    torch.testing.assert_close(blocks.log_likelihood, logs.log_likelihood, rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(blocks.gamma, logs.gamma, rtol=0, atol=1e-10)
    torch.testing.assert_close(blocks.xi, logs.xi, rtol=1e-9, atol=1e-9)
    one, other = (filtered(chain, log_b, packed, way) for way in ("scaled", "log"))
    torch.testing.assert_close(one[0], other[0], rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-10)


def test_a_long_sequence_that_underflows_is_computed_in_logarithms():
    chain = Chain(
        torch.tensor([1.0, 0.0], dtype=torch.float64),
        torch.tensor([[0.9, 0.0], [0.0, 0.9]], dtype=torch.float64),
        torch.tensor([0.1, 0.1], dtype=torch.float64),
    )
    packed = pack(Ragged(torch.zeros(1, 2000), torch.tensor([2000])))
    log_b = torch.tensor([[-2000.0, 0.0]], dtype=torch.float64).expand(2000, 2)
    expected = -2000.0 * 2000 + 1999 * math.log(0.9) + math.log(0.1)
    assert smoothed(chain, log_b, packed).log_likelihood.item() == pytest.approx(expected, rel=1e-12)
    assert filtered(chain, log_b, packed)[0].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("contrast", [2.0, 40.0])
def test_blocks_from_left_to_right_give_what_logarithms_give(contrast):
    """With frames that fit one state e^40 times as well as the others, products of a block lose all other rows."""
    chain = Chain(
        torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64),
        torch.tensor([[0.9, 0.09, 0.0], [0.0, 0.9, 0.09], [0.0, 0.0, 0.99]], dtype=torch.float64),
        torch.full((3,), 0.01, dtype=torch.float64),
    )
    length = 2500
    packed = pack(Ragged(torch.zeros(1, length), torch.tensor([length])))
    state = torch.arange(length) * 3 // length
    log_b = -contrast * (torch.arange(3) - state[:, None]).abs().double()
    # The states that the sequence has left fit its last frames best, and cannot be gone back to.
    log_b[-200:] = log_b[-200:].flip(1)
    ours, logs = (smoothed(chain, log_b, packed, None, way) for way in ("scaled", "log"))
    assert ours.log_likelihood.item() == pytest.approx(logs.log_likelihood.item(), rel=1e-12)
    torch.testing.assert_close(ours.gamma, logs.gamma, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.xi, logs.xi, rtol=1e-9, atol=1e-9)


def test_steps_are_taken_on_one_thread_and_the_others_come_back():
    """Products of 8×8 by 8×n on two threads take up to a hundred times as long where a core is busy."""
    before = torch.get_num_threads()
    found = []

    @one_thread()
    def step(wrong):
        found.append(torch.get_num_threads())
        if wrong:
            raise ValueError("wrong")

    try:
        torch.set_num_threads(2)
        step(False)
        with pytest.raises(ValueError, match="wrong"):
            step(True)
        assert (found, torch.get_num_threads()) == ([1, 1], 2)
    finally:
        torch.set_num_threads(before)
