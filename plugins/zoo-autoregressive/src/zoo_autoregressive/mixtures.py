r"""Mixtures of logistic distributions on the line: densities, masses of intervals, and draws.

A network's answer has 3·components numbers: the log-odds of the weights w, the means μ and the logarithms of the scales
s, with F(z) = 1/(1 + e^{−z}) and f = F′. A mass is a difference that is computed without cancellation,

    log(F(b) − F(a)) = log F(b) + log F(−a) + log(1 − e^{a−b}).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.interfaces import Streams

__all__ = ["UNIT", "draw_mixture", "mixture_log_density", "mixture_log_mass"]

UNIT = math.sqrt(3.0) / math.pi
"""Scale of the logistic distribution of variance 1."""
LEAST, MOST = -5.0, 2.5
"""Range of log s: bounds what a few equal values can gain, and how wide a component can be."""


def mixture_log_density(z: Tensor, answer: Tensor) -> Tensor:
    """Computes the log-density of mixtures of logistic distributions at z.

    Args:
        z: numbers, ``(…)``.
        answer: a network's answer, ``(…, 3·components)``.
    """
    log_weights, mean, log_scale = _parameters(answer)
    t = (z[..., None] - mean) * torch.exp(-log_scale)
    each = functional.logsigmoid(t) + functional.logsigmoid(-t) - log_scale
    return torch.logsumexp(log_weights + each, -1)


def mixture_log_mass(below: Tensor, above: Tensor, answer: Tensor) -> Tensor:
    """Computes the log-probability of the interval from ``below`` to ``above``; see :func:`mixture_log_density`."""
    log_weights, mean, log_scale = _parameters(answer)
    a, b = ((edge[..., None] - mean) * torch.exp(-log_scale) for edge in (below, above))
    each = functional.logsigmoid(b) + functional.logsigmoid(-a) + torch.log(-torch.expm1((a - b).clamp(max=-1e-12)))
    return torch.logsumexp(log_weights + each, -1)


def draw_mixture(answer: Tensor, streams: Streams) -> Tensor:
    """Draws z of mixtures of logistic distributions, ``(n,)``, from answers ``(n, 3·components)``."""
    log_weights, mean, log_scale = _parameters(answer)
    which = streams.categorical(log_weights.exp())[:, None]
    u = streams.uniform(1).clamp(2.0**-25, 1.0 - 2.0**-24)
    return (mean.gather(1, which) + log_scale.gather(1, which).exp() * torch.logit(u)).squeeze(1)


def _parameters(answer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log w, μ and log s, each ``(…, components)``."""
    weight, mean, scale = answer.chunk(3, -1)
    components = mean.shape[-1]
    first = torch.linspace(-0.3, 0.3, components, device=mean.device) if components > 1 else 0.0
    return weight.log_softmax(-1), mean + first, (scale + math.log(UNIT)).clamp(LEAST, MOST)
