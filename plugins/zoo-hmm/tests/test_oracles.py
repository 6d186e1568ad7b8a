"""Against hmmlearn, which knows no lengths, and against the sum over all paths."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from zoo_core.interfaces import Batch, Ragged
from zoo_hmm.model import HiddenMarkov
from zoo_hmm.objective import BaumWelch

LENGTHS = (7, 1, 12, 3, 12)


def randomised(seed: int, **config) -> HiddenMarkov:
    """Returns a model whose parameters are all random."""
    model = HiddenMarkov(**config)
    source = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=source, dtype=torch.float64)

    for value in (model.start_probabilities, model.transitions):
        draw = random(*value.shape) * (value > 0)
        value.copy_(draw / draw.sum(-1, keepdim=True))
    model.stop.copy_(0.05 + 0.2 * random(*model.stop.shape))
    if model.length == "geometric":
        model.stop.copy_(model.stop[:, :1].expand_as(model.stop).clone())
    emissions = model.emissions
    if model.discrete:
        draw = random(*emissions.probabilities.shape)
        emissions.probabilities.copy_(draw / draw.sum(-1, keepdim=True))
        return model
    draw = random(*emissions.weights.shape) + 0.2
    emissions.weights.copy_(draw / draw.sum(-1, keepdim=True))
    emissions.means.copy_(4.0 * random(*emissions.means.shape) - 2.0)
    if emissions.full:
        factor = 0.5 * random(*emissions.scale.shape).tril() + 0.7 * torch.eye(emissions.scale.shape[-1])
        emissions.scale.copy_(factor.tril())
    else:
        emissions.scale.copy_(0.5 + random(*emissions.scale.shape))
    return model


def sequences(model: HiddenMarkov, lengths=LENGTHS, seed=0) -> Ragged:
    source = torch.Generator().manual_seed(seed)
    n, longest = len(lengths), max(lengths)
    if model.discrete:
        data = torch.randint(model.space.vocabulary, (n, longest), generator=source)
    else:
        data = 1.5 * torch.randn(n, longest, model.space.shape[1], generator=source, dtype=torch.float64)
    return Ragged(data, torch.tensor(lengths))


def of_length(model: HiddenMarkov, x: Ragged) -> torch.Tensor:
    """Returns log p(T) of a geometric length, which hmmlearn leaves out."""
    e = model.stop[0, 0]
    return (x.lengths - 1) * torch.log1p(-e) + e.log()


CONFIGS = {
    "categorical": {"states": 3, "symbols": 4},
    "diagonal": {"states": 3, "features": 2},
    "full": {"states": 3, "features": 2, "covariance": "full"},
    "mixture": {"states": 2, "features": 2, "components": 3},
    "full mixture": {"states": 2, "features": 2, "components": 2, "covariance": "full"},
}


def peer(model: HiddenMarkov):
    hmmlearn = pytest.importorskip("hmmlearn.hmm")
    s, e = model.states, model.emissions
    options = {"n_iter": 1, "params": "stmc", "init_params": "", "implementation": "scaling"}
    if model.discrete:
        made = hmmlearn.CategoricalHMM(s, **{**options, "params": "ste"})
        made.emissionprob_ = e.probabilities[0].numpy().copy()
        made.n_features = e.probabilities.shape[2]
    else:
        covariance = "full" if e.full else "diag"
        sigma = e.scale @ e.scale.mT if e.full else e.scale.square()
        if e.weights.shape[2] == 1:
            # Weights for which its prior has no effect: 1 for a variance, D for a covariance.
            weight = e.means.shape[-1] if e.full else 1
            made = hmmlearn.GaussianHMM(s, covariance, covars_prior=0.0, covars_weight=weight, **options)
            made.means_, made.covars_ = e.means[0, :, 0].numpy().copy(), sigma[0, :, 0].numpy().copy()
            made.n_features = e.means.shape[-1]
        else:
            made = hmmlearn.GMMHMM(s, e.weights.shape[2], covariance_type=covariance, **options)
            made.weights_, made.means_ = e.weights[0].numpy().copy(), e.means[0].numpy().copy()
            made.covars_ = sigma[0].numpy().copy()
            made.n_features = e.means.shape[-1]
    made.startprob_, made.transmat_ = model.start_probabilities[0].numpy().copy(), model.transitions[0].numpy().copy()
    return made


def theirs(x: Ragged) -> tuple[np.ndarray, list[int]]:
    """Returns sequences as hmmlearn wants them: one after the other, and their lengths."""
    rows = torch.cat(list(x)).numpy()
    return (rows[:, None] if rows.ndim == 1 else rows), x.lengths.tolist()


@pytest.mark.parametrize("name", CONFIGS)
def test_likelihood_posteriors_and_paths_are_those_of_hmmlearn(name):
    model = randomised(1, **CONFIGS[name])
    x, other = sequences(model), peer(model)
    rows, lengths = theirs(x)
    ours = (model.log_prob(x) - of_length(model, x)).sum().item()
    assert ours == pytest.approx(other.score(rows, lengths), abs=1e-9)
    gamma = torch.cat(list(model.posterior(x))).numpy()
    np.testing.assert_allclose(gamma, other.predict_proba(rows, lengths), atol=1e-9)
    path, score = model.viterbi(x)
    best, states = other.decode(rows, lengths)
    assert (score - of_length(model, x)).sum().item() == pytest.approx(best, abs=1e-9)
    assert torch.cat(list(path)).tolist() == states.tolist()


@pytest.mark.parametrize("name", ["categorical", "diagonal", "full"])
def test_a_step_of_baum_welch_is_that_of_hmmlearn(name):
    """hmmlearn's priors are switched off: its variances have a prior of 0.01 unless told otherwise."""
    model = randomised(2, **CONFIGS[name])
    x, other = sequences(model, (30, 12, 25)), peer(model)
    rows, lengths = theirs(x)
    other.fit(rows, lengths)
    objective = BaumWelch()
    objective.maximise(model, objective.statistics(model, Batch(x)))
    np.testing.assert_allclose(model.start_probabilities[0], other.startprob_, atol=1e-6)
    np.testing.assert_allclose(model.transitions[0], other.transmat_, atol=1e-6)
    e = model.emissions
    if model.discrete:
        np.testing.assert_allclose(e.probabilities[0], other.emissionprob_, atol=1e-6)
        return
    np.testing.assert_allclose(e.means[0, :, 0], other.means_, atol=1e-6)
    covars = torch.diag_embed(e.scale.square())[0, :, 0] if name == "diagonal" else (e.scale @ e.scale.mT)[0, :, 0]
    np.testing.assert_allclose(covars, other.covars_, atol=1e-6)


def every_path(model: HiddenMarkov, row: torch.Tensor):
    """Yields each path of states with its log p(x, T, z)."""
    log_b = model.emissions.log_density(row, 0)
    start, moves, stop = model.start_probabilities[0], model.transitions[0], model.stop[0]
    for path in itertools.product(range(model.states), repeat=len(row)):
        value = start[path[0]].log() + log_b[0, path[0]]
        for t in range(1, len(row)):
            i, j = path[t - 1], path[t]
            value += (1 - stop[i]).log() + moves[i, j].log() + log_b[t, j]
        yield path, (value + stop[path[-1]].log()).item()


BRUTE = {
    **CONFIGS,
    "left to right, own ends": {"states": 3, "features": 2, "topology": "left-right", "length": "stop"},
    "tokens, own ends": {"states": 3, "symbols": 4, "length": "stop"},
}


@pytest.mark.parametrize("arithmetic", ["scaled", "log"])
@pytest.mark.parametrize("name", BRUTE)
def test_likelihood_posteriors_and_paths_are_those_of_all_paths(name, arithmetic):
    model = randomised(3, **BRUTE[name])
    x = sequences(model, (6, 1, 4))
    found, gamma = model.log_prob(x, arithmetic=arithmetic), model.posterior(x, arithmetic=arithmetic)
    states, score = model.viterbi(x)
    for i, row in enumerate(x):
        paths = dict(every_path(model, row))
        values = torch.tensor(list(paths.values()), dtype=torch.float64)
        evidence = torch.logsumexp(values, 0)
        assert found[i].item() == pytest.approx(evidence.item(), abs=1e-10)
        best = max(paths, key=paths.__getitem__)
        assert score[i].item() == pytest.approx(paths[best], abs=1e-10)
        assert states.data[i, : len(row)].tolist() == list(best)
        expected = torch.zeros(len(row), model.states, dtype=torch.float64)
        for path, value in paths.items():
            for t, state in enumerate(path):
                expected[t, state] += math.exp(value - evidence)
        torch.testing.assert_close(gamma.data[i, : len(row)], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", BRUTE)
def test_both_arithmetics_give_equal_statistics(name):
    model = randomised(4, **BRUTE[name])
    batch = Batch(sequences(model), weights=torch.tensor([1.0, 0.0, 2.5, 1.0, 0.5]))
    scaled, log = (BaumWelch(arithmetic=a).statistics(model, batch) for a in ("scaled", "log"))
    for key, value in scaled.items():
        torch.testing.assert_close(value, log[key], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("length", ["geometric", "stop"])
def test_densities_of_tokens_sum_to_one(length):
    """Over all sequences of up to six tokens, and the probability of longer ones by a power of the chain."""
    model = randomised(5, states=3, symbols=3, length=length)
    stop, moves = model.stop[0], (1 - model.stop[0])[:, None] * model.transitions[0]
    reached, total = model.start_probabilities[0], 0.0
    for t in range(1, 7):
        every = torch.cartesian_prod(*[torch.arange(3)] * t).view(-1, t)
        summed = model.log_prob(Ragged(every, torch.full((len(every),), t))).exp().sum().item()
        assert summed == pytest.approx((reached @ stop).item(), abs=1e-12)
        total, reached = total + summed, reached @ moves
    assert total + reached.sum().item() == pytest.approx(1.0, abs=1e-12)


def test_the_density_of_two_frames_integrates_to_their_probability():
    """A sum over a grid is exact to 1e-10 for Gaussians whose deviations are 25 of its steps and more."""
    model = randomised(6, states=2, features=1, components=2)
    grid = torch.linspace(-8, 8, 801, dtype=torch.float64)
    pairs = torch.cartesian_prod(grid, grid)[:, :, None]
    summed = model.log_prob(Ragged(pairs, torch.full((len(pairs),), 2))).exp().sum() * (grid[1] - grid[0]) ** 2
    e = model.stop[0, 0]
    assert summed.item() == pytest.approx(((1 - e) * e).item(), abs=1e-9)


def test_statistics_of_weighted_sequences_with_missing_tokens_are_those_of_all_paths():
    model = randomised(7, states=3, symbols=4, length="stop")
    x = Ragged(torch.tensor([[0, -1, 3, 1, -1], [2, 2, 0, 0, 0], [-1, 0, 0, 0, 0]]), torch.tensor([5, 2, 1]))
    weights = torch.tensor([0.5, 2.0, 3.0])
    expected = {
        "start": torch.zeros(1, 3, dtype=torch.float64),
        "transitions": torch.zeros(1, 3, 3, dtype=torch.float64),
        "ends": torch.zeros(1, 3, dtype=torch.float64),
        "visits": torch.zeros(1, 3, dtype=torch.float64),
        "emissions.symbols": torch.zeros(1, 3, 4, dtype=torch.float64),
    }
    for row, weight in zip(x, weights, strict=True):
        paths = list(every_path(model, row))
        values = torch.tensor([value for _, value in paths], dtype=torch.float64)
        for (path, _), share in zip(paths, weight * torch.softmax(values, 0), strict=True):
            expected["start"][0, path[0]] += share
            expected["ends"][0, path[-1]] += share
            for i, j in itertools.pairwise(path):
                expected["transitions"][0, i, j] += share
            for state, token in zip(path, row.tolist(), strict=True):
                expected["visits"][0, state] += share
                if token >= 0:
                    expected["emissions.symbols"][0, state, token] += share
    found = BaumWelch().statistics(model, Batch(x, weights=weights))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-12, rtol=0)
    assert found["count"].item() == pytest.approx(5.5)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_weight_of_two_is_a_sequence_twice(covariance):
    model = randomised(8, states=2, features=2, covariance=covariance)
    x = sequences(model)
    twice = Ragged(torch.cat([x.data, x.data[1:3]]), torch.cat([x.lengths, x.lengths[1:3]]))
    weighted = BaumWelch().statistics(model, Batch(x, weights=torch.tensor([1.0, 2.0, 2.0, 1.0, 1.0])))
    for name, value in BaumWelch().statistics(model, Batch(twice)).items():
        torch.testing.assert_close(weighted[name], value, atol=1e-10, rtol=1e-10)


def test_a_mixture_learns_what_a_state_for_each_of_its_components_learns():
    """A chain of S states with M components is one of S·M states with a_ij w_jm."""
    model = randomised(9, states=2, features=2, components=3)
    e, wide = model.emissions, HiddenMarkov(6, features=2)
    wide.start_probabilities[0] = (model.start_probabilities[0][:, None] * e.weights[0]).flatten()
    wide.transitions[0] = (model.transitions[0][:, :, None] * e.weights[0]).flatten(1).repeat_interleave(3, 0)
    wide.stop[0] = model.stop[0].repeat_interleave(3)
    wide.emissions.means[0], wide.emissions.scale[0] = e.means[0].view(6, 1, 2), e.scale[0].view(6, 1, 2)
    x = sequences(model, (30, 12, 25))
    torch.testing.assert_close(model.log_prob(x), wide.log_prob(x), rtol=1e-12, atol=0)
    objective = BaumWelch()
    for one in (model, wide):
        objective.maximise(one, objective.statistics(one, Batch(x)))
    torch.testing.assert_close(e.means[0].view(6, 1, 2), wide.emissions.means[0], atol=1e-9, rtol=0)
    torch.testing.assert_close(e.scale[0].view(6, 1, 2), wide.emissions.scale[0], atol=1e-9, rtol=0)
