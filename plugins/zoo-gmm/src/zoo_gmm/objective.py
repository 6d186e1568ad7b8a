r"""Expectation–maximisation for Gaussian mixtures, in whitened coordinates (Dempster, Laird & Rubin 1977).

The E-step needs the residuals y = L⁻¹(x − μ) of every component for the densities; the M-step uses these residuals too,
so the data are read once.  With responsibilities r,

    N = Σ r,     d = Σ r·y / N,     C = Σ r·y yᵀ / N − d dᵀ,
    μ ← μ + L d,      Σ ← L C Lᵀ.

Near convergence C ≈ I for every condition number of Σ, so no digits cancel, and the pass over the data may be in
float32 while the k·D² parameters are in float64.  (The textbook formula Σ r·x xᵀ / N − μ μᵀ cancels for data with an
offset, so that in float32 it is not positive definite.)  N, Σ r·y and Σ r·y yᵀ add over batches and machines.

Of an example with missing cells (NaN) the E-step takes the expectations given the known ones, E[y] and E[y yᵀ] =
E[y] E[y]ᵀ + Cov[y], and the likelihood is that of the known cells (Ghahramani & Jordan 1994).  A weight of an example
multiplies its responsibilities and its log-likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, Examples, StatisticsObjective
from zoo_core.randomness import generator
from zoo_gmm.incomplete import blocks, missing_rows
from zoo_gmm.model import GaussianMixture

__all__ = ["ExpectationMaximisation"]

ROWS = 1024
"""Number of examples in one block of the pass, so that k blocks of residuals stay in the processor's cache."""


class ExpectationMaximisation(StatisticsObjective[GaussianMixture]):
    """Expectation–maximisation for Gaussian mixtures, of data with missing cells (NaN) and with weights too.

    Args:
        reg: number that is added to the diagonal of every Σ, at least 0.
        shrinkage: number s in [0, 1] of Σ ← (1 − s)·Σ + s·diag Σ.  On pixels a little of it helps more than a larger
            ``reg``, since it regularises the many correlations and not the variances.
        data_dtype: type of the pass over the data, ``float64`` or ``float32``.

    Raises:
        ValueError: an argument is outside its range.
    """

    weighs = True

    def __init__(
        self, reg: float = 1e-6, shrinkage: float = 0.0, data_dtype: Literal["float64", "float32"] = "float64"
    ) -> None:
        if reg < 0.0 or not 0.0 <= shrinkage <= 1.0:
            raise ValueError(f"reg = {reg} and shrinkage = {shrinkage}; expected reg ≥ 0 and shrinkage in [0, 1]")
        if data_dtype not in ("float64", "float32"):
            raise ValueError(f"data_dtype = {data_dtype!r}; expected float64 or float32")
        self.reg, self.shrinkage = reg, shrinkage
        self.dtype = getattr(torch, data_dtype)

    def initialise(self, model: GaussianMixture, data: Examples, seed: int) -> None:
        """Initialises by k-means++ (Arthur & Vassilvitskii 2007), ten Lloyd steps and a first M-step."""
        whole: Batch = next(data.batches())
        x = whole.x.flatten(1).double()
        missing = missing_rows(x)
        if missing is not None:
            x = _filled_with_means(x)
        centres = _kmeans(x, model.components, generator(seed, "k-means++"), whole.weights)
        assigned = torch.cdist(x, centres).argmin(1)
        spread = x.var(0, correction=0).mean().sqrt().clamp_min(1e-12)
        model.means.copy_(centres)
        unit = torch.ones_like(model.factors()) if not model.triangular else torch.eye(x.shape[1], dtype=torch.float64)
        model.set_factors((spread * unit).expand_as(model.factors()))
        self.maximise(model, self.statistics(model, whole, assigned=assigned))

    def statistics(self, model: GaussianMixture, batch: Batch, assigned: Tensor | None = None) -> dict[str, Tensor]:
        """Computes N ``(k,)``, Σ r·y ``(k, D)``, Σ r·y yᵀ ``(k, D, D)`` or its diagonal, and the log-likelihood.

        Args:
            model: model with the current parameters.
            batch: batch of data.
            assigned: components that replace the responsibilities, ``(n,)``.
        """
        k, d = model.components, model.dimensions
        # With ``assigned`` the residuals are not whitened yet, and float32 would lose digits.
        dtype = self.dtype if assigned is None else torch.float64
        log_weights, means, factors = model.log_weights.double(), model.means.double(), model.factors()
        if model.triangular:
            eye = torch.eye(d, dtype=torch.float64, device=factors.device)
            whitener = torch.linalg.solve_triangular(factors, eye.expand_as(factors), upper=False).mT.expand(k, d, d)
            log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
        else:
            whitener, log_det = factors.reciprocal().expand(k, d), factors.expand(k, d).log().sum(1)
        centre = log_weights.exp() @ means  # subtracts the data's offset before rounding to float32
        shift = means - centre
        shift = torch.einsum("jd,jde->je", shift, whitener) if model.triangular else shift * whitener
        constant = log_weights - log_det - 0.5 * d * math.log(2.0 * math.pi)
        whitener, shift = whitener.to(dtype), shift.to(dtype)

        count = torch.zeros(k, dtype=torch.float64, device=means.device)
        first = torch.zeros(k, d, dtype=torch.float64, device=means.device)
        second = torch.zeros(k, d, *([d] if model.triangular else []), dtype=torch.float64, device=means.device)
        log_likelihood = torch.zeros((), dtype=torch.float64, device=means.device)
        flat, weights = batch.x.flatten(1), batch.weights
        n = torch.tensor(float(len(flat)), dtype=torch.float64) if weights is None else weights.double().sum().cpu()
        sums = {"component": count, "first": first, "second": second, "log_likelihood": log_likelihood, "count": n}
        if (missing := missing_rows(flat)) is not None:
            some, rows = batch.rows(missing.nonzero().squeeze(1)), ~missing
            self._add_incomplete(sums, model, some, None if assigned is None else assigned[missing])
            flat, weights = flat[rows], None if weights is None else weights[rows]
            assigned = None if assigned is None else assigned[rows]
        for start in range(0, len(flat), ROWS):
            block = (flat[start : start + ROWS].double() - centre).to(dtype)
            if model.triangular:
                white = torch.baddbmm(-shift[:, None], block.expand(k, -1, -1), whitener)
            else:
                white = block * whitener[:, None] - shift[:, None]
            log_joint = constant[:, None] - 0.5 * white.square().sum(2).double()
            evidence = torch.logsumexp(log_joint, dim=0)
            weight = None if weights is None else weights[start : start + ROWS].double()
            log_likelihood += evidence.sum() if weight is None else evidence @ weight
            if assigned is None:
                share = (log_joint - evidence).exp().to(dtype)
                # Tiny responsibilities give subnormal products, which processors compute six times slower.
                share.masked_fill_(share < torch.finfo(dtype).tiny ** 0.5, 0.0)
            else:
                share = torch.nn.functional.one_hot(assigned[start : start + ROWS], k).mT.to(dtype)
            if weight is not None:
                share = share * weight.to(dtype)
            weighted = share[:, :, None] * white
            count += share.sum(1).double()
            first += weighted.sum(1).double()
            second += (weighted.mT @ white if model.triangular else (weighted * white).sum(1)).double()
        return sums

    def _add_incomplete(
        self, sums: dict[str, Tensor], model: GaussianMixture, batch: Batch, assigned: Tensor | None
    ) -> None:
        """Adds the expected statistics of examples with missing cells, in float64, to ``sums`` in place.

        Args:
            sums: sums so far, as :meth:`statistics` returns them.
            model: model with the current parameters.
            batch: examples, each with a missing cell.
            assigned: components that replace the responsibilities, ``(n,)``.
        """
        x, means, factors = batch.x.flatten(1).double(), model.means.double(), model.factors()
        missing, log_weights = torch.isnan(x), model.log_weights.double()

        def shares(log_joint: Tensor, rows: Tensor) -> Tensor:
            """Adds to the sums what does not depend on y; returns weight times responsibility, ``(k, *rows.shape)``."""
            evidence = torch.logsumexp(log_joint, dim=0)
            if assigned is None:
                share = (log_joint - evidence).exp()
            else:
                share = torch.nn.functional.one_hot(assigned[rows], model.components).movedim(-1, 0).double()
            if batch.weights is not None:
                share, evidence = share * batch.weights[rows], evidence * batch.weights[rows]
            sums["log_likelihood"] += evidence.sum()
            sums["component"] += share.flatten(1).sum(1)
            return share

        if not model.triangular:
            share = shares(model.component_log_prob(x).T, torch.arange(len(x), device=x.device))
            for j in range(model.components):
                white = ((x - means[j]) / factors[j]).masked_fill(missing, 0.0)  # E[y] = 0 and Var[y] = 1 there
                sums["first"][j] += share[j] @ white
                sums["second"][j] += share[j] @ (white.square() + missing)
            return
        for block in blocks(x, missing, means, factors):
            share = shares(block.log_density + log_weights[:, None, None], block.rows)
            weighted = share[..., None] * block.mean
            sums["first"] += weighted.sum((1, 2))
            sums["second"] += weighted.flatten(1, 2).mT @ block.mean.flatten(1, 2)
            spread = share.sum(2)[..., None, None] * block.basis
            sums["second"] += spread.movedim(1, 2).flatten(2) @ block.basis.movedim(1, 2).flatten(2).mT

    def maximise(self, model: GaussianMixture, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parameters by the M-step.

        Raises:
            ZooError: a covariance is not positive definite, which greater ``reg`` or ``shrinkage`` prevents.
        """
        # The added eps avoids a division by zero for an empty component.
        weight = statistics["component"] + 10.0 * torch.finfo(torch.float64).eps
        factors = model.factors()
        mean = statistics["first"] / weight[:, None]
        if not model.triangular:
            spread = statistics["second"] / weight[:, None] - mean.square()
            model.means += mean * factors
            variance = spread * factors.square() + self.reg
            if model.covariance == "spherical":
                variance = variance.mean(1, keepdim=True)
            _require((variance > 0).all(), self)
            model.set_factors(variance.sqrt())
        else:
            spread = statistics["second"] / weight[:, None, None] - mean[:, :, None] * mean[:, None, :]
            model.means += (factors @ mean[:, :, None]).squeeze(2)
            if model.covariance == "tied":
                spread = ((weight / weight.sum())[:, None, None] * spread).sum(0, keepdim=True)
            sigma = factors @ spread @ factors.mT
            variances = sigma.diagonal(dim1=1, dim2=2)
            sigma = (1.0 - self.shrinkage) * sigma + torch.diag_embed(self.shrinkage * variances + self.reg)
            factor, failed = torch.linalg.cholesky_ex(sigma)
            _require((failed == 0).all() and torch.isfinite(factor).all(), self)
            model.set_factors(factor)
        model.log_weights.copy_((weight / weight.sum()).log())


def _require(positive: Tensor | bool, em: ExpectationMaximisation) -> None:
    if not positive:
        raise ZooError(
            f"a covariance is not positive definite with reg = {em.reg} and shrinkage = {em.shrinkage}; "
            "raise one of them, or use fewer components"
        )


def _filled_with_means(x: Tensor) -> Tensor:
    """Replaces missing cells by the means of their columns, to begin with.

    Raises:
        ZooError: a column has no known cell.
    """
    means = x.nanmean(0)
    if bool((empty := torch.isnan(means)).any()):
        which = int(empty.nonzero()[0])
        raise ZooError(f"no example has a value in column {which}; leave this column out")
    return torch.where(torch.isnan(x), means, x)


def _kmeans(x: Tensor, k: int, source: torch.Generator, weights: Tensor | None = None) -> Tensor:
    """Finds k cluster centres, ``(k, D)``, of rows that may have weights ``(n,)``."""
    if weights is not None:  # a row without weight is no example
        x, weights = x[weights > 0], weights[weights > 0].double()
    n = len(x)
    if k > n:
        raise ZooError(f"components = {k}, but there are {n} examples; use fewer components")
    if weights is None:
        chosen = [int(torch.randint(n, (), generator=source))]
    else:
        u = torch.rand((), dtype=torch.float64, generator=source) * weights.sum()
        chosen = [min(int(torch.searchsorted(weights.cumsum(0), u)), n - 1)]
    nearest = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < k:
        mass = (nearest if weights is None else nearest * weights).cumsum(0)
        u = torch.rand((), dtype=torch.float64, generator=source) * mass[-1]
        chosen.append(min(int(torch.searchsorted(mass, u)), n - 1))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).square().sum(1))
    centres = x[chosen].clone()
    for _ in range(10):
        assigned = torch.cdist(x, centres).argmin(1)
        for j in range(k):
            if (assigned == j).any():
                mine = x[assigned == j]
                if weights is None:
                    centres[j] = mine.mean(0)
                else:
                    w = weights[assigned == j]
                    centres[j] = w @ mine / w.sum()
    return centres
