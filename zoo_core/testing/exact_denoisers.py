r"""Computes exact predictions for a mixture of Gaussians on any Gaussian path.

For data Σ_k w_k·N(m_k, s_k²I) the noisy state is Σ_k w_k·N(α·m_k, v_k·I) with v_k = α²s_k² + σ², and

    x̂ = E[x | x_t] = Σ_k r_k·(m_k + α·s_k²/v_k·(x_t − α·m_k)),      r_k ∝ w_k·N(x_t; α·m_k, v_k·I),

so every sampler, likelihood and guidance method can be compared with exact values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, ConditionSpec, Denoiser, Density, Model, Prediction, SampleSpace, Streams
from zoo_core.paths import (
    CosinePath,
    DiscretePath,
    GaussianPath,
    LinearPath,
    PredictionType,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    from_prediction,
    to_prediction,
)

__all__ = ["MIXTURE", "PATHS", "ExactDenoiser"]


PATHS: Mapping[str, GaussianPath] = {
    "linear": LinearPath(),
    "cosine": CosinePath(),
    "vp": VariancePreserving(),
    "subvp": SubVariancePreserving(),
    "ve": VarianceExploding(),
    "discrete": DiscretePath([*accumulate((1 - 1e-4 - 0.0199 * k / 999 for k in range(1000)), mul)]),
}
"""One path of every kind."""

MIXTURE: Mapping[str, Any] = {"means": [(-1.0, 0.5), (1.2, -0.3), (0.2, 1.5)], "scale": 0.4, "weights": [0.5, 0.3, 0.2]}
"""Arguments of a mixture of three components of different weights in the plane."""


class ExactDenoiser(Model, Denoiser, Density):
    """The exact denoiser of a mixture of isotropic Gaussians, in float64.

    Args:
        path: path that adds noise to the data.
        means: means m_k of the components, ``(K, d)``.
        scale: standard deviations s_k ≥ 0, one for all components or one each.
        weights: weights w_k of the components; equal unless given.
        prediction: prediction type that the exact answer is converted to and back, as for a network of that type.
        labelled: whether the condition ``label`` selects a component; its null value selects none.
    """

    def __init__(
        self,
        path: GaussianPath,
        means: Sequence[Sequence[float]] = ((1.5,),),
        scale: float | Sequence[float] = 0.5,
        weights: Sequence[float] | None = None,
        prediction: PredictionType = "data",
        labelled: bool = False,
    ) -> None:
        super().__init__()
        self.path, self.prediction, self.scale = path, prediction, scale
        self.means: Tensor
        self.log_weights: Tensor
        self.scales: Tensor
        self.register_buffer("means", torch.tensor(means, dtype=torch.float64))
        self.register_buffer("scales", torch.tensor(scale, dtype=torch.float64).expand(len(means)).clone())
        shares = torch.tensor(weights or [1.0] * len(means), dtype=torch.float64)
        self.register_buffer("log_weights", (shares / shares.sum()).log())
        self.space = SampleSpace("points", (self.means.shape[1],))
        if labelled:
            self.conditions = {"label": ConditionSpec.label(len(means), null=True)}

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        alpha, sigma = self.path.coefficients(t, like=x_t)
        spread = self.scales.to(x_t.dtype).square()
        variance = alpha * alpha * spread + sigma * sigma
        offset = x_t.unsqueeze(1) - _beside(alpha) * self.means.to(x_t.dtype)  # (n, K, d)
        logits = self._logits(x_t, condition) + _log_normal(offset, variance)
        gain = (alpha * spread / variance).unsqueeze(-1)
        data = (logits.softmax(1).unsqueeze(-1) * (self.means.to(x_t.dtype) + gain * offset)).sum(1)
        if self.prediction == "data":
            return to_prediction(self.path, "data", x_t, t, data)
        truth = Prediction(data, (x_t - alpha * data) / sigma)
        return to_prediction(self.path, self.prediction, x_t, t, from_prediction(self.path, self.prediction, truth, t))

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return self.log_prob_at(x, 0.0, condition=condition)

    def log_prob_at(self, x_t: Tensor, t: float, *, condition: Condition | None = None) -> Tensor:
        """Returns log p_t(x_t) in nats, ``(n,)``."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        variance = alpha**2 * self.scales.to(x_t.dtype).square() + sigma**2
        offset = x_t.unsqueeze(1) - alpha * self.means.to(x_t.dtype)
        return torch.logsumexp(self._logits(x_t, condition) + _log_normal(offset, variance), 1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """Returns the probabilities p(k | x) of the components, ``(n, K)``."""
        offset = x.unsqueeze(1) - self.means.to(x.dtype)
        return (self._logits(x, None) + _log_normal(offset, self.scales.to(x.dtype).square())).softmax(1)

    def draw_data(self, streams: Streams) -> Tensor:
        """Draws samples of the data, ``(n, d)``."""
        component = streams.categorical(self.log_weights.exp())
        means, scales = self.means.to(streams.dtype), self.scales.to(streams.dtype)
        return means[component] + scales[component, None] * streams.normal(means.shape[1])

    def _logits(self, x: Tensor, condition: Condition | None) -> Tensor:
        """Returns log w_k, or log-weights that select the component of each row's label, ``(1 or n, K)``."""
        log_weights = self.log_weights.to(x.dtype)[None]
        if condition is None or "label" not in condition:
            return log_weights
        label, count = condition["label"], len(self.means)
        asked = torch.where(torch.nn.functional.one_hot(label, count + 1)[:, :count].bool(), 0.0, -torch.inf)
        return torch.where((label == count)[:, None], log_weights, asked.to(x.dtype))


def _log_normal(offset: Tensor, variance: Tensor) -> Tensor:
    """Returns log N(offset; 0, variance·I), ``(n, K)``, of offsets ``(n, K, d)``."""
    d = offset.shape[2]
    return -0.5 * offset.square().sum(-1) / variance - 0.5 * d * (2.0 * math.pi * variance).log()


def _beside(value: Tensor | float) -> Tensor | float:
    """``(n, 1)`` as ``(n, 1, 1)``."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value
