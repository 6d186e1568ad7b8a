r"""Logistic regression as maximum likelihood of conditional class probabilities, for two classes or more.

    p(y = k | x) ∝ exp(b_k·z),        b₀ = 0,        z = (1, x − o).

The log-likelihood is concave.  With the residuals r_k = [y = k] − p_k, Newton's method (iteratively reweighted least
squares) takes in each pass

    g_k = Σ w r_k z,        H_kl = Σ w p_k([k = l] − p_l) zzᵀ,        b ← b + H⁻¹ g,

shortened where it would change the log-odds by more than 2 in the root mean square, which the first step never does.
Under the prior w ~ N(0, 1/τ) of the slopes, g − τw and H + τ take their places.  The inverse of H, which is the Fisher
information, is the covariance of b̂.  Without a prior there is no maximum where planes separate the classes, which is
certain as soon as every example has its own class as the likeliest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_classical.estimation import Estimated, Parameter, prior_of
from zoo_classical.regression import Regression, solve
from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, Condition, Density, DirectSampler, SampleSpace, Streams
from zoo_core.interfaces.columns import Column

__all__ = ["LogisticRegression"]

LONGEST = 2.0
"""Greatest change of the log-odds in one step, in the root mean square over the examples."""


class LogisticRegression(Regression, Density, DirectSampler, Estimated):
    """Classes whose log-odds against the first class are linear in the inputs.

    Args:
        inputs: number D of inputs, at least 1.
        classes: names of the K classes, at least two.
        name: name of the column of classes.

    Raises:
        ValueError: an argument is out of its range.

    The buffers are ``coefficients`` ``(1 + D, K − 1)``, whose first row is the log-odds at the origin, and the Fisher
    information ``information`` ``((1 + D)(K − 1), (1 + D)(K − 1))`` of all examples, in the order of the transpose.
    """

    discrete = True
    information: Tensor

    def __init__(self, inputs: int = 1, classes: Sequence[str] = ("0", "1"), name: str = "class") -> None:
        if len(classes) < 2:
            raise ValueError(f"{len(classes)} classes; expected at least 2")
        super().__init__(inputs, len(classes) - 1)
        column = Column(name, "category", categories=tuple(classes))
        self.space = SampleSpace("table", (1,), columns=(column,))
        k, others = inputs + 1, len(classes) - 1
        self.register_buffer("information", torch.zeros(k * others, k * others, dtype=torch.float64))

    def log_probabilities(self, z: Tensor) -> Tensor:
        """Computes the log-probabilities of all classes, ``(n, K)``."""
        odds = z @ self.coefficients.double()
        return torch.log_softmax(torch.cat([torch.zeros_like(odds[:, :1]), odds], 1), 1)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(y | x) in nats, ``(n,)`` in float64; −∞ for a class that there is not."""
        log_p = self.log_probabilities(self.design(condition, len(x)))
        known = ((x >= 0) & (x < log_p.shape[1]) & (x == x.floor())).squeeze(1)
        found = log_p.gather(1, x.long().clamp(0, log_p.shape[1] - 1)).squeeze(1)
        return torch.where(known, found, -torch.inf)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        p = self.log_probabilities(self.design(condition, len(streams))).exp()
        return streams.categorical(p[:, None]).to(streams.dtype)

    def statistics(self, batch: Batch[Tensor]) -> dict[str, Tensor]:
        z = self.design(batch.condition, len(batch))
        weights = torch.ones_like(z[:, 0]) if batch.weights is None else batch.weights.double()
        p = self.log_probabilities(z).exp()
        hot = torch.nn.functional.one_hot(batch.x.long().squeeze(1), p.shape[1])
        own, likeliest_other = (p * hot).sum(1), p.masked_fill(hot.bool(), 0.0).amax(1)
        curvature = torch.diag_embed(p[:, 1:]) - p[:, 1:, None] * p[:, None, 1:]
        weighted = (weights[:, None, None] * curvature).permute(1, 2, 0)
        # One product of (1 + D) × n and n × (1 + D) for each pair of classes.
        blocks = torch.stack([torch.stack([(z * w[:, None]).mT @ z for w in row]) for row in weighted])
        return {
            "count": weights.sum(),
            "gradient": (weights[:, None] * z).mT @ (hot - p)[:, 1:],
            "information": blocks.transpose(1, 2).flatten(0, 1).flatten(1),
            "wrong": weights @ (likeliest_other >= own).double(),
            "gram": (weights[:, None] * z).mT @ z,
            "log_likelihood": weights @ self.log_prob(batch.x, condition=batch.condition),
        }

    def maximise(self, statistics: Mapping[str, Tensor], prior: Mapping[str, Any]) -> None:
        """Takes a Newton step, with the prior ``{"precision": τ}``; 0 is flat."""
        precision = float(prior_of(prior, {"precision": 0.0})["precision"])
        ridge = torch.full_like(self.coefficients, precision)
        ridge[0] = 0.0
        gradient = statistics["gradient"] - ridge * self.coefficients
        information = statistics["information"] + ridge.mT.flatten().diag()
        n = statistics["count"]
        if precision == 0.0 and not float(statistics["wrong"]) > 0.0:
            raise ZooError(
                "planes separate the classes, so that the likelihood has no maximum; give a prior with precision"
            )
        cause = f"n = {float(n):g} examples do not determine {gradient.numel()} coefficients"
        step = solve(information, gradient.mT.flatten()[:, None], cause).view(gradient.mT.shape).mT
        change = ((step * (statistics["gram"] @ step)).sum(0) / n).max().sqrt()
        self.coefficients += step * torch.clamp(LONGEST / change, max=1.0)
        self.count.copy_(n)
        self.information.copy_(statistics["information"])

    def free(self, level: float) -> Iterator[Parameter]:
        k, others = self.coefficients.shape
        directions = torch.cat(
            [self.intercept_direction()[None], torch.eye(k, dtype=torch.float64)[1:].to(self.origin)]
        )
        covariance = torch.linalg.inv(self.information)
        for i in range(others):
            of, block = f"{i + 1}," if others > 1 else "", covariance[i * k : (i + 1) * k, i * k : (i + 1) * k]
            spread = ((directions @ block) * directions).sum(1).tolist()
            values = (directions @ self.coefficients[:, i]).tolist()
            names = [f"intercept[{i + 1}]" if of else "intercept", *(f"slope[{of}{j}]" for j in range(self.inputs))]
            for name, value, v in zip(names, values, spread, strict=True):
                yield Parameter(name, value, math.sqrt(v))
