r"""Linear transforms over channels: permutations and the invertible 1×1 convolution.

For x ``(n, c, h, w)`` every position is multiplied by one c × c matrix W, so that

    log |det ∂z/∂x| = h·w·log |det W|                                  (Kingma & Dhariwal 2018, eq. 9).

:class:`LULinear` keeps W = P·L·(U + diag(σ·exp s)) with P a fixed permutation, L unit lower triangular, U strictly
upper triangular and fixed signs σ: log |det W| = Σ s costs nothing, and W stays invertible under all updates (Kingma &
Dhariwal 2018, eq. 10–11).  :class:`PlainLinear` learns W itself and computes its determinant with ``slogdet``, since
``logdet`` is NaN where the determinant is negative.  For points ``(n, c)`` there is one position.
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
    """A permutation of channels, z_i = x_{p_i}, which preserves volume.

    Args:
        order: permutation p of 0 … channels − 1.
    """

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.order: Tensor
        self.back: Tensor
        self.register_buffer("order", order.clone())
        self.register_buffer("back", order.argsort())

    @classmethod
    def reverse(cls, channels: int) -> Permutation:
        """Makes the reversal of the order, used between autoregressive layers (Papamakarios et al. 2017)."""
        return cls(torch.arange(channels).flip(0))

    @classmethod
    def random(cls, channels: int, index: int) -> Permutation:
        """Makes a pseudorandom permutation that depends only on ``index``, equal on every machine."""
        draws = Streams(0, f"permutation/{channels}/{index}", 0, 1).uniform(channels)[0]
        return cls(draws.argsort())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z[:, self.back]


class _Linear(Transform):
    """The base of both layers: applies a matrix to every position."""

    @abstractmethod
    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Computes W, ``(channels, channels)``, in ``dtype``, the type of x, as parameters may be in half precision."""

    @abstractmethod
    def log_abs_det(self, dtype: torch.dtype) -> Tensor:
        """Computes log |det W| in ``dtype``."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = math.prod(x.shape[2:]) * self.log_abs_det(x.dtype)
        return _apply(self.matrix(x.dtype), x), log_det.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return _apply(torch.linalg.inv(self.matrix(torch.float64)).to(z.dtype), z)


class LULinear(_Linear):
    """The linear map z = P·L·(U + diag(σ·exp s))·x at every position.

    Args:
        channels: number c of channels.
        identity: whether training starts from the identity, and not from a pseudorandom rotation.
        index: number that determines the rotation.
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
        """Applies W⁻¹, which two triangular solves with the identity give in float64."""
        one = torch.eye(len(self.sign), dtype=torch.float64, device=z.device)
        back = torch.linalg.solve_triangular(self.lower.double().tril(-1) + one, one, upper=False, unitriangular=True)
        inverse = torch.linalg.solve_triangular(self._right(torch.float64), back, upper=True)
        return _apply(inverse[:, self.order].to(z.dtype), z)

    def _right(self, dtype: torch.dtype) -> Tensor:
        diagonal = self.sign.to(dtype) * self.log_diagonal.to(dtype).exp()
        return self.upper.to(dtype).triu(1) + torch.diag(diagonal)


class PlainLinear(_Linear):
    """The linear map z = W·x at every position, with an unconstrained matrix that starts from a rotation.

    Args:
        channels: number c of channels.
        index: number that determines the rotation.
    """

    def __init__(self, channels: int, *, index: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(rotation(channels, index).float())

    def matrix(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype)

    def log_abs_det(self, dtype: torch.dtype) -> Tensor:
        return torch.linalg.slogdet(self.weight.double())[1].to(dtype)


def rotation(channels: int, index: int) -> Tensor:
    """Makes an orthogonal matrix in float64 that depends only on ``index``: the Q factor of Gaussian draws."""
    draws = Streams(0, f"rotation/{index}", 0, channels, dtype=torch.float64).normal(channels)
    return torch.linalg.qr(draws).Q


def _apply(W: Tensor, x: Tensor) -> Tensor:
    """Computes W·x at every position in the precision of x even under autocast, so that it can be inverted."""
    with torch.autocast(x.device.type, enabled=False):
        if x.ndim == 2:
            return x @ W.mT
        return nn.functional.conv2d(x, W[:, :, None, None])
