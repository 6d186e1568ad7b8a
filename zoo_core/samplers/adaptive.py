"""The probability-flow ODE, solved as exactly as asked (:mod:`zoo_core.samplers.probability_flow`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, Denoiser, Frame, Model, Observer, Sampler, Streams
from zoo_core.ode import dormand_prince
from zoo_core.samplers.path import check_head
from zoo_core.samplers.probability_flow import ProbabilityFlow

__all__ = ["AdaptiveODE"]

NEAREST = 1e-3
"""The least angle θ in float32.  Nearer to the data ε̂ is a difference of numbers of seven digits over sin θ, and its
rounding decides on steps; x̂ there is the sample to within θ², which is less than that rounding."""


class AdaptiveODE(Sampler):
    """Dormand–Prince 5(4) with a step of its own for each sample.

    Args:
        rtol, atol: relative and absolute error of a step.
    """

    def __init__(self, rtol: float = 1e-3, atol: float = 1e-3) -> None:
        if not (rtol >= 0.0 and atol > 0.0):
            raise IncompatibleError(f"rtol = {rtol} and atol = {atol}; expected numbers above 0")
        self.rtol, self.atol = rtol, atol

    def check(self, model: Model) -> None:
        if not isinstance(model, Denoiser):
            raise IncompatibleError(f"sampler 'ode' needs Denoiser, which {type(model).__name__} is not")
        check_head(model, model.path.t_max)

    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """As :meth:`Sampler.sample`; ``noise`` of unit variance to begin with instead of drawn."""
        self.check(model)
        assert isinstance(model, Denoiser)
        flow = ProbabilityFlow(model, condition, guidance)
        shape = model.space.sizes
        z = streams.normal(*shape) if noise is None else noise
        start = math.sin(flow.greatest) * z
        end = flow.least if z.dtype == torch.float64 else max(flow.least, NEAREST)
        y = dormand_prince(flow, start, flow.greatest, end, rtol=self.rtol, atol=self.atol).y
        x = y / math.cos(end) if end == flow.least else flow.data(end, y)
        if observer is not None:
            observer(Frame(1, 1, x, x))
        return x
