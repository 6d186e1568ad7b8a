"""Plots of exponential families: log-likelihood curves with intervals, and both KL divergences along a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_classical.estimation import Estimate
from zoo_classical.exponential_family import ExponentialFamily
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model
from zoo_core.plots.draw import INK, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["kl", "likelihood"]

MOST = 8
"""Greatest number of parameters that are shown."""
POINTS = 201
REACH = 4.0
"""Reach of the horizontal axis, in standard errors."""
OTHER = "#b5482a"


def likelihood(model: Model, figure: Figure, seed: int) -> None:
    """Draws the log-likelihood, less its maximum, with the estimate, its 95 % interval, and Wald's parabola."""
    family, shown = _shown(model)
    for axes, one in zip(subplots(figure, 1, len(shown), 3.2), shown, strict=True):
        values = grid(one)
        curve = family.curve(one.name, values)
        finite = torch.isfinite(curve)
        axes.plot(values[finite].numpy(), (curve - curve[finite].max())[finite].numpy(), color=INK)
        axes.plot(values.numpy(), (-0.5 * ((values - one.value) / one.stderr).square()).numpy(), color=OTHER, ls=":")
        axes.axvline(one.value, color=INK, linewidth=0.8)
        axes.axvspan(one.low, one.high, color=INK, alpha=0.12, linewidth=0)
        axes.set_ylim(-6.0, 0.3)
        axes.set_xlim(float(values[0]), float(values[-1]))
        axes.set_title(f"{one.name} = {one.value:.4g} [{one.low:.4g}, {one.high:.4g}]", fontsize=8)
    figure.supylabel("log-likelihood below its maximum, nats", fontsize=8)


def kl(model: Model, figure: Figure, seed: int) -> None:
    """Draws KL(fitted ‖ other) and KL(other ‖ fitted), where the other has another value of one parameter."""
    family, shown = _shown(model)
    for axes, one in zip(subplots(figure, 1, len(shown), 3.2), shown, strict=True):
        values = grid(one)
        others = [family.at(one.name, value) for value in values.tolist()]
        for style, label, of in (
            ("-", "KL(fitted ‖ other)", [family.kl(other) for other in others]),
            ("--", "KL(other ‖ fitted)", [other.kl(family) for other in others]),
        ):
            axes.plot(values.numpy(), of, style, color=INK if style == "-" else OTHER, label=label)
        axes.set_title(one.name, fontsize=8)
        axes.legend(fontsize=7)
    figure.supylabel("nats", fontsize=8)


def grid(one: Estimate) -> Tensor:
    """Returns values of a parameter to either side of its estimate, ``(201,)``; probabilities stay inside (0, 1).

    The axis ends before a value that the parameter cannot have: rates and variances are above 0.
    """
    low, high = one.value - REACH * one.stderr, one.value + REACH * one.stderr
    positive = not one.name.startswith("mean")
    if positive:
        low = max(low, 1e-3 * one.value)
    if one.name.startswith("p"):
        high = min(high, 1.0 - 1e-3 * (1.0 - one.value))
    return torch.linspace(low, high, POINTS, dtype=torch.float64)


def _shown(model: Model) -> tuple[ExponentialFamily, list[Estimate]]:
    """Lists the parameters that have a curve, and an error above 0."""
    assert isinstance(model, ExponentialFamily)
    shown = [e for e in model.estimates() if e.stderr > 0.0 and not e.name.startswith("covariance")][:MOST]
    if not shown:
        raise IncompatibleError("every parameter is at the end of its range, where its curve has no maximum")
    return model, shown
