r"""Normal distributions in d dimensions with full covariance.

    log N(x; μ, Σ) = −½ (x − μ)ᵀ Σ⁻¹ (x − μ) − ½ log det Σ − ½ d log 2π,        Σ = L Lᵀ.

T(x) = (x − o, (x − o)(x − o)ᵀ) about an origin o near the data, so that nothing cancels for data with an offset.
Maximum likelihood gives the mean and the covariance of the examples, over n and not n − 1.  Under a
normal–inverse-Wishart prior, Σ ~ IW(Ψ, ν) and μ ~ N(m, Σ/κ), the joint mode is (Murphy 2012, §4.6.3)

    μ = (κm + n x̄)/(κ + n),        Σ = (Ψ + S + κn/(κ + n) (x̄ − m)(x̄ − m)ᵀ)/(ν + n + d + 2),

with S = Σ (x − x̄)(x − x̄)ᵀ; κ = 0, Ψ = 0 and ν = −d − 2 are flat.  The standard errors are √(Σ_ii/n) of a mean and
√((Σ_ii Σ_jj + Σ_ij²)/n) of a covariance.  The density with one parameter given is found from x_i and x | x_i, of which
only the first depends on it: with β = Σ_·i/Σ_ii,

    μ_i = v:     μ + β(v − μ_i),      Σ + ββᵀ(v − μ_i)²;            Σ_ii = v:     Σ + ββᵀ(v − Σ_ii).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from zoo_classical.estimation import Parameter, prior_of
from zoo_classical.exponential_family import ExponentialFamily
from zoo_classical.intervals import student, variance
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import Batch, Condition, SampleSpace, Streams

__all__ = ["Normal"]


class Normal(ExponentialFamily):
    """A normal distribution of points.

    Args:
        shape: shape of one sample, ``[dimensions]``.

    Raises:
        ValueError: the shape has not one axis.

    The buffers are ``location`` ``(d,)``, the triangular factor ``scale`` ``(d, d)`` of Σ, and ``origin`` ``(d,)``.
    """

    location: Tensor
    scale: Tensor
    origin: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        if len(shape) != 1:
            raise ValueError(f"shape = {list(shape)}; expected one axis, [dimensions]")
        (d,) = shape
        super().__init__(d + d * d)
        self.dimensions = d
        self.space = SampleSpace("points", (d,))
        self.register_buffer("location", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("scale", torch.eye(d, dtype=torch.float64))
        self.register_buffer("origin", torch.zeros(d, dtype=torch.float64))

    @property
    def covariance(self) -> Tensor:
        """The covariance Σ, ``(d, d)``."""
        return self.scale.double() @ self.scale.double().mT

    def begin(self, batch: Batch[Tensor]) -> None:
        self.origin.copy_(batch.x.double().mean(0))

    def holds(self, x: Tensor) -> Tensor:
        return torch.isfinite(x).all(1)

    def sufficient(self, x: Tensor) -> Tensor:
        y = x.double() - self.origin
        return torch.cat([y, (y[:, :, None] * y[:, None, :]).flatten(1)], 1)

    def total(self, x: Tensor, weights: Tensor) -> Tensor:
        y = x.double() - self.origin
        return torch.cat([weights @ y, ((weights[:, None] * y).mT @ y).flatten()])

    def natural(self) -> Tensor:
        precision = torch.cholesky_inverse(self.scale.double())
        return torch.cat([precision @ (self.location - self.origin), -0.5 * precision.flatten()])

    def log_normaliser(self) -> Tensor:
        white = self._whitened((self.location - self.origin)[None])
        constant = 0.5 * self.dimensions * math.log(2.0 * math.pi)
        return 0.5 * white.square().sum() + self._log_det() + constant

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)`` in float64."""
        white = self._whitened(x.double() - self.location.double())
        constant = 0.5 * self.dimensions * math.log(2.0 * math.pi)
        return -0.5 * white.square().sum(1) - self._log_det() - constant

    def mean(self) -> Tensor:
        away = self.location - self.origin
        return torch.cat([away, (self.covariance + away[:, None] * away[None, :]).flatten()])

    def set_mean(self, mean: Tensor) -> None:
        d = self.dimensions
        away = mean[:d]
        self._set(self.origin + away, mean[d:].view(d, d) - away[:, None] * away[None, :])

    def kl(self, other: Self) -> float:
        """Computes KL(self ‖ other) in nats, ½(tr Σ₂⁻¹Σ₁ + ‖L₂⁻¹(μ₁ − μ₂)‖² − d) + log det L₂ − log det L₁."""
        self._require_alike(other)
        ratio = torch.linalg.solve_triangular(other.scale.double(), self.scale.double(), upper=False)
        white = other._whitened((self.location - other.location)[None])
        squares = ratio.square().sum() + white.square().sum() - self.dimensions
        return max(float(0.5 * squares - ratio.diagonal().log().sum()), 0.0)

    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns zeros, as the prior of mean and covariance is applied in :meth:`fit`."""
        return 0.0, torch.zeros_like(self.sums)

    def fit(self, prior: Mapping[str, Any] | None = None) -> None:
        """Sets mean and covariance to the mode of the posterior.

        Args:
            prior: ``mean`` m, ``kappa`` κ, ``scale`` Ψ (a matrix, or a number for a multiple of the identity) and
                ``freedom`` ν of a normal–inverse-Wishart prior; what is left out is flat.

        Raises:
            IncompatibleError: the prior has an unknown parameter or a wrong shape.
            ZooError: the covariance at the mode is not positive definite.
        """
        d, n = self.dimensions, self.count
        flat = {"mean": [0.0] * d, "kappa": 0.0, "scale": 0.0, "freedom": -d - 2.0}
        given = prior_of(prior or {}, flat)
        m, psi = (torch.as_tensor(given[key], dtype=torch.float64).to(n.device) for key in ("mean", "scale"))
        if m.shape != (d,) or psi.shape not in ((), (d, d)):
            raise IncompatibleError(f"prior mean {tuple(m.shape)}, scale {tuple(psi.shape)}; expected {(d,)}, {(d, d)}")
        psi = psi * torch.eye(d, dtype=torch.float64, device=n.device) if psi.ndim == 0 else psi
        kappa, weight = float(given["kappa"]), float(n + given["freedom"] + d + 2.0)
        if not (float(n) > 0.0 and weight > 0.0):
            raise ZooError(f"n = {float(n):g} with freedom = {given['freedom']}; expected more examples or freedom")
        away = self.sums[:d] / n
        scatter = self.sums[d:].view(d, d) - n * away[:, None] * away[None, :]
        gap = self.origin + away - m
        location = (kappa * m + n * (self.origin + away)) / (kappa + n)
        spread = psi + scatter + kappa * n / (kappa + n) * gap[:, None] * gap[None, :]
        self._set(location, spread / weight)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        z = streams.normal(self.dimensions).double()
        return (self.location.double() + z @ self.scale.double().mT).to(streams.dtype)

    def free(self, level: float) -> Iterator[Parameter]:
        n, d, sigma = float(self.count), self.dimensions, self.covariance.tolist()
        for i, mean in enumerate(self.location.tolist()):
            unbiased = math.sqrt(sigma[i][i] / max(n - 1.0, 1.0))
            exact = student(mean, unbiased, n - 1.0, level)
            yield Parameter(f"mean[{i}]", mean, math.sqrt(sigma[i][i] / n), exact)
        for i in range(d):
            for j in range(i + 1):
                name = f"variance[{i}]" if i == j else f"covariance[{j},{i}]"
                stderr = math.sqrt((sigma[i][i] * sigma[j][j] + sigma[i][j] ** 2) / n)
                yield Parameter(
                    name, sigma[i][j], stderr, variance(n * sigma[i][i], n - 1.0, level) if i == j else None
                )

    def at(self, name: str, value: float) -> Self:
        found = re.fullmatch(r"(mean|variance)\[(\d+)\]", name)
        if found is None or int(found[2]) >= self.dimensions:
            raise self.unknown(name)
        i, other = int(found[2]), copy.deepcopy(self)
        other.fit()
        sigma = other.covariance
        slope = sigma[:, i] / sigma[i, i]
        away = value - other.location[i] if found[1] == "mean" else torch.zeros_like(slope[0])
        more = away.square() if found[1] == "mean" else value - sigma[i, i]
        other._set(other.location + slope * away, sigma + more * slope[:, None] * slope[None, :])
        return other

    def _whitened(self, residual: Tensor) -> Tensor:
        """Computes L⁻¹ of residuals, ``(n, d)``."""
        return torch.linalg.solve_triangular(self.scale.double(), residual.mT, upper=False).mT

    def _log_det(self) -> Tensor:
        return self.scale.double().diagonal().log().sum()

    def _set(self, location: Tensor, covariance: Tensor) -> None:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed) or not bool(torch.isfinite(factor).all()):
            raise ZooError(
                f"the covariance of n = {float(self.count):g} examples in {self.dimensions} dimensions is not positive "
                "definite; give more examples, or a prior with scale"
            )
        self.location.copy_(location)
        self.scale.copy_(factor)
