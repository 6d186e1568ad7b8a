r"""Gaussian mixtures with exact density, samples and conditional distributions.

    p(x) = Σ_j w_j N(x; μ_j, Σ_j),        Σ_j = L_j L_jᵀ,

with Σ_j full, shared by all components (tied), diagonal, or a multiple of the identity (spherical).  With the whitened
residual y_j = L_j⁻¹(x − μ_j),

    log N(x; μ_j, Σ_j) = −½‖y_j‖² − log det L_j − ½D·log 2π,        x = μ_j + L_j z,  z ~ N(0, I).

Given the coordinates K of x, the other coordinates U have a mixture distribution too (Bishop 2006, §2.3.2),

    w_j ∝ w_j N(x_K; μ_jK, Σ_jKK),    μ_U + Σ_UK Σ_KK⁻¹ (x_K − μ_K),    Σ_UU − Σ_UK Σ_KK⁻¹ Σ_KU,

which is exact for every row and every set of missing cells (:mod:`zoo_gmm.incomplete` has the formulas in whitened
coordinates).  Hence NaN in data is a missing value: log p of such a row is that of its known cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo_core.interfaces import Completer, Condition, DataSet, Density, DirectSampler, Model, SampleSpace, Streams
from zoo_gmm.incomplete import blocks, missing_rows

__all__ = ["Covariance", "GaussianMixture"]

WIDE = 1000
"""Number of dimensions above which other data get diagonal covariances: full ones would take minutes an iteration."""
FEW = 8
"""Greatest number of dimensions in which one factor per sample is quicker than one product per component."""

Covariance = Literal["full", "tied", "diagonal", "spherical"]


class GaussianMixture(Model, Density, DirectSampler, Completer):
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

    takes_missing = True
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

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data: no more components than there is data for, diagonal ones above 1,000 numbers.

        A component needs about ten examples for each of its dimensions.
        """
        adapted = super().config_for(config, data, shape)
        dimensions = math.prod(shape)
        if dimensions > WIDE:
            adapted["covariance"] = "diagonal"
        if data.split_of is not None:
            each = 10 * (1 if adapted.get("covariance") == "diagonal" else dimensions + 1)
            adapted["components"] = max(1, min(int(config["components"]), len(data) // each))
        return adapted

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Shrinks the correlations by the share of unknowns to examples, as few examples of many dimensions need it."""
        share = (math.prod(shape) + 1) / max(1, len(data))
        return {"objective_options.shrinkage": round(min(0.5, max(0.01, share)), 3), "objective_options.reg": 1e-6}

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
        dense = self._dense_factors()
        return (dense @ dense.mT).expand(self.components, -1, -1)

    def component_log_prob(self, x: Tensor) -> Tensor:
        """Computes log w_j + log N(x; μ_j, Σ_j), ``(n, k)`` in float64; NaN in x is a missing value."""
        flat, factors, d = x.flatten(1).double(), self.factors(), self.dimensions
        if (incomplete := missing_rows(flat)) is not None:
            found = flat.new_empty(len(flat), self.components)
            found[~incomplete] = self.component_log_prob(flat[~incomplete])
            found[incomplete] = self._log_prob_of_known(flat[incomplete])
            return found
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

    def _log_prob_of_known(self, flat: Tensor) -> Tensor:
        """Computes log w_j + log N(x_K; μ_jK, Σ_jKK) of rows with missing cells, ``(n, k)``."""
        missing, means, factors = torch.isnan(flat), self.means.double(), self.factors()
        found = flat.new_empty(len(flat), self.components)
        if self.triangular:
            for block in blocks(flat, missing, means, factors):
                found[block.rows] = block.log_density.movedim(0, -1)
        else:
            for j, scale in enumerate(factors):
                white = ((flat - means[j]) / scale).masked_fill(missing, 0.0)
                log_det = scale.log().expand(self.dimensions).masked_fill(missing, 0.0).sum(1)
                known = (~missing).sum(1).double()
                found[:, j] = -0.5 * white.square().sum(1) - log_det - 0.5 * known * math.log(2.0 * math.pi)
        return found + self.log_weights.double()

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)`` in float64; of a row with NaN, that of its other cells."""
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
            known: mask of the known coordinates, bool ``(*shape)``, not all of which are true.

        Returns:
            a mixture with full covariances over the unknown coordinates in their order.

        Raises:
            ValueError: everything is known.
        """
        missing = ~known.flatten().bool()
        if not bool(missing.any()):
            raise ValueError("known marks all coordinates; expected at least one that is unknown")
        factors, means, k = self._dense_factors(), self.means.double(), self.components
        (block,) = blocks(x.flatten().double()[None], missing[None], means, factors)
        factors = factors[:, missing].expand(k, -1, -1)
        mixture = GaussianMixture([int(missing.sum())], k).to(x.device)
        mixture.log_weights.copy_(torch.log_softmax(block.log_density[:, 0, 0] + self.log_weights, dim=0))
        mixture.means.copy_(means[:, missing] + (factors @ block.mean[:, 0, 0, :, None]).squeeze(2))
        spread = factors @ block.basis[:, 0]
        mixture.set_factors(torch.linalg.cholesky(spread @ spread.mT))
        return mixture

    def complete(self, x: Tensor, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws the unknown coordinates given the known ones, exactly: first the component, then the coordinates."""
        missing, k, d = ~known.flatten(1).bool(), self.components, self.dimensions
        flat = x.flatten(1).double().masked_fill(missing, torch.nan)
        if not self.triangular:
            j = streams.categorical(self.responsibilities(flat))
            drawn = self._from_components(j, streams.normal(d).double())
            return torch.where(known, x, drawn.view_as(x).to(x.dtype))
        drawn, some = flat.clone(), missing.any(1).nonzero().squeeze(1)
        for block in blocks(flat[some], missing[some], self.means.double(), self.factors()) if len(some) else ():
            rows = some[block.rows]
            own = streams.rows(rows.flatten())
            j = own.categorical((block.log_density + self.log_weights[:, None, None]).softmax(0).flatten(1).T)
            y = own.normal(d).double().view(*rows.shape, d)
            for component in range(k):
                basis = block.basis[component % len(block.basis)]
                posterior = block.mean[component] + (y @ basis) @ basis.mT
                y = torch.where((j == component).view(*rows.shape, 1), posterior, y)
            drawn[rows.flatten()] = self._from_components(j, y.view(-1, d))
        return torch.where(known, x, drawn.view_as(x).to(x.dtype))

    def _dense_factors(self) -> Tensor:
        """Returns L_j as triangular matrices, ``(k or 1, D, D)`` in float64."""
        factors = self.factors()
        return factors if self.triangular else torch.diag_embed(factors.expand(-1, self.dimensions))
