r"""Change of variables in one dimension, with numbers.

A density changes with the volume: where Y = g(X) stretches the line by |g′|, probability is spread that much thinner,

    p_Y(y) = p_X(x)·|dx/dy| = p_X(x)/|g′(x)|,      x = g⁻¹(y).

First Y = 2X + 1 with X uniform on [0, 1]; then a monotone curve of rational-quadratic pieces with X standard normal.
A normalizing flow is such a g in many dimensions, with a Jacobian in the place of g′.

    python examples/change_of_variables.py
"""

from __future__ import annotations

import math

import torch

from zoo_core.interfaces import Streams
from zoo_flows.actnorm import ActNorm
from zoo_flows.spline import RationalQuadratic


def straight_line() -> None:
    """X ~ U[0, 1], Y = 2X + 1: the interval becomes [1, 3], twice as long, and the density 1/2 on it."""
    g = ActNorm(1).double().requires_grad_(False)
    g.log_scale.fill_(math.log(2.0))
    g.shift.fill_(0.5)  # (x + 0.5)·2
    x = torch.tensor([[0.0], [0.25], [1.0]], dtype=torch.float64)
    y, log_det = g(x)
    assert torch.allclose(y, 2.0 * x + 1.0)
    p_y = torch.exp(0.0 - log_det)  # p_X = 1 there
    assert torch.allclose(p_y, torch.tensor(0.5, dtype=torch.float64))
    assert torch.allclose(g.inverse(y), x)
    print(f"Y = 2X + 1: [0, 1] becomes [{y[0, 0].item():g}, {y[2, 0].item():g}] and p_Y = {p_y[0].item():g}")


def monotone_curve() -> None:
    """X ~ N(0, 1), Y = g(X) with a bent g: the density of Y integrates to 1 and is what a histogram shows."""
    g = RationalQuadratic(bins=4, bound=3.0)
    theta = torch.tensor([0.5, -0.5, 0.3, 0.0, -0.7, 0.6, 0.4, -0.4, 1.0, -1.0, 0.5], dtype=torch.float64)
    y = torch.linspace(-6.0, 6.0, 24001, dtype=torch.float64).view(1, -1)
    wide = theta.view(-1, 1, 1)
    x = g.inverse(y, wide.expand(-1, *y.shape))
    again, log_slope = g.forward(x, wide.expand(-1, *x.shape))
    assert log_slope is not None
    assert torch.allclose(again, y, atol=1e-10)
    p_y = torch.exp(-0.5 * x.square() - 0.5 * math.log(2.0 * math.pi) - log_slope)[0]
    mass = torch.trapezoid(p_y, y[0]).item()
    assert abs(mass - 1.0) < 1e-6

    samples = Streams(0, "example", 0, 20000, dtype=torch.float64).normal(1)
    drawn, _ = g.forward(samples, wide.expand(-1, *samples.shape))
    inside = (drawn > -1.0) & (drawn < 0.5)
    region = (y[0] > -1.0) & (y[0] < 0.5)
    expected = torch.trapezoid(p_y[region], y[0][region]).item()
    found = inside.double().mean().item()
    assert abs(found - expected) < 0.015
    print(f"Y = g(X): p_Y integrates to {mass:.6f}; P(−1 < Y < 0.5) = {expected:.3f}, of 20,000 draws {found:.3f}")


if __name__ == "__main__":
    straight_line()
    monotone_curve()
