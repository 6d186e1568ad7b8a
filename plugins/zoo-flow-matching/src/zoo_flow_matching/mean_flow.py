r"""Mean flows: a network of the average velocity between two times, which samples in one step (Geng et al. 2025).

In the coordinates of ``zoo_nets.path_model``, y = cos θ·x + sin θ·ε at the angle θ, the ODE's angular velocity is
w(y, θ).  Its average over the way from θ back to φ ≤ θ is

    U(y_θ, φ, θ) = 1/(θ − φ)·∫_φ^θ w(y_τ, τ) dτ,        so that        y_φ = y_θ − (θ − φ)·U(y_θ, φ, θ)

whatever the distance.  At φ = θ it is w itself, the output of a path model, whose weights are therefore a start: the
network has a second time input, the span θ − φ, which has no effect at first.

As a denoiser the model answers with φ = θ; :meth:`MeanFlow.jump` is its flow map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor

from zoo_core.interfaces import Call, Condition, Denoiser, Frame, Sampler, Streams
from zoo_core.paths import Spacing
from zoo_core.samplers.path import head_misfit
from zoo_flow_matching.model import PATHS, Interpolant
from zoo_nets.path_model import PathModel
from zoo_nets.timed_model import Classes

__all__ = ["FlowMap", "MeanFlow"]

CLOCK = 2000.0 / math.pi
"""Units of the network's times per radian."""


class MeanFlow(PathModel):
    """A network of average velocities on an interpolant.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the network; see :class:`zoo_nets.path_model.PathModel`.
        interpolant: interpolant of data and noise on which samples are drawn, ``linear`` or ``trigonometric``.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        interpolant: Interpolant = "linear",
        classes: Classes | None = None,
    ) -> None:
        if interpolant not in PATHS:
            raise ValueError(f"interpolant = {interpolant!r}; expected one of {', '.join(PATHS)}")
        super().__init__(PATHS[interpolant](), shape, network, "velocity", classes, spans=True)

    def average(self, y: Tensor, theta: Tensor, span: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes U(y, θ − span, θ), in the shape of ``y``.

        Args:
            y: states, ``(n, …)``.
            theta: angles θ in [0, π/2], ``(n,)`` or ``(1,)``.
            span: distances θ − φ ≥ 0, ``(n,)`` or ``(1,)``.
            condition: condition with a ``label``, for a model with classes.
        """
        return self.ask(y, CLOCK * theta, condition, span=CLOCK * span)

    def jump(self, x_t: Tensor, t: float, s: float, *, condition: Condition | None = None) -> Tensor:
        """Computes x_s from x_t in one evaluation, for s ≤ t."""
        (r, _, _, at), (scale, _, _, to) = self._angle(t, x_t), self._angle(s, x_t)
        theta, span = at / CLOCK, (at - to) / CLOCK
        y = x_t / r
        return scale * (y - span.to(y.dtype) * self.average(y, theta, span, condition=condition))


class FlowMap(Sampler[Denoiser]):
    """Jumps of a mean flow, from noise to data in one step or in several.

    Args:
        steps: number of jumps, each of one network evaluation.
        spacing: time grid, see :meth:`~zoo_core.paths.GaussianPath.times`.
    """

    name = "flow-map"
    needs = (Denoiser,)
    takes_noise = True
    guides = True

    def __init__(self, steps: int = 1, spacing: Spacing = "trailing") -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps = {steps}; expected a whole number, at least 1")
        self.steps, self.spacing = steps, spacing

    def fits(self, model: Denoiser) -> str | None:
        if not isinstance(model, MeanFlow):
            return "needs a flow map, which is the network of a mean flow only; use ddim or dpm-solver"
        return head_misfit(model, model.path.times(1, self.spacing)[0])

    def draw(self, model: Denoiser, call: Call) -> Tensor:
        assert isinstance(model, MeanFlow)
        times = model.path.times(self.steps, self.spacing)
        x = self._start(model, call.streams, times[0]) if call.noise is None else call.noise
        for i, (t, s) in enumerate(pairwise(times)):
            with_it = model.jump(x, t, s, condition=call.condition)
            if call.condition is not None and call.guidance != 1.0:  # as linear in the jump as in the prediction
                without = model.jump(x, t, s)
                with_it = without + call.guidance * (with_it - without)
            x = with_it
            if call.observer is not None:
                call.observer(Frame(i + 1, self.steps, x, x))
        return x if model.space.low is None else x.clamp(model.space.low, model.space.high)

    @staticmethod
    def _start(model: MeanFlow, streams: Streams, t: float) -> Tensor:
        return model.path.sigma(t) * streams.normal(*model.space.sizes)
