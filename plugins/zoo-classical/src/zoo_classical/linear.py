r"""Linear regression as maximum likelihood of a conditional density.

    p(y | x) = Π_i N(y_i; b_i·z, σ_i²),        z = (1, x − o).

With the sums G = Σ zzᵀ, C = Σ z yᵀ and Σ y², maximum likelihood solves the normal equations G b = C, and σ² is the mean
of squared residuals.  Under the conjugate prior w ~ N(0, σ²/τ) of the slopes, with a flat one of σ², the joint mode is
(G + τ I) b = C, without τ for the intercept, and σ² = (residuals² + τ‖w‖²)/(n + D).

Var b = σ² G⁻¹; with s² = residuals²/(n − D − 1), (b_j − b̂_j)/(s√(G⁻¹)_jj) has a t distribution with n − D − 1 degrees
of freedom, and residuals²/σ² a χ² distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_classical.estimation import Estimated, Parameter, prior_of
from zoo_classical.intervals import student, variance
from zoo_classical.regression import Regression, solve
from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, Condition, Density, DirectSampler, SampleSpace, Streams

__all__ = ["LinearRegression"]


class LinearRegression(Regression, Density, DirectSampler, Estimated):
    """Normal outcomes whose mean is linear in the inputs.

    Args:
        inputs: number D of inputs, at least 1.
        shape: shape of one outcome, ``[outcomes]``.

    Raises:
        ValueError: an argument is out of its range.

    The buffers are ``coefficients`` ``(1 + D, m)``, whose first row is the mean outcome at the origin, and ``variance``
    ``(m,)``; ``gram`` ``(1 + D, 1 + D)`` and ``residuals`` ``(m,)`` have G and the squared residuals.
    """

    variance: Tensor
    gram: Tensor
    residuals: Tensor
    centre: Tensor

    def __init__(self, inputs: int = 1, shape: Sequence[int] = (1,)) -> None:
        if len(shape) != 1:
            raise ValueError(f"shape = {list(shape)}; expected one axis, [outcomes]")
        (m,), k = shape, inputs + 1
        super().__init__(inputs, m)
        self.space = SampleSpace("points", (m,))
        self.register_buffer("variance", torch.ones(m, dtype=torch.float64))
        self.register_buffer("gram", torch.zeros(k, k, dtype=torch.float64))
        self.register_buffer("residuals", torch.zeros(m, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(m, dtype=torch.float64))

    def begin(self, batch: Batch[Tensor]) -> None:
        super().begin(batch)
        self.centre.copy_(batch.x.double().mean(0))

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(y | x) in nats, ``(n,)`` in float64."""
        residual = x.double() - self.design(condition, len(x)) @ self.coefficients.double()
        variance = self.variance.double()
        return -0.5 * (residual.square() / variance + variance.log() + math.log(2.0 * math.pi)).sum(1)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        mean = self.design(condition, len(streams)) @ self.coefficients.double()
        noise = streams.normal(len(self.variance)).double()
        return (mean + noise * self.variance.double().sqrt()).to(streams.dtype)

    def statistics(self, batch: Batch[Tensor]) -> dict[str, Tensor]:
        z, y = self.design(batch.condition, len(batch)), batch.x.double() - self.centre
        weights = torch.ones_like(z[:, 0]) if batch.weights is None else batch.weights.double()
        weighted = weights[:, None] * z
        return {
            "count": weights.sum(),
            "gram": weighted.mT @ z,
            "cross": weighted.mT @ y,
            "squares": weights @ y.square(),
            "log_likelihood": weights @ self.log_prob(batch.x, condition=batch.condition),
        }

    def maximise(self, statistics: Mapping[str, Tensor], prior: Mapping[str, Any]) -> None:
        """Solves the normal equations, with the prior ``{"precision": τ}``; 0 is flat."""
        precision = float(prior_of(prior, {"precision": 0.0})["precision"])
        gram, cross, n = statistics["gram"], statistics["cross"], statistics["count"]
        ridge = torch.full_like(gram[0], precision)
        ridge[0] = 0.0
        b = solve(gram + ridge.diag(), cross, f"n = {float(n):g} examples do not determine {len(gram)} coefficients")
        residuals = statistics["squares"] - 2.0 * (b * cross).sum(0) + (b * (gram @ b)).sum(0)
        slopes = self.inputs if precision > 0.0 else 0
        variance = (residuals + (ridge[:, None] * b.square()).sum(0)) / (n + slopes)
        if not bool((variance > 1e-12 * statistics["squares"] / n).all()):
            raise ZooError("the outcomes are linear in the inputs without noise, so that the density has no bound")
        self.count.copy_(n)
        self.gram.copy_(gram)
        self.residuals.copy_(residuals)
        self.variance.copy_(variance)
        b[0] += self.centre
        self.coefficients.copy_(b)

    def free(self, level: float) -> Iterator[Parameter]:
        n, k = float(self.count), self.inputs + 1
        inverse = torch.linalg.inv(self.gram)
        directions = torch.cat([self.intercept_direction()[None], torch.eye(k, dtype=torch.float64)[1:].to(self.gram)])
        spread = ((directions @ inverse) * directions).sum(1).tolist()
        m = len(self.variance)
        for i, (residuals, sigma2) in enumerate(zip(self.residuals.tolist(), self.variance.tolist(), strict=True)):
            of = f"{i}," if m > 1 else ""
            names = [f"intercept[{i}]" if m > 1 else "intercept", *(f"slope[{of}{j}]" for j in range(self.inputs))]
            values = (directions @ self.coefficients[:, i]).tolist()
            for name, value, v in zip(names, values, spread, strict=True):
                unbiased = math.sqrt(residuals / max(n - k, 1.0) * v)
                yield Parameter(name, value, math.sqrt(sigma2 * v), student(value, unbiased, n - k, level))
            name = f"variance[{i}]" if m > 1 else "variance"
            yield Parameter(name, sigma2, sigma2 * math.sqrt(2.0 / n), variance(residuals, n - k, level))
