"""Baum–Welch estimates come closer to the truth with more sequences, as maximum likelihood does."""

from __future__ import annotations

import pytest
import torch

from zoo_core.interfaces import Batch, Streams
from zoo_hmm.model import HiddenMarkov
from zoo_hmm.objective import BaumWelch

SIZES, SETS, ITERATIONS = (100, 400, 1600), 20, 15


def tokens() -> HiddenMarkov:
    model = HiddenMarkov(2, symbols=3)
    model.emissions.probabilities[0] = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7]], dtype=torch.float64)
    return model


def numbers() -> HiddenMarkov:
    model = HiddenMarkov(2, features=1)
    model.emissions.means[0] = torch.tensor([-1.5, 1.5], dtype=torch.float64)[:, None, None]
    return model


@pytest.mark.slow
@pytest.mark.parametrize("make", [tokens, numbers])
def test_the_error_falls_as_one_over_the_root_of_n(make):
    """Root-mean-square errors of 20 data sets of each size.

    If three parameters make up most of the error, one has a standard error of a tenth, and so the slope over a factor
    of 16 one of 0.05.
    """
    truth = make()
    truth.start_probabilities[0] = torch.tensor([0.6, 0.4], dtype=torch.float64)
    truth.transitions[0] = torch.tensor([[0.8, 0.2], [0.3, 0.7]], dtype=torch.float64)
    parameters = truth.state_dict()
    errors = []
    for n in SIZES:
        x = truth.draw(Streams(0, f"estimates/{n}", 0, SETS * n, dtype=torch.float64))
        square = 0.0
        for part in torch.arange(SETS * n).split(n):
            model, objective, batch = make(), BaumWelch(), Batch(x[part])
            model.load_state_dict(parameters)
            for _ in range(ITERATIONS):
                objective.maximise(model, objective.statistics(model, batch))
            square += sum((v - parameters[k]).square().sum().item() for k, v in model.state_dict().items())
        errors.append((square / SETS) ** 0.5)
    logs = torch.tensor(SIZES, dtype=torch.float64).log()
    table = torch.stack([logs, torch.ones_like(logs)], 1)
    slope = torch.linalg.lstsq(table, torch.tensor(errors, dtype=torch.float64).log()[:, None]).solution[0].item()
    assert abs(slope + 0.5) < 0.12, errors
