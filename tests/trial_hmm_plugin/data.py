"""Throws in the occasionally dishonest casino (Durbin et al. 1998, ch. 3)."""

from __future__ import annotations

import torch

from zoo_core.interfaces import DataSet, SampleSpace, Streams
from zoo_trial_hmm.model import HMM


def casino(split: str, n: int = 1000) -> DataSet:
    truth = HMM(2, 6)
    truth.A.copy_(torch.tensor([[0.95, 0.05], [0.10, 0.90]]))
    truth.B.copy_(torch.tensor([[1 / 6] * 6, [0.1] * 5 + [0.5]]))
    truth.end.fill_(0.05)
    x = truth.draw(Streams(0, f"trial-casino/{split}", 0, n))
    return DataSet("trial-casino", split, x, space=SampleSpace("tokens", (None,), vocabulary=6))
