r"""Annealed importance sampling: the normaliser of an energy-based model (Neal 2001; Salakhutdinov & Murray 2008).

Between a distribution p_0 whose normaliser Z_0 is known and can be sampled exactly, and the model p_1, lie p_β with
free energies F_β.  A run draws x_0 ~ p_0 and takes one sweep of the chain of p_{β_k} after the other,

    log w = Σ_k F_{β_{k−1}}(x_{k−1}) − F_{β_k}(x_{k−1}),        E w = Z_1/Z_0.

log Z_1 is estimated by log Z_0 + log mean w, which is too small on average (Jensen), so that −F(x) − log Z_1 is too
large; the spread of log w indicates by how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, EnergyBased, Streams

__all__ = ["LogNormaliser", "annealed_importance"]


@dataclass(frozen=True)
class LogNormaliser:
    """An estimate of log Z.

    Attributes:
        value: estimate, nats.
        stderr: standard error of the estimate, from the spread of the weights, nats.
        log_weights: log w of each run, ``(n,)``.
    """

    value: float
    stderr: float
    log_weights: Tensor

    @property
    def effective_runs(self) -> float:
        """The effective sample size, (Σ w)²/Σ w²."""
        return float(torch.exp(2 * self.log_weights.logsumexp(0) - (2 * self.log_weights).logsumexp(0)))


def annealed_importance(
    path: Callable[[float], EnergyBased[Any]],
    log_z0: float,
    betas: Sequence[float],
    streams: Streams,
    *,
    condition: Condition | None = None,
) -> LogNormaliser:
    """Estimates log Z of ``path(1)``.

    Args:
        path: function that returns p_β for β in [0, 1]; ``path(0).initial_state`` draws from p_0 exactly.
        log_z0: log Z of ``path(0)``, nats.
        betas: levels from 0 to 1, growing; more of them, and more where F_β changes fastest, give a smaller error.
        streams: random streams, one per run.
        condition: condition of the model, one row per run.

    Raises:
        ValueError: the levels do not grow from 0 to 1, or there are fewer than two runs.
    """
    if len(betas) < 2 or betas[0] != 0.0 or betas[-1] != 1.0 or any(b <= a for a, b in pairwise(betas)):
        raise ValueError(
            f"betas begin {list(betas[:2])} and end {list(betas[-2:])}; expected levels growing from 0 to 1"
        )
    if len(streams) < 2:
        raise ValueError(f"{len(streams)} runs; expected at least 2, or there is no standard error")
    with torch.inference_mode():
        below = path(betas[0])
        x = below.initial_state(streams, condition=condition)
        log_w = torch.zeros(len(streams), dtype=torch.float64, device=streams.device)
        for beta in betas[1:]:
            above = path(beta)
            log_w += below.free_energy(x, condition=condition).double()
            log_w -= above.free_energy(x, condition=condition).double()
            if beta < 1.0:
                x = above.gibbs_step(x, streams, condition=condition)
            below = above
    n = len(log_w)
    weights = torch.exp(log_w - log_w.max())
    stderr = float(weights.std() / weights.mean()) / math.sqrt(n)
    return LogNormaliser(log_z0 + float(log_w.logsumexp(0)) - math.log(n), stderr, log_w)
