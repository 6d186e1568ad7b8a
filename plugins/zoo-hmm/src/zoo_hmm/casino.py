"""Throws in the occasionally dishonest casino (Durbin, Eddy, Krogh & Mitchison 1998, §3.2).

A fair die and a loaded one, which shows six half of the time; after a throw, the fair one is changed with probability
0.05 and the loaded one with 0.1.  Here a game ends after each throw with probability 0.02.
"""

from __future__ import annotations

import torch

from zoo_core.interfaces import DataSet, SampleSpace, Streams
from zoo_hmm.model import HiddenMarkov

__all__ = ["casino", "casino_truth"]


def casino_truth() -> HiddenMarkov:
    """Returns the model that the throws are drawn from: state 0 is the fair die."""
    truth = HiddenMarkov(2, symbols=6)
    truth.start_probabilities.copy_(torch.tensor([[2 / 3, 1 / 3]], dtype=torch.float64))
    truth.transitions.copy_(torch.tensor([[[0.95, 0.05], [0.1, 0.9]]], dtype=torch.float64))
    dice = torch.tensor([[1 / 6] * 6, [0.1] * 5 + [0.5]], dtype=torch.float64)
    assert isinstance(truth.emissions.probabilities, torch.Tensor)
    truth.emissions.probabilities.copy_(dice[None])
    truth.stop.fill_(0.02)
    return truth


def casino(split: str, n: int = 1000) -> DataSet:
    """Generates games; the first ones are the same for every ``n``."""
    x = casino_truth().draw(Streams(0, f"casino/{split}", 0, n, dtype=torch.float64))
    return DataSet("casino", split, x, space=SampleSpace("tokens", (None,), vocabulary=6))
