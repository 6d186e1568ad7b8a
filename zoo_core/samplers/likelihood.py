r"""The likelihood of any path model by its probability-flow ODE (Song et al. 2021, §4.3; Grathwohl et al. 2019).

Along dy/dθ = v(y, θ) the density changes by d log p(y(θ))/dθ = −div v, so that with θ from ≈ 0 (data) to Θ (noise)

    log p(x) = log N(y(Θ); 0, sin²Θ·I) + ∫ div v dθ + d·log cos θ_0,        y(θ_0) = cos θ_0·x.

In few dimensions div v is exact, one backward pass for each; otherwise it is estimated by probes z with E zzᵀ = I,
drawn once for the whole solution (Hutchinson 1990; Skilling 1989), div v ≈ E zᵀ(∂v/∂y)z.  z has entries ±1, which have
less variance than Gaussian ones.

The steps are taken in u with θ = g·sinh u, which is logarithmic in θ beyond the grain g of the data and linear below:
in θ itself the first step would pass over the steep field near the data, see nothing of it, and find an MNIST image
60 nats too likely.

What is left out: the noise below θ_0, where no network was trained, and how far p(y(Θ)) is from Gaussian, where the
path does not end in pure noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Denoiser, Model, Streams
from zoo_core.ode import RK4, dormand_prince, runge_kutta
from zoo_core.samplers.probability_flow import ProbabilityFlow

__all__ = ["ODELikelihood", "decode", "encode", "ode_log_prob"]

EXACT_UP_TO = 4
"""Dimensions in which the trace is exact unless it is said otherwise."""

GRAIN = 0.004
"""g: how near to the data the field still changes, half a grey level of an image in [−1, 1]."""


@dataclass(frozen=True)
class ODELikelihood:
    """A likelihood by an ODE.

    Attributes:
        log_prob: nats per sample, ``(n,)``.
        stderr: of the average over the probes, per sample, ``(n,)``; zero where the trace is exact, NaN for one probe.
        code: y(Θ)/sin Θ, the noise that the sample came from, ``(n, …)``.
        evaluations: of the network, for each probe one of these was also differentiated.
    """

    log_prob: Tensor
    stderr: Tensor
    code: Tensor
    evaluations: int


def ode_log_prob(
    model: Denoiser,
    x: Tensor,
    *,
    condition: Condition | None = None,
    streams: Streams | None = None,
    probes: int = 1,
    exact: bool | None = None,
    steps: int | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> ODELikelihood:
    """log p(x) of the samples that the probability-flow ODE of a model draws.

    Args:
        model: any path model.
        x: data on the model's side, ``(n, …)``.
        condition: what to condition on.
        streams: where the probes come from; a fixed seed where not given.
        probes: how many, each with a solution of its own.
        exact: whether the trace is exact; in up to four dimensions unless given.
        steps: of the classical Runge–Kutta method, four evaluations each; adaptive where not given.
        rtol, atol: of the adaptive method, for y and for the integral in nats per dimension.

    Raises:
        ValueError: fewer than one probe.
        ZooError: the equation cannot be solved so exactly.
    """
    if probes < 1:
        raise ValueError(f"probes = {probes}; expected at least 1")
    d = x[0].numel()
    exact = d <= EXACT_UP_TO if exact is None else exact
    if streams is None:
        streams = Streams(0, "probe", 0, len(x), device=x.device, dtype=x.dtype)
    flow = ProbabilityFlow(model, condition)
    first, last = (math.asinh(theta / GRAIN) for theta in (flow.least, flow.greatest))
    start = torch.cat([math.cos(flow.least) * x.flatten(1), x.new_zeros(len(x), 1)], 1)
    found, evaluations = [], 0
    for _ in range(1 if exact else probes):
        probe = None if exact else streams.integers(2, *x.shape[1:]).to(x.dtype) * 2.0 - 1.0

        def field(u: Tensor, state: Tensor, probe: Tensor | None = probe) -> Tensor:
            theta = (GRAIN * torch.sinh(u)).clamp(flow.least, flow.greatest)
            v, divergence = _with_divergence(flow, theta, state[:, :-1].view_as(x), probe)
            slope = torch.cat([v.flatten(1), divergence.unsqueeze(1) / d], 1)
            return (GRAIN * torch.cosh(u)).to(x.dtype).unsqueeze(1) * slope

        with _frozen(cast(Model, model)):
            if steps is None:
                solution = dormand_prince(field, start, first, last, rtol=rtol, atol=atol, apart=1)
            else:
                solution = runge_kutta(field, start, first, last, steps=steps, method=RK4)
        y, integral = solution.y[:, :-1], d * solution.y[:, -1]
        spread = math.sin(flow.greatest)
        normal = -0.5 * (y / spread).square().sum(1) - d * (0.5 * math.log(2.0 * math.pi) + math.log(spread))
        found.append(normal + integral + d * math.log(math.cos(flow.least)))
        evaluations += solution.evaluations
    each = torch.stack(found)
    stderr = torch.zeros_like(each[0]) if exact else torch.full_like(each[0], math.nan)
    if len(each) > 1:
        stderr = each.std(0) / math.sqrt(len(each))
    return ODELikelihood(each.mean(0), stderr, (y / spread).view_as(x), evaluations)


def encode(
    model: Denoiser, x: Tensor, *, condition: Condition | None = None, rtol: float = 1e-5, atol: float = 1e-5
) -> Tensor:
    """The noise that data came from, ``(n, …)``, close to N(0, I): the ODE from data to noise (inversion).

    Args:
        model: any path model.
        x: data on the model's side.
        condition: what to condition on.
        rtol, atol: of the adaptive method.
    """
    flow = ProbabilityFlow(model, condition)
    y = dormand_prince(flow, math.cos(flow.least) * x, flow.least, flow.greatest, rtol=rtol, atol=atol).y
    return y / math.sin(flow.greatest)


def decode(
    model: Denoiser,
    noise: Tensor,
    *,
    condition: Condition | None = None,
    guidance: float = 1.0,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """The data of a noise, ``(n, …)`` on the model's side: the inverse of :func:`encode`.

    Args:
        model: any path model.
        noise: of unit variance.
        condition: what to condition on.
        guidance: how strongly.
        rtol, atol: of the adaptive method.
    """
    flow = ProbabilityFlow(model, condition, guidance)
    start = math.sin(flow.greatest) * noise
    y = dormand_prince(flow, start, flow.greatest, flow.least, rtol=rtol, atol=atol).y
    return y / math.cos(flow.least)


def _with_divergence(flow: ProbabilityFlow, theta: Tensor, y: Tensor, probe: Tensor | None) -> tuple[Tensor, Tensor]:
    """v and div v ``(n,)``: exact without a probe, zᵀ(∂v/∂y)z with one."""
    with torch.inference_mode(False), torch.enable_grad():
        y = y.clone().requires_grad_()
        v = flow(theta.clone(), y)
        if probe is not None:
            (pulled,) = torch.autograd.grad(v, y, probe.clone())
            return v.detach(), (pulled * probe).flatten(1).sum(1)
        flat = v.flatten(1)
        divergence = y.new_zeros(len(y))
        for i in range(flat.shape[1]):
            (pulled,) = torch.autograd.grad(flat[:, i].sum(), y, retain_graph=i < flat.shape[1] - 1)
            divergence = divergence + pulled.flatten(1)[:, i]
        return v.detach(), divergence


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """The parameters take no part in gradients meanwhile: the backward passes are for y alone."""
    wanted = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for p, flag in zip(model.parameters(), wanted, strict=True):
            p.requires_grad_(flag)
