r"""Path models whose answer is known: a mixture of Gaussians seen through any Gaussian path.

For data Σ_k w_k·N(m_k, s²I) the noisy state is Σ_k w_k·N(α·m_k, v·I) with v = α²s² + σ², and

    x̂ = E[x | x_t] = Σ_k r_k·(m_k + α·s²/v·(x_t − α·m_k)),      r_k ∝ w_k·exp(−‖x_t − α·m_k‖²/2v),

so every sampler, likelihood and guide can be held against the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, ConditionSpec, Denoiser, Density, Model, Prediction, SampleSpace, Streams
from zoo_core.paths import GaussianPath, PredictionType, to_prediction

__all__ = ["ExactDenoiser"]


class ExactDenoiser(Model, Denoiser, Density):
    """The exact denoiser of a mixture of isotropic Gaussians, in float64.

    Args:
        path: through which the data is seen.
        means: m_k, K rows.
        scale: s ≥ 0.
        weights: w_k; equal unless given.
        prediction: the currency that the answer passes through before it becomes a prediction again.
        labelled: whether the component can be asked for, as condition ``label``.
    """

    def __init__(
        self,
        path: GaussianPath,
        means: Sequence[Sequence[float]] = ((1.5,),),
        scale: float = 0.5,
        weights: Sequence[float] | None = None,
        prediction: PredictionType = "data",
        labelled: bool = False,
    ) -> None:
        super().__init__()
        self.path, self.prediction, self.scale = path, prediction, scale
        self.means: Tensor
        self.log_weights: Tensor
        self.register_buffer("means", torch.tensor(means, dtype=torch.float64))
        shares = torch.tensor(weights or [1.0] * len(means), dtype=torch.float64)
        self.register_buffer("log_weights", (shares / shares.sum()).log())
        self.space = SampleSpace("points", (self.means.shape[1],))
        if labelled:
            self.conditions = {"label": ConditionSpec((), len(means))}

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        alpha, sigma = self.path.coefficients(t, like=x_t)
        variance = alpha * alpha * self.scale**2 + sigma * sigma
        offset = x_t.unsqueeze(1) - _beside(alpha) * self.means.to(x_t.dtype)  # (n, K, d)
        logits = self._logits(x_t, condition) - 0.5 * offset.square().sum(-1) / variance
        gain = _beside(alpha * self.scale**2 / variance)
        data = (logits.softmax(1).unsqueeze(-1) * (self.means.to(x_t.dtype) + gain * offset)).sum(1)
        if self.prediction == "data":
            return to_prediction(self.path, "data", x_t, t, data)
        noise = (x_t - alpha * data) / sigma
        if self.prediction == "noise":
            output = noise
        elif self.prediction == "v":
            output = alpha * noise - sigma * data
        elif self.prediction == "score":
            output = -noise / sigma
        else:
            assert not isinstance(t, Tensor)
            output = self.path.alpha_dot(t) * data + self.path.sigma_dot(t) * noise
        return to_prediction(self.path, self.prediction, x_t, t, output)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return self.log_prob_at(x, 0.0, condition=condition)

    def log_prob_at(self, x_t: Tensor, t: float, *, condition: Condition | None = None) -> Tensor:
        """log p_t(x_t), nats, ``(n,)``."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        variance, d = alpha**2 * self.scale**2 + sigma**2, x_t.shape[1]
        offset = x_t.unsqueeze(1) - alpha * self.means
        normal = -0.5 * offset.square().sum(-1) / variance - 0.5 * d * math.log(2.0 * math.pi * variance)
        return torch.logsumexp(self._logits(x_t, condition) + normal, 1)

    def draw_data(self, streams: Streams) -> Tensor:
        """Samples of the data itself, ``(n, d)``."""
        component = streams.categorical(self.log_weights.exp())
        return self.means[component] + self.scale * streams.normal(self.means.shape[1])

    def _logits(self, x: Tensor, condition: Condition | None) -> Tensor:
        """log w_k, or those of the component that was asked for, ``(1 or n, K)``."""
        if condition is None or "label" not in condition:
            return self.log_weights.to(x.dtype)[None]
        one_hot = torch.nn.functional.one_hot(condition["label"], len(self.means))
        return torch.where(one_hot.bool(), 0.0, -torch.inf).to(x.dtype)


def _beside(value: Tensor | float) -> Tensor | float:
    """``(n, 1)`` as ``(n, 1, 1)``."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value
