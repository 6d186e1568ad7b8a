r"""Ordinary differential equations dy/du = f(u, y) for batches of independent samples.

An explicit Runge–Kutta method with nodes c, matrix a and weights b takes the step of length h

    k_j = f(u + c_j·h, y + h·Σ_{i<j} a_ji·k_i),      y ← y + h·Σ_j b_j·k_j      (Hairer et al. 1993, II.1).

`dormand_prince` chooses h by the difference of two such sums, of orders 5 and 4 (Hairer et al. 1993,
II.4–5).  Every sample has its own step length, so that a result never depends on the other samples of the batch.

`adams` takes given steps and reuses earlier slopes, so that each step costs one evaluation (Hairer et al. 1993, III.1
and III.5):

    p = y_i + Σ_j b_j·f_{i−j},      f_{i+1} = f(u_{i+1}, p),      y_{i+1} = y_i + Σ_j b*_j·f_{i+1−j},

b and b* being the integrals over the step of the polynomials through four slopes.  The correction y_{i+1} − p estimates
the error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.paths import broadcast

__all__ = ["EULER", "HEUN", "MIDPOINT", "RK4", "ByRows", "Field", "Solution", "Tableau"]
__all__ += ["adams", "dormand_prince", "runge_kutta"]

Field = Callable[[Tensor, Tensor], Tensor]
"""f(u, y) for y ``(n, …)`` and u ``(n,)``, or ``(1,)`` for all samples alike."""

SLOPES = 4
"""Number of slopes that `adams` uses: three and five were less accurate for an equal number of evaluations."""


@runtime_checkable
class ByRows(Protocol):
    """A field that can be restricted to some of its samples, so that finished samples leave the batch."""

    def __call__(self, u: Tensor, y: Tensor, /) -> Tensor:
        """Returns f(u, y)."""

    def rows(self, index: Tensor) -> ByRows:
        """Returns the field of the samples ``index``."""


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge–Kutta method.

    Attributes:
        nodes: nodes c.
        matrix: rows of the matrix a, each as long as the number of earlier stages.
        weights: weights b.
    """

    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


EULER = Tableau((0.0,), ((),), (1.0,))
MIDPOINT = Tableau((0.0, 0.5), ((), (0.5,)), (0.0, 1.0))
HEUN = Tableau((0.0, 1.0), ((), (1.0,)), (0.5, 0.5))
RK4 = Tableau((0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))

_DP5 = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
)
_FOURTH = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)


@dataclass(frozen=True)
class Solution:
    """The solution at the end of the interval.

    Attributes:
        y: states at the end, ``(n, …)``.
        evaluations: number of evaluations of f, for the batch or a part of it.
        corrected: sum of all corrections, ``(n, …)``; `adams` only.
    """

    y: Tensor
    evaluations: int
    corrected: Tensor | None = None


def runge_kutta(f: Field, y: Tensor, start: float, end: float, *, steps: int, method: Tableau = RK4) -> Solution:
    """Takes ``steps`` equal steps from ``start`` to ``end``.

    Args:
        f: field f(u, y) of the equation.
        y: states at ``start``, ``(n, …)``.
        start, end: values of u, in either order.
        steps: number of steps, at least 1.
        method: Runge–Kutta method.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}; expected at least 1")
    h = (end - start) / steps
    for i in range(steps):
        slopes: list[Tensor] = []
        for node, row in zip(method.nodes, method.matrix, strict=True):
            slopes.append(f(_at(start + (i + node) * h, y), _sum(y, h, row, slopes)))
        y = _sum(y, h, method.weights, slopes)
    return Solution(y, steps * len(method.nodes))


def adams(f: Field, y: Tensor, nodes: Sequence[float]) -> Solution:
    """Integrates from node to node, with one evaluation at each.

    Args:
        f: field f(u, y) of the equation.
        y: states at the first node, ``(n, …)``.
        nodes: values of u, rising or falling, at least two.  The first steps use fewer slopes, and should be short.

    Raises:
        ValueError: fewer than two nodes.
    """
    if len(nodes) < 2:
        raise ValueError(f"{len(nodes)} nodes; expected at least 2")
    slopes = [f(_at(nodes[0], y), y)]
    corrected = torch.zeros_like(y)
    for i, end in enumerate(nodes[1:]):
        known = [*reversed(nodes[max(0, i + 1 - SLOPES) : i + 1])]  # the latest first, in the order of the slopes
        predicted = _sum(y, 1.0, _integrals(known, nodes[i], end), slopes)
        slopes = [f(_at(end, y), predicted), *slopes][:SLOPES]
        y = _sum(y, 1.0, _integrals([end, *known][:SLOPES], nodes[i], end), slopes)
        corrected = corrected + (y - predicted).abs()
    return Solution(y, len(nodes), corrected)


def dormand_prince(
    f: Field,
    y: Tensor,
    start: float,
    end: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    first: float = 0.05,
    most: int = 1000,
) -> Solution:
    """Integrates to a tolerance, with steps chosen for each sample.

    A step of a sample is accepted where the root mean square of error/(atol + rtol·max(|y|, |y_new|)) over its own
    coordinates is at most 1, and the next is 0.9·error^(−1/5) times as long, between a fifth and five times.

    Args:
        f: field f(u, y); where it is `ByRows`, samples that have arrived leave the batch.
        y: states at ``start``, ``(n, …)``.
        start, end: values of u, in either order.
        rtol, atol: tolerances of the relative and the absolute error of a step.
        first: length of the first step, as a share of the interval.
        most: greatest number of steps, rejected ones included.

    Raises:
        ZooError: a sample has not arrived after ``most`` steps, or is no longer finite.
    """
    direction = 1.0 if end >= start else -1.0
    length = abs(end - start)
    arrived, rows, field = y.clone(), torch.arange(len(y), device=y.device), f
    u = torch.zeros(len(y), dtype=torch.float64, device=y.device)  # share of the interval that is done
    h = torch.full_like(u, first * length)
    slope = f(start + direction * u, y)
    evaluations = 1
    for _ in range(most):
        done = u >= length
        if bool(done.all()):
            arrived[rows] = y
            return Solution(arrived, evaluations)
        if isinstance(f, ByRows) and bool(done.any()):
            arrived[rows[done]] = y[done]
            rows, u, h, y, slope = (part[~done] for part in (rows, u, h, y, slope))
            field = f.rows(rows)
        h = torch.minimum(h, length - u)
        step = broadcast((direction * h).to(y.dtype), y)
        slopes = [slope]
        for node, row in zip(_DP5.nodes[1:], _DP5.matrix[1:], strict=True):
            slopes.append(field(start + direction * (u + node * h), _sum(y, step, row, slopes)))
        evaluations += 6
        new = _sum(y, step, _DP5.weights, slopes)
        error = new - _sum(y, step, _FOURTH, slopes)
        scale = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / scale).double().flatten(1).square().mean(1).sqrt()
        if not bool(torch.isfinite(size).all()):
            raise ZooError("the solution of the differential equation is no longer finite; try a smaller rtol and atol")
        accepted = size <= 1.0
        u = torch.where(accepted, torch.where(length - u - h < 1e-12 * length, length, u + h), u)
        chosen = broadcast(accepted, y)
        y, slope = torch.where(chosen, new, y), torch.where(chosen, slopes[-1], slope)
        h = h * (0.9 * size.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
    raise ZooError(
        f"a sample needs more than {most} steps at rtol = {rtol:g} and atol = {atol:g}; choose greater tolerances"
    )


def _at(u: float, y: Tensor) -> Tensor:
    """Returns u as a tensor ``(1,)``, one value for all samples."""
    return torch.full((1,), u, dtype=torch.float64, device=y.device)


def _integrals(nodes: Sequence[float], start: float, end: float) -> tuple[float, ...]:
    """Solves for w with Σ_j w_j·g(node_j) = ∫ g from start to end, for polynomials g of degree < len(nodes)."""
    middle, half = 0.5 * (start + end), 0.5 * (end - start)
    powers = torch.arange(len(nodes), dtype=torch.float64)
    places = (torch.tensor([*nodes], dtype=torch.float64) - middle) / half
    moments = half * (1.0 - (-1.0) ** (powers + 1.0)) / (powers + 1.0)
    return tuple(torch.linalg.solve(places ** powers[:, None], moments).tolist())


def _sum(y: Tensor, h: float | Tensor, weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """Returns y + h·Σ w_j·k_j."""
    terms = [w * k for w, k in zip(weights, slopes, strict=False) if w]
    if not terms:
        return y
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return y + h * total
