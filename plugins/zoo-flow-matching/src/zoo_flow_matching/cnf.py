r"""Continuous normalizing flows (Chen et al. 2018; FFJORD: Grathwohl et al. 2019).

A velocity field u(x, t) carries data (t = 0) to noise (t = 1), x_1 ~ N(0, I).  Along its ODE

    dx/dt = u(x, t),      d log p_t(x_t)/dt = −tr ∂u/∂x      (the instantaneous change of variables, Chen et al., eq. 8)

so that log p(x) = log N(x_1; 0, I) + ∫_0^1 tr ∂u/∂x dt.  The trace is exact in up to four dimensions and for
perceptrons; otherwise it is estimated by vᵀ(∂u/∂x)v with one Rademacher v per sample, constant along its trajectory
(Hutchinson; Grathwohl et al., eq. 8), and log p is an unbiased estimate.

Both integrals are solved together, by the classical Runge–Kutta method of order four in equal steps, which training
differentiates exactly (discretise, then optimise), or by Dormand and Prince's method to a tolerance.  Sampling solves
the ODE from noise to data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from zoo_core.interfaces import Condition, Density, DirectSampler, LatentVariable, Model, SampleSpace, Streams
from zoo_core.samplers.ode import RK4, Field, dormand_prince, runge_kutta
from zoo_nets.mlp import TimeMLP
from zoo_nets.timed_model import make_network

__all__ = ["CNF", "EXACT_TRACE"]

EXACT_TRACE = 4
"""Greatest number d of dimensions in which the trace is exact for every network, by d products with the Jacobian."""

CLOCK = 2.0 * math.pi
"""Factor of the time in the network's input: the fastest wave of the embedding has one period over [0, 1], which is
smooth over one step."""


class CNF(Model, Density, DirectSampler, LatentVariable):
    """A neural ordinary differential equation from data to noise.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the velocity network, ``{"kind": "mlp", …}`` or ``{"kind": "unet", …}``.
        steps: number of Runge–Kutta steps over [0, 1], of four evaluations each; ``None`` for the adaptive method.
        tolerance: relative and absolute tolerance of a step of the adaptive method, above 0.

    Raises:
        ValueError: fewer than one step, a tolerance that is not positive, or an unknown network.
    """

    invertible = True
    many_passes = True

    def __init__(
        self, shape: list[int], network: Mapping[str, Any], steps: int | None = 16, tolerance: float = 1e-5
    ) -> None:
        super().__init__()
        if steps is not None and steps < 1:
            raise ValueError(f"steps = {steps}; expected at least 1")
        if not tolerance > 0.0:
            raise ValueError(f"tolerance = {tolerance}; expected a positive number")
        self.space = SampleSpace.of(shape, low=-1.0, high=1.0)
        self.steps, self.tolerance = steps, tolerance
        self.network = make_network(network, shape)
        self.exact_trace = isinstance(self.network, TimeMLP) or math.prod(shape) <= EXACT_TRACE
        self.log_prob_is = "exact" if self.exact_trace else "estimate"

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """Computes u(x, t), in the shape and type of ``x``, at times ``(n,)``, or ``(1,)`` for all samples."""
        return self.network(x.to(self.dtype), CLOCK * t).to(x.dtype)

    def velocity_and_trace(self, x: Tensor, t: Tensor, probe: Tensor | None) -> tuple[Tensor, Tensor]:
        """Computes u(x, t) and the trace of its Jacobian ``(n,)``, or an estimate of the trace with a probe."""
        if isinstance(self.network, TimeMLP):
            u, jacobian = self.network.with_jacobian(x, CLOCK * t)
            return u, jacobian.diagonal(dim1=1, dim2=2).sum(1)
        create = torch.is_grad_enabled()
        # the only attention kernel that can be differentiated twice
        with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            x = x.clone() if x.requires_grad else x.detach().clone().requires_grad_(True)
            u = self.velocity(x, t)
            probes = [probe] if probe is not None else list(_axes(x))
            trace = torch.zeros(len(x), dtype=x.dtype, device=x.device)
            for v in probes:
                (row,) = torch.autograd.grad((u * v).sum(), x, create_graph=create, retain_graph=True)
                trace = trace + (row * v).flatten(1).sum(1)
        return (u, trace) if create else (u.detach(), trace)

    def to_noise(
        self, x: Tensor, probe: Tensor | None = None, steps: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Integrates from data to noise.

        Args:
            x: data, ``(n, …)``.
            probe: probe v of the estimated trace, in the shape of ``x``; not used where the trace is exact.
            steps: number of Runge–Kutta steps; the model's ``steps`` unless given.

        Returns:
            x_1; ∫ tr ∂u/∂x dt, ``(n,)``; and the kinetic energy ∫ ‖u‖² dt, ``(n,)``.
        """

        def rates(t: Tensor, state: Tensor) -> Tensor:
            u, trace = self.velocity_and_trace(state[:, :-2].view_as(x), t, probe)
            flat = u.flatten(1)
            return torch.cat([flat, trace[:, None], flat.square().sum(1, keepdim=True)], dim=1)

        state = torch.cat([x.flatten(1), x.new_zeros(len(x), 2)], dim=1)
        end = self._solved(rates, state, 0.0, 1.0, steps or self.steps)
        return end[:, :-2].view_as(x), end[:, -2], end[:, -1]

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) = log N(x_1; 0, I) + ∫ tr ∂u/∂x dt in nats, ``(n,)``."""
        z, trace, _ = self.to_noise(x, None if self.exact_trace else self.probe(x, streams))
        squared = z.flatten(1).square()
        return -0.5 * (squared + math.log(2.0 * math.pi)).sum(1) + trace

    def probe(self, x: Tensor, streams: Streams | None) -> Tensor:
        """Draws Rademacher signs in the shape of ``x``."""
        streams = streams or Streams(0, "trace", 0, len(x), device=x.device)
        return streams.integers(2, *x.shape[1:]).to(x) * 2.0 - 1.0

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        return self._carried(x, 0.0, 1.0)

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        return self._carried(z, 1.0, 0.0)

    def draw_latent(self, streams: Streams) -> Tensor:
        return streams.normal(*self.space.sizes)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.decode(self.draw_latent(streams))

    def _carried(self, x: Tensor, start: float, end: float) -> Tensor:
        return self._solved(lambda t, state: self.velocity(state, t), x, start, end, self.steps)

    def _solved(self, rates: Field, state: Tensor, start: float, end: float, steps: int | None) -> Tensor:
        if steps is None:
            found = dormand_prince(rates, state, start, end, rtol=self.tolerance, atol=self.tolerance)
        else:
            found = runge_kutta(rates, state, start, end, steps=steps, method=RK4)
        return found.y


def _axes(x: Tensor) -> list[Tensor]:
    """Returns the unit vectors of one sample, each in a shape that broadcasts against ``x``."""
    size = x[0].numel()
    return [row.view(1, *x.shape[1:]) for row in torch.eye(size, dtype=x.dtype, device=x.device)]
