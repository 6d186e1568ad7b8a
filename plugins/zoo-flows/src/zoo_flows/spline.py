r"""Monotone rational-quadratic splines on [−B, B] with linear tails (Durkan et al. 2019; Gregory & Delbourgo 1982).

K + 1 knots (x_k, y_k) from (−B, −B) to (B, B) with slopes δ_k > 0, δ_0 = δ_K = 1.  In the bin of x, with

    w = x_{k+1} − x_k,    h = y_{k+1} − y_k,    s = h/w,    ξ = (x − x_k)/w in [0, 1],
    D = s + (δ_{k+1} + δ_k − 2s)·ξ(1 − ξ),

    z = y_k + h·(s·ξ² + δ_k·ξ(1 − ξ))/D                                                       (Durkan et al., eq. 4)
    z′ = s²·(δ_{k+1}·ξ² + 2s·ξ(1 − ξ) + δ_k·(1 − ξ)²)/D²                                      (Durkan et al., eq. 5)

and the inverse is the root ξ = 2c/(−b − √(b² − 4ac)) of the quadratic (Durkan et al., eq. 6–8).  Outside, z = x.

Where x lies outside, the spline is evaluated at the nearest end, since an undefined value would give NaN gradients even
if ``where`` discarded it.  The discriminant is not negative in exact arithmetic; negative values by rounding are set to
0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_flows.univariate import Theta, Univariate

__all__ = ["RationalQuadratic", "spline", "spline_inverse"]

AT_ONCE = 2**15
"""Number of values that are mapped at once."""


class RationalQuadratic(Univariate):
    """The spline whose θ is K widths and K heights (softmax) and K − 1 slopes (softplus).

    Args:
        bins: number K of bins, at least 2.
        bound: bound B > 0.
        least: least width and height as a share of 2B, and least slope.

    Raises:
        ValueError: there are fewer than two bins, or too many for ``least``.
    """

    in_blocks = False

    def __init__(self, bins: int = 8, bound: float = 5.0, least: float = 1e-3) -> None:
        if not 2 <= bins < 1 / least:
            raise ValueError(f"bins = {bins}; expected 2 … {math.ceil(1 / least) - 1}")
        if not bound > 0:
            raise ValueError(f"bound = {bound}; expected a positive number")
        self.bins, self.bound, self.least = bins, bound, least
        self.parameters = 3 * bins - 1

    def knots(self, theta: Theta) -> Tensor:
        """Computes x_k, y_k and δ_k, ``(3, bins + 1, n, d, …)``; θ = 0 gives the identity.

        Knots are the first axis, since torch's softmax on a CPU takes ten times as long over a last axis that is
        shorter than a vector register.
        """
        theta = theta.contiguous() if isinstance(theta, Tensor) else torch.stack([*theta])
        K, B, each = self.bins, self.bound, theta.shape[1:]
        shares = theta[: 2 * K].view(2, K, *each).softmax(1)
        inner = (self.least + (1.0 - self.least * K) * shares)[:, :-1].cumsum(1) * (2 * B) - B
        one = math.log(math.expm1(1.0 - self.least))
        slopes = (self.least + F.softplus(theta[2 * K :] + one)).unsqueeze(0)
        end, unit = inner.new_tensor(B).expand(2, 1, *each), inner.new_tensor(1.0).expand(1, 1, *each)
        return torch.cat([torch.cat([-end, inner, end], 1), torch.cat([unit, slopes, unit], 1)])

    def forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor | None]:
        parts = [self._forward(*part) for part in _in_parts(x, theta)]
        if len(parts) == 1:
            return parts[0]
        z, log_slope = (torch.cat(each) for each in zip(*parts, strict=True))
        return z, log_slope

    def inverse(self, z: Tensor, theta: Theta) -> Tensor:
        parts = [self._inverse(*part) for part in _in_parts(z, theta)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor]:
        inside = x.clamp(-self.bound, self.bound)
        z, log_slope = spline(inside, self.knots(theta))
        outside = inside != x
        return torch.where(outside, x, z), log_slope.masked_fill(outside, 0.0)

    def _inverse(self, z: Tensor, theta: Theta) -> Tensor:
        inside = z.clamp(-self.bound, self.bound)
        return torch.where(inside != z, z, spline_inverse(inside, self.knots(theta)))


def _in_parts(x: Tensor, theta: Theta) -> Iterator[tuple[Tensor, Theta]]:
    """Splits x and θ into parts that stay in a core's cache with all intermediate values, where no gradient is needed.

    A value has three numbers per knot, so 10,000 points in 64 dimensions would pass through memory at every operation.
    """
    rows = len(x) if torch.is_grad_enabled() else max(1, AT_ONCE * len(x) // max(1, x.numel()))
    if rows >= len(x):
        yield x, theta
        return
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        yield x[part], theta[:, part] if isinstance(theta, Tensor) else [t[part] for t in theta]


def spline(x: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
    """Computes z and log z′ for x between the first and the last knot.

    Args:
        x: values, ``(…)``.
        knots: knots x_k, y_k and slopes δ_k, ``(3, K + 1, …)``.
    """
    x_k, y_k, slope, w, h, next_slope = _bin(x, knots, axis=0)
    s, xi = h / w, (x - x_k) / w
    across, rest = xi * (1.0 - xi), 1.0 - xi
    D = s + (next_slope + slope - 2.0 * s) * across
    z = y_k + h * (s * xi * xi + slope * across) / D
    rise = next_slope * xi * xi + 2.0 * s * across + slope * rest * rest
    return z, torch.log(rise * (s / D).square())


def spline_inverse(z: Tensor, knots: Tensor) -> Tensor:
    """Solves spline(x) = z for z between the first and the last knot, in the shapes of :func:`spline`."""
    x_k, y_k, slope, w, h, next_slope = _bin(z, knots, axis=1)
    s, above = h / w, z - y_k
    bend = above * (next_slope + slope - 2.0 * s)
    a, b, c = h * (s - slope) + bend, h * slope - bend, -s * above
    root = torch.sqrt((b * b - 4.0 * a * c).clamp(min=0.0))
    return x_k + w * (2.0 * c / (-b - root))


def _bin(value: Tensor, knots: Tensor, axis: int) -> tuple[Tensor, ...]:
    """Finds x_k, y_k, δ_k, w, h and δ_{k+1} of the bin in which a value lies, by one look-up for both ends."""
    k = (value.detach() >= knots.detach()[axis, 1:-1]).sum(0)
    left, right = knots.gather(1, torch.stack([k, k + 1]).expand(3, 2, *value.shape)).unbind(1)
    x_k, y_k, slope = left
    x_next, y_next, next_slope = right
    return x_k, y_k, slope, x_next - x_k, y_next - y_k, next_slope
