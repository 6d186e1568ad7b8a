"""What the plot of states shows."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import zoo_core
from zoo_core import datasets
from zoo_core.errors import IncompatibleError
from zoo_hmm.plots import states


def test_states_of_the_longest_games_are_shown():
    model, figure = zoo_core.load("hmm-casino"), Figure()
    states(model, figure, 0)
    games = datasets.load("casino", "test").x[:64]
    longest = games[games.lengths.argsort(descending=True, stable=True)[:4]]
    posterior, path = model.posterior(longest), model.viterbi(longest)[0]
    assert len(figure.axes) == 4
    for axes, gamma, best in zip(figure.axes, posterior, path, strict=True):
        np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), gamma.T, atol=1e-12)
        assert axes.lines[0].get_ydata().tolist() == best.tolist()
    with pytest.raises(IncompatibleError, match="hidden Markov"):
        states(zoo_core.load("gmm-eight-gaussians"), figure, 0)
