"""Solves the probability-flow ODE to a tolerance (:mod:`zoo_core.samplers.probability_flow`)."""

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
"""The least angle θ in float32.  Below it, ε̂ is a difference of seven-digit numbers divided by sin θ, whose rounding
error would determine the step length; x̂ at this angle equals the sample to within θ², less than that rounding."""


class AdaptiveODE(Sampler[Denoiser]):
    """The probability-flow ODE by Dormand–Prince 5(4), with steps chosen for each sample.

    ``Call.noise`` has unit variance.

    Args:
        rtol, atol: tolerances of the relative and the absolute error of a step, at least 0 and above 0.
    """

    name = "ode"
    needs = (Denoiser,)
    takes_noise = True
    guides = True

    def __init__(self, rtol: float = 1e-3, atol: float = 1e-3) -> None:
        if not (rtol >= 0.0 and atol > 0.0):
            raise IncompatibleError(f"rtol = {rtol} and atol = {atol}; expected rtol of at least 0 and atol above 0")
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
