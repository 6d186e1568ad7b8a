r"""Optimal transport between the noise and the data of a minibatch.

Of all permutations π of n noises the pairing that minimises

    Σ_i ‖x_i − ε_π(i)‖²

is the optimal transport between the two empirical measures, whose plan is a permutation (Birkhoff).  It is found
exactly by scipy's Jonker–Volgenant algorithm, in O(n³).  With a permutation, in contrast to draws from the plan, every
noise and every example is used once, so the marginals of the minibatch do not change.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["optimal_transport", "transport_cost"]


def optimal_transport(noise: Tensor, x: Tensor) -> Tensor:
    """Finds the optimal permutation π, int64 ``(n,)``, which pairs ``noise[π]`` with ``x``.

    Args:
        noise: noise, ``(n, …)``.
        x: data, in the shape of ``noise``.

    Raises:
        ValueError: the shapes differ.
    """
    if noise.shape != x.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)} and data {tuple(x.shape)}; expected the same")
    a, b = x.detach().flatten(1).double().cpu(), noise.detach().flatten(1).double().cpu()
    _, columns = linear_sum_assignment((-2.0 * a @ b.T + b.square().sum(1)).numpy())  # ‖x‖² is the same for every π
    return torch.from_numpy(columns).to(x.device)


def transport_cost(noise: Tensor, x: Tensor) -> float:
    """Computes the mean of ‖x_i − ε_i‖² over pairs."""
    return (noise - x).flatten(1).double().square().sum(1).mean().item()
