r"""Langevin dynamics on any density with a gradient (Roberts & Tweedie 1996).

    x ← x + a·∇ log p(x) + √(2a)·z,      z ~ N(0, I).

Unadjusted (ULA), its stationary law is p up to O(a): on N(0, s²) the variance is s²/(1 − a/(2s²)).  With a Metropolis
step (MALA) the move to y is accepted with probability

    min(1, p(y)·q(x | y) / (p(x)·q(y | x))),      q(y | x) = N(y; x + a·∇ log p(x), 2a·I),

and p is invariant.  Chains begin at N(0, spread²) and do not sample modes that they never reach.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.interfaces import Call, Condition, Density, Frame, Model, Sampler
from zoo_core.paths import broadcast

__all__ = ["Langevin"]


class Langevin(Sampler[Density]):
    """Langevin dynamics with one chain per sample.

    Args:
        steps: number of moves, at least 1, each with one gradient of log p.
        step_size: step size a > 0, in squared units of the data, about the square of the finest detail.
        metropolis: whether moves are accepted or rejected by Metropolis' rule, so that p is exactly invariant.
        spread: standard deviation of the initial points, above 0.

    Raises:
        ValueError: fewer than one step, or a step size or spread that is not positive.
    """

    name = "langevin"
    needs = (Density,)

    def __init__(self, steps: int = 500, step_size: float = 0.01, metropolis: bool = True, spread: float = 1.0) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps = {steps}; a sampler takes a whole number of steps, at least 1")
        if not (step_size > 0.0 and spread > 0.0):
            raise ValueError(f"step_size = {step_size} and spread = {spread}; expected positive numbers")
        self.steps, self.step_size, self.metropolis, self.spread = steps, step_size, metropolis, spread

    def fits(self, model: Density) -> str | None:
        assert isinstance(model, Model)
        name = type(model).__name__
        if model.discrete or model.binarises or model.space.kind not in ("points", "image"):
            return f"needs a density of real numbers; that of {name} is discrete"
        if model.log_prob_is != "exact":
            return f"needs the gradient of an exact density; {name} has a {model.log_prob_is}"
        if model.many_passes:
            return f"needs the gradient of log p at every step; that of {name} is an equation to be solved each time"
        probe = torch.zeros((1, *model.space.sizes), device=model.device, dtype=model.dtype)
        try:
            value, slope = _with_gradient(model, probe, _any_condition(model))
        except RuntimeError as err:
            return f"needs a gradient, and log p of {name} has none: {err}"
        if value.shape != (1,) or slope.shape != probe.shape:
            return f"needs one number per sample; log p of {name} has shape {tuple(value.shape)}"
        return None

    def draw(self, model: Density, call: Call) -> Tensor:
        streams, condition, observer = call.streams, call.condition, call.observer
        shape, a = model.space.sizes, self.step_size
        with torch.inference_mode(False):  # gradients need tensors that were made outside of inference mode
            x = self.spread * streams.normal(*shape)
            log_p, slope = _with_gradient(model, x, condition)
            for i in range(self.steps):
                y = x + a * slope + math.sqrt(2 * a) * streams.normal(*shape)
                if self.metropolis:
                    log_q, new_slope = _with_gradient(model, y, condition)
                    there = (y - x - a * slope).flatten(1).square().sum(1)
                    back = (x - y - a * new_slope).flatten(1).square().sum(1)
                    ratio = log_q - log_p + (there - back) / (4 * a)
                    accepted = streams.uniform(1).squeeze(1).log() < ratio.to(x)  # NaN is refused
                    rows = broadcast(accepted, x)
                    x, slope = torch.where(rows, y, x), torch.where(rows, new_slope, slope)
                    log_p = torch.where(accepted, log_q, log_p)
                else:
                    x = y
                    log_p, slope = _with_gradient(model, x, condition)
                if observer is not None:
                    observer(Frame(i + 1, self.steps, x, x))
        return x


def _any_condition(model: Model) -> Condition | None:
    """Returns a valid condition of one sample, all numbers of which are 0; ``None`` for an unconditional model."""
    specs = {name: spec for name, spec in model.conditions.items() if spec.kind != "tokens"}
    zeros = {
        name: torch.zeros((1, *spec.shape), dtype=model.dtype if spec.classes is None else torch.int64).to(model.device)
        for name, spec in specs.items()
    }
    return Condition(**zeros) if zeros else None


def _with_gradient(model: Density, x: Tensor, condition: Condition | None) -> tuple[Tensor, Tensor]:
    """Returns log p(x) and its gradient, detached; rows do not interact, so one backward pass gives all gradients."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        log_p = model.log_prob(x, condition=condition)
        (slope,) = torch.autograd.grad(log_p.sum(), x)
    return log_p.detach(), slope
