r"""Linear transforms over channels: permutations and the invertible 1×1 convolution.

For x ``(n, c, h, w)`` every position is multiplied by one c × c matrix W, so that

    log |det ∂z/∂x| = h·w·log |det W|                                  (Kingma & Dhariwal 2018, eq. 9).

:class:`LULinear` keeps W = P·L·(U + diag(σ·exp s)) with P a fixed permutation, L unit lower triangular, U strictly
upper triangular and signs σ that are fixed: log |det W| = Σ s is free, and W stays invertible whatever the optimiser
does (ibid., eq. 10–11).  :class:`PlainLinear` learns W itself and takes its determinant; ``logdet`` of such a W is NaN
as soon as the determinant is negative, ``slogdet`` is not.  For points ``(n, c)`` the same without positions.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from zoo_core.interfaces import Streams
from zoo_flows.transform import Transform

__all__ = ["LULinear", "Permutation", "PlainLinear", "rotation"]


class Permutation(Transform):
    """z_i = x_{p_i} over channels; volumes stay what they are.

    Args:
        order: p, a permutation of 0 … channels − 1.
    """

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.order: Tensor
        self.back: Tensor
        self.register_buffer("order", order.clone())
        self.register_buffer("back", order.argsort())

    @classmethod
    def reverse(cls, channels: int) -> Permutation:
        """The order turned round: between autoregressive layers (Papamakarios et al. 2017)."""
        return cls(torch.arange(channels).flip(0))

    @classmethod
    def random(cls, channels: int, index: int) -> Permutation:
        """One that is fixed by ``index``, the same on every machine."""
        draws = Streams(0, f"permutation/{channels}/{index}", 0, 1).uniform(channels)[0]
        return cls(draws.argsort())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z[:, self.back]


class _Linear(Transform):
    """What both have in common: applying a matrix to every position."""

    @abstractmethod
    def matrix(self, dtype: torch.dtype) -> Tensor:
        """W, ``(channels, channels)``, computed in ``dtype``: that of x, for parameters may be of half precision."""

    @abstractmethod
    def log_abs_det(self, dtype: torch.dtype) -> Tensor:
        """log |det W|, computed in ``dtype``."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = math.prod(x.shape[2:]) * self.log_abs_det(x.dtype)
        return _apply(self.matrix(x.dtype), x), log_det.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return _apply(torch.linalg.inv(self.matrix(torch.float64)).to(z.dtype), z)


class LULinear(_Linear):
    """z = P·L·(U + diag(σ·exp s))·x per position.

    Args:
        channels: c.
        identity: start from the identity, not from a rotation that ``index`` fixes.
        index: which rotation.
    """

    def __init__(self, channels: int, *, identity: bool = False, index: int = 0) -> None:
        super().__init__()
        W = torch.eye(channels, dtype=torch.float64) if identity else rotation(channels, index)
        P, L, U = torch.linalg.lu(W)
        self.order: Tensor
        self.sign: Tensor
        self.register_buffer("order", P.argmax(1))  # (P·A)_i = A_{order_i}
        self.register_buffer("sign", U.diagonal().sign().float())
        self.lower = nn.Parameter(L.tril(-1).float())
        self.upper = nn.Parameter(U.triu(1).float())
        self.log_diagonal = nn.Parameter(U.diagonal().abs().log().float())

    def matrix(self, dtype: torch.dtype) -> Tensor:
        L = self.lower.to(dtype).tril(-1) + torch.eye(len(self.sign), dtype=dtype, device=self.lower.device)
        with torch.autocast(self.lower.device.type, enabled=False):
            return (L @ self._right(dtype))[self.order]

    def log_abs_det(self, dtype: torch.dtype) -> Tensor:
        return self.log_diagonal.to(dtype).sum()

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """By two triangular solves with the identity, in float64."""
        one = torch.eye(len(self.sign), dtype=torch.float64, device=z.device)
        back = torch.linalg.solve_triangular(self.lower.double().tril(-1) + one, one, upper=False, unitriangular=True)
        inverse = torch.linalg.solve_triangular(self._right(torch.float64), back, upper=True)
        return _apply(inverse[:, self.order].to(z.dtype), z)

    def _right(self, dtype: torch.dtype) -> Tensor:
        diagonal = self.sign.to(dtype) * self.log_diagonal.to(dtype).exp()
        return self.upper.to(dtype).triu(1) + torch.diag(diagonal)


class PlainLinear(_Linear):
    """z = W·x per position with a matrix that is learned as it is; it starts from a rotation.

    Args:
        channels: c.
        index: which rotation.
    """

    def __init__(self, channels: int, *, index: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(rotation(channels, index).float())

    def matrix(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype)

    def log_abs_det(self, dtype: torch.dtype) -> Tensor:
        return torch.linalg.slogdet(self.weight.double())[1].to(dtype)


def rotation(channels: int, index: int) -> Tensor:
    """An orthogonal matrix in float64 that ``index`` fixes: the Q factor of Gaussian draws."""
    draws = Streams(0, f"rotation/{index}", 0, channels, dtype=torch.float64).normal(channels)
    return torch.linalg.qr(draws).Q


def _apply(W: Tensor, x: Tensor) -> Tensor:
    """W·x at every position, in the precision of x whatever autocast says: what is not exact cannot be inverted."""
    with torch.autocast(x.device.type, enabled=False):
        if x.ndim == 2:
            return x @ W.mT
        return nn.functional.conv2d(x, W[:, :, None, None])
