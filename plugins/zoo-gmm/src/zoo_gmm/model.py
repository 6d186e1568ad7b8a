r"""Gaussian mixtures with exact density, samples and conditional distributions.

    p(x) = Σ_j w_j N(x; μ_j, Σ_j),        Σ_j = L_j L_jᵀ,

with Σ_j full, shared by all components (tied), diagonal, or a multiple of the identity (spherical).  With the whitened
residual y_j = L_j⁻¹(x − μ_j),

    log N(x; μ_j, Σ_j) = −½‖y_j‖² − log det L_j − ½D·log 2π,        x = μ_j + L_j z,  z ~ N(0, I).

Given the coordinates K of x, the other coordinates U have a mixture distribution too (Bishop 2006, §2.3.2),

    w_j ∝ w_j N(x_K; μ_jK, Σ_jKK),    μ_U + Σ_UK Σ_KK⁻¹ (x_K − μ_K),    Σ_UU − Σ_UK Σ_KK⁻¹ Σ_KU,

and a draw from it is a draw x̃ of component j, corrected for the known coordinates:  x̃_U + Σ_UK Σ_KK⁻¹ (x_K − x̃_K).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Density, DirectSampler, Model, SampleSpace, Streams

__all__ = ["Covariance", "GaussianMixture"]

FEW = 8
"""Greatest number of dimensions in which one factor per sample is quicker than one product per component."""

Covariance = Literal["full", "tied", "diagonal", "spherical"]


class GaussianMixture(Model, Density, DirectSampler):
    """A mixture of Gaussians, computed in float64 for data of every type.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [0, 1], ``[dimensions]`` for points.
        components: number k of components, at least 1.
        covariance: form of Σ_j, ``full``, ``tied``, ``diagonal`` or ``spherical``.
        storage: type in which the factors L_j are stored, ``float64``, or ``float32`` for half of the file size.

    Raises:
        ValueError: ``components`` is below 1, or ``covariance`` or ``storage`` is unknown.

    The parameters are buffers: ``log_weights`` ``(k,)``, ``means`` ``(k, D)`` and ``scale``, which is the packed lower
    triangle of L_j ``(k or 1, D(D+1)/2)``, the diagonal of L_j ``(k, D)``, or one number each ``(k, 1)``.
    """

    log_weights: Tensor
    means: Tensor
    scale: Tensor

    def __init__(
        self,
        shape: list[int],
        components: int,
        covariance: Covariance = "full",
        storage: Literal["float64", "float32"] = "float64",
    ) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components = {components}; expected at least 1")
        if covariance not in get_args(Covariance):
            raise ValueError(f"covariance = {covariance!r}; expected one of {', '.join(get_args(Covariance))}")
        if storage not in ("float64", "float32"):
            raise ValueError(f"storage = {storage!r}; expected float64 or float32")
        self.space = SampleSpace.of(shape, low=0.0, high=1.0)
        self.components, self.covariance = components, covariance
        self.dimensions = d = math.prod(shape)
        rows = 1 if covariance == "tied" else components
        columns = {"full": d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diagonal": d, "spherical": 1}[covariance]
        self.register_buffer("log_weights", torch.full((components,), -math.log(components), dtype=torch.float64))
        self.register_buffer("means", torch.zeros(components, d, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(rows, columns, dtype=getattr(torch, storage)))
        if self.triangular:
            self.set_factors(torch.eye(d, dtype=torch.float64).expand(rows, d, d))

    @property
    def triangular(self) -> bool:
        """Whether L_j is triangular, and not diagonal."""
        return self.covariance in ("full", "tied")

    def factors(self) -> Tensor:
        """Returns L_j in float64: ``(k or 1, D, D)`` where triangular, otherwise the diagonals ``(k, D or 1)``."""
        if not self.triangular:
            return self.scale.double()
        d = self.dimensions
        row, column = torch.tril_indices(d, d, device=self.scale.device)
        dense = self.scale.new_zeros(len(self.scale), d, d, dtype=torch.float64)
        dense[:, row, column] = self.scale.double()
        return dense

    def set_factors(self, factors: Tensor) -> None:
        """Replaces L_j, given in the shapes of :meth:`factors`."""
        if self.triangular:
            row, column = torch.tril_indices(self.dimensions, self.dimensions, device=factors.device)
            factors = factors[:, row, column]
        self.scale.copy_(factors)

    def covariances(self) -> Tensor:
        """Computes the dense covariances Σ_j, ``(k, D, D)`` in float64."""
        factors = self.factors()
        dense = factors if self.triangular else torch.diag_embed(factors.expand(-1, self.dimensions))
        return (dense @ dense.mT).expand(self.components, -1, -1)

    def component_log_prob(self, x: Tensor) -> Tensor:
        """Computes log w_j + log N(x; μ_j, Σ_j), ``(n, k)`` in float64."""
        flat, factors, d = x.flatten(1).double(), self.factors(), self.dimensions
        columns = []
        for j in range(self.components):
            factor = factors[j % len(factors)]
            residual = flat - self.means[j].double()
            if self.triangular:
                white = torch.linalg.solve_triangular(factor, residual.mT, upper=False).mT
                log_det = factor.diagonal().log().sum()
            else:
                white, log_det = residual / factor, factor.expand(d).log().sum()
            columns.append(-0.5 * white.square().sum(1) - log_det)
        constant = self.log_weights.double() - 0.5 * d * math.log(2.0 * math.pi)
        return torch.stack(columns, dim=1) + constant

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)`` in float64."""
        return torch.logsumexp(self.component_log_prob(x), dim=1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """Computes p(j | x), ``(n, k)`` in float64, whose rows sum to one."""
        return torch.softmax(self.component_log_prob(x), dim=1)

    def free_parameters(self) -> int:
        """Counts the free parameters."""
        k, d = self.components, self.dimensions
        spread = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diagonal": k * d, "spherical": k}
        return k - 1 + k * d + spread[self.covariance]

    def bic(self, x: Tensor) -> float:
        """Computes the Bayesian information criterion on ``x``, p·log n − 2·log L (Schwarz 1978); lower is better."""
        return self.free_parameters() * math.log(len(x)) - 2.0 * self.log_prob(x).sum().item()

    def aic(self, x: Tensor) -> float:
        """Computes the Akaike information criterion on ``x``, 2p − 2·log L (Akaike 1974); lower is better."""
        return 2.0 * self.free_parameters() - 2.0 * self.log_prob(x).sum().item()

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        j = streams.categorical(self.log_weights.double().exp())
        flat = self._from_components(j, streams.normal(self.dimensions).double())
        return flat.view(len(streams), *self.space.shape).to(streams.dtype)  # type: ignore[arg-type]

    def _from_components(self, j: Tensor, z: Tensor) -> Tensor:
        """Computes μ_j + L_j z, row by row."""
        factors, means = self.factors(), self.means.double()
        which = j % len(factors)
        if not self.triangular:
            return means[j] + z * factors[which]
        if self.dimensions <= FEW:
            x = means[j]
            for column, factor in zip(z.T, factors.unbind(-1), strict=True):
                x.addcmul_(factor[which], column.unsqueeze(1))
            return x
        x = torch.empty_like(z)
        for component in range(self.components):
            rows = j == component
            x[rows] = means[component] + z[rows] @ factors[component % len(factors)].mT
        return x

    def conditional(self, x: Tensor, known: Tensor) -> GaussianMixture:
        """Returns the mixture distribution of the unknown coordinates of one sample.

        Args:
            x: one sample, ``(*shape)``; only its known coordinates are read.
            known: mask of the known coordinates, bool ``(*shape)``, neither all nor none.

        Returns:
            a mixture with full covariances over the unknown coordinates in their order.

        Raises:
            ValueError: nothing is known, or everything is.
        """
        K, U = _parts(known)
        sigma, x_K = self.covariances(), x.flatten().double()[K]
        gain, log_weights = self._gain_and_weights(x_K.unsqueeze(0), K, U, sigma)
        mixture = GaussianMixture([len(U)], self.components).to(x.device)
        mixture.log_weights.copy_(log_weights[0])
        mixture.means.copy_(self.means[:, U] + torch.einsum("juk,jk->ju", gain, x_K - self.means[:, K]))
        spread = sigma[:, U][:, :, U] - gain @ sigma[:, K][:, :, U]
        mixture.set_factors(torch.linalg.cholesky(spread))
        return mixture

    def inpaint(self, x: Tensor, known: Tensor, streams: Streams) -> Tensor:
        """Draws the unknown coordinates given the known ones, exactly.

        Args:
            x: samples, ``(n, *shape)``.
            known: mask of the known coordinates, bool ``(*shape)``, the same for all samples.
            streams: random streams, one per sample.

        Returns:
            samples, ``(n, *shape)``, with the known coordinates of ``x``.

        Raises:
            ValueError: nothing is known, or everything is.
        """
        K, U = _parts(known)
        flat = x.flatten(1).double()
        gain, log_weights = self._gain_and_weights(flat[:, K], K, U, self.covariances())
        j = streams.categorical(log_weights.exp())
        drawn = self._from_components(j, streams.normal(self.dimensions).double())
        wrong = flat[:, K] - drawn[:, K]
        out = flat.clone()
        for component in range(self.components):
            rows = (j == component).nonzero().squeeze(1)
            out[rows[:, None], U] = drawn[rows[:, None], U] + wrong[rows] @ gain[component].mT
        return out.view_as(x).to(x.dtype)

    def _gain_and_weights(self, x_K: Tensor, K: Tensor, U: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Computes Σ_UK Σ_KK⁻¹ ``(k, U, K)``, and the log-weights given x_K, ``(n, k)``."""
        factor = torch.linalg.cholesky(sigma[:, K][:, :, K])
        gain = torch.cholesky_solve(sigma[:, K][:, :, U], factor).mT
        columns = []
        for j in range(self.components):
            white = torch.linalg.solve_triangular(factor[j], (x_K - self.means[j, K]).mT, upper=False)
            columns.append(-0.5 * white.square().sum(0) - factor[j].diagonal().log().sum())
        return gain, torch.log_softmax(torch.stack(columns, dim=1) + self.log_weights, dim=1)


def _parts(known: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the indices of the known and of the unknown coordinates."""
    flat = known.flatten().bool()
    if flat.all() or not flat.any():
        raise ValueError("known marks all coordinates or none; expected some, and not all")
    return flat.nonzero().squeeze(1), (~flat).nonzero().squeeze(1)
