r"""What the known cells of incomplete rows say about the missing ones, in whitened coordinates.

A component is x = μ + L y with y ~ N(0, I).  Let r be the residual x − μ with zeros at the missing cells U, K the known
ones, and V R = (L⁻¹)_U a QR factorisation of the columns U of L⁻¹.  Since any x_U moves L⁻¹(x − μ) along V only,

    w = (I − V Vᵀ) L⁻¹ r,                        log det Σ_KK = 2·log det L + 2·log |det R|,
    log N(x_K; μ_K, Σ_KK) = −½‖w‖² − ½·log det Σ_KK − ½|K|·log 2π,
    E[y | x_K] = w,        Cov[y | x_K] = V Vᵀ,        y = w + V Vᵀ z with z ~ N(0, I).

The last formula draws the whole row; the known coordinates of μ + L y are x_K again.  Rows with the same missing cells
share V and R, and such patterns with equally many rows and missing cells are computed together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Block", "blocks", "missing_rows"]

NUMBERS = 2_000_000
"""Greatest count of numbers in a tensor of a block, unless a single pattern has more."""


@dataclass(frozen=True)
class Block:
    """Rows of p patterns with m rows and u missing cells each, under k components.

    Attributes:
        rows: row numbers, ``(p, m)``.
        mean: E[y | x_K] = w, ``(k, p, m, D)``.
        basis: V, ``(k or 1, p, D, u)``; 1 where the components share L.
        log_density: log N(x_K; μ_K, Σ_KK), ``(k, p, m)``.
    """

    rows: Tensor
    mean: Tensor
    basis: Tensor
    log_density: Tensor


def missing_rows(x: Tensor) -> Tensor | None:
    """Finds the rows with missing cells (NaN), bool ``(n,)``; ``None`` if there are none, which takes one sum."""
    if not bool(torch.isnan(x.sum())):
        return None
    found = torch.isnan(x).any(1)
    return found if bool(found.any()) else None


def blocks(x: Tensor, missing: Tensor, means: Tensor, factors: Tensor) -> Iterator[Block]:
    """Yields all rows, some patterns at a time.

    Args:
        x: rows, ``(n, D)`` in float64; missing cells are not read.
        missing: mask of the missing cells, bool ``(n, D)``.
        means: means μ of the components, ``(k, D)``.
        factors: lower triangular factors L, ``(k or 1, D, D)``.
    """
    k, d = means.shape
    eye = torch.eye(d, dtype=factors.dtype, device=factors.device)
    whitener = torch.linalg.solve_triangular(factors, eye.expand_as(factors), upper=False)
    log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    for rows, cells in _patterns(missing, k * d):
        u = cells.shape[1]
        residual = (x[rows] - means[:, None, None]).masked_fill_(missing[rows], 0.0)
        white = residual.view(k, -1, d) @ whitener.mT
        basis, r = torch.linalg.qr(whitener[:, :, cells].movedim(1, 2))
        white = white.view(residual.shape)
        mean = white - (white @ basis) @ basis.mT
        half = log_det[:, None] + r.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        constant = half + 0.5 * (d - u) * math.log(2.0 * math.pi)
        yield Block(rows, mean, basis, -0.5 * mean.square().sum(-1) - constant[:, :, None])


def _patterns(missing: Tensor, numbers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the rows of some patterns, ``(p, m)``, and their missing cells, ``(p, u)``.

    Args:
        missing: mask of the missing cells, bool ``(n, D)``.
        numbers: count of numbers that a row takes, k·D.
    """
    packed = _packed(missing)
    along = None if packed.shape[1] == 1 else 0  # one column is several times as quick without its axis
    _, inverse, count = torch.unique(packed, dim=along, return_inverse=True, return_counts=True)
    inverse = inverse.flatten()
    order = torch.argsort(inverse, stable=True)
    first = count.cumsum(0) - count
    size = missing[order[first]].sum(1)
    kinds, kind = torch.unique(size * len(missing) + count - 1, return_inverse=True)
    for number, both in enumerate(kinds.tolist()):
        u, m = both // len(missing), both % len(missing) + 1
        most = max(1, NUMBERS // numbers // (u + m))
        for some in torch.split((kind == number).nonzero().squeeze(1), most):
            rows = order[first[some, None] + torch.arange(m, device=missing.device)]
            cells = missing[rows[:, 0]].nonzero()[:, 1].view(len(some), u)
            for few in torch.split(rows, max(1, NUMBERS // numbers // len(some)), dim=1):
                yield few, cells


def _packed(mask: Tensor) -> Tensor:
    """Packs every 62 cells of a mask into one integer, int64 ``(n, ⌈D/62⌉)``, which are quicker to compare."""
    parts = torch.split(mask, 62, dim=1)
    return torch.stack([(part.long() << torch.arange(part.shape[1], device=mask.device)).sum(1) for part in parts], 1)
