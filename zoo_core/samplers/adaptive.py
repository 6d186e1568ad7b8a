"""The probability-flow ODE, solved as exactly as asked (:mod:`zoo_core.samplers.probability_flow`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, Denoiser, Frame, Sampler
from zoo_core.samplers.ode import dormand_prince
from zoo_core.samplers.path import head_misfit
from zoo_core.samplers.probability_flow import ProbabilityFlow

__all__ = ["AdaptiveODE"]

NEAREST = 1e-3
"""The least angle θ in float32.  Nearer to the data ε̂ is a difference of numbers of seven digits over sin θ, and its
rounding decides on steps; x̂ there is the sample to within θ², which is less than that rounding."""


class AdaptiveODE(Sampler[Denoiser]):
    """Dormand–Prince 5(4) with a step of its own for each sample.

    ``Call.noise`` is of unit variance.

    Args:
        rtol, atol: relative and absolute error of a step.
    """

    name = "ode"
    needs = (Denoiser,)
    takes_noise = True
    guides = True

    def __init__(self, rtol: float = 1e-3, atol: float = 1e-3) -> None:
        if not (rtol >= 0.0 and atol > 0.0):
            raise IncompatibleError(f"rtol = {rtol} and atol = {atol}; expected numbers above 0")
        self.rtol, self.atol = rtol, atol

    def fits(self, model: Denoiser) -> str | None:
        return head_misfit(model, model.path.t_max)

    def draw(self, model: Denoiser, call: Call) -> Tensor:
        flow = ProbabilityFlow(model, call.condition, call.guidance)
        z = call.streams.normal(*model.space.sizes) if call.noise is None else call.noise
        start = math.sin(flow.greatest) * z
        end = flow.least if z.dtype == torch.float64 else max(flow.least, NEAREST)
        y = dormand_prince(flow, start, flow.greatest, end, rtol=self.rtol, atol=self.atol).y
        x = y / math.cos(end) if end == flow.least else flow.data(end, y)
        if call.observer is not None:
            call.observer(Frame(1, 1, x, x))
        return x
