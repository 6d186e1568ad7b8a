r"""States that emit a Gaussian, or a mixture of M Gaussians, in D dimensions.

    b(i) = Σ_m w_im N(x; μ_im, Σ_im),        Σ_im = L_im L_imᵀ or diag σ²_im.

A frame with known cells K and missing ones U (NaN) has the density of x_K, and its expected statistics are those of

    E[x_U | x_K] = μ_U + Σ_UK Σ_KK⁻¹ (x_K − μ_K),        Cov[x_U | x_K] = Σ_UU − Σ_UK Σ_KK⁻¹ Σ_KU

(Ghahramani & Jordan 1994).  Sums of squares are of x − o, where o is the mean of the class's means, so that the data's
offset does not cancel digits.  There is no prior: ``floor``, the least variance, is 0 unless it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.interfaces import SampleSpace, Streams
from zoo_hmm.clusters import clusters
from zoo_hmm.emissions import Emissions

__all__ = ["Covariance", "Gaussians"]

Covariance = Literal["diagonal", "full"]


class Gaussians(Emissions):
    """Mixtures of Gaussians, one for each state of each class.

    Args:
        classes: number C of classes.
        states: number S of states.
        features: number D of numbers in a frame, at least 1.
        components: number M of Gaussians in a mixture, at least 1.
        covariance: form of the covariances, ``diagonal`` or ``full``.

    Raises:
        ValueError: ``covariance`` is unknown.

    The buffers are ``weights`` ``(C, S, M)``, ``means`` ``(C, S, M, D)`` and ``scale``, which is σ ``(C, S, M, D)`` or
    the lower triangular L ``(C, S, M, D, D)``.  ``floor`` is the least variance that :meth:`maximise` sets.
    """

    weights: Tensor
    means: Tensor
    scale: Tensor
    floor = 0.0

    def __init__(self, classes: int, states: int, features: int, components: int, covariance: Covariance) -> None:
        super().__init__()
        if covariance not in get_args(Covariance):
            raise ValueError(f"covariance = {covariance!r}; expected one of {', '.join(get_args(Covariance))}")
        self.space, self.full = SampleSpace("sequence", (None, features)), covariance == "full"
        shape = (classes, states, components)
        self.register_buffer("weights", torch.full(shape, 1.0 / components, dtype=torch.float64))
        # Before training, no two means are equal, so that classes and states can be told apart.
        apart = torch.arange(classes * states * components, dtype=torch.float64).view(*shape, 1) / (states * components)
        self.register_buffer("means", apart.expand(*shape, features).clone())
        unit = torch.eye(features, dtype=torch.float64) if self.full else torch.ones(features, dtype=torch.float64)
        self.register_buffer("scale", unit.expand(*shape, *unit.shape).clone())

    def log_density(self, frames: Tensor, label: int) -> Tensor:
        joint = self._log_joint(frames, label)
        _, states, components = self.weights.shape
        return joint if components == 1 else torch.logsumexp(joint.reshape(len(frames), states, components), 2)

    def _log_joint(self, frames: Tensor, label: int) -> Tensor:
        """Computes log w + log N(x_K; μ_K, Σ_KK), ``(F, S·M)``."""
        log_weights, means, scale = self._flat(label)
        x = frames.double()
        if not self.full:
            centre = means.mean(0)
            shift, precision = means - centre, scale.square().reciprocal()
            constant = -0.5 * shift.square() * precision - scale.log() - 0.5 * math.log(2.0 * math.pi)
            x = x - centre
            # States are rows here: products of few rows are several times as quick as those of few columns.
            if (known := _known(x)) is None:
                found = torch.addmm((log_weights + constant.sum(1))[:, None], shift * precision, x.mT)
            else:
                x = x.masked_fill_(~known, 0.0)
                found = torch.addmm(log_weights[:, None] + constant @ known.double().mT, shift * precision, x.mT)
            return found.addmm_(precision, x.square_().mT, alpha=-0.5).mT
        found = x.new_empty(len(x), len(means))
        for rows, cells in _patterns(torch.isnan(x)):
            for k, mean in enumerate(means):
                factor = _factor(scale[k], cells)
                white = torch.linalg.solve_triangular(factor, (x[rows][:, cells] - mean[cells]).mT, upper=False)
                log_det = factor.diagonal().log().sum() + 0.5 * len(factor) * math.log(2.0 * math.pi)
                found[rows, k] = log_weights[k] - 0.5 * white.square().sum(0) - log_det
        return found

    def _flat(self, label: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns log w ``(S·M,)``, μ ``(S·M, D)`` and σ or L of a class, in float64."""
        weights, means, scale = (v[label].double().flatten(0, 1) for v in (self.weights, self.means, self.scale))
        return weights.log(), means, scale

    def begin(self, frames: Tensor, states: Tensor, weights: Tensor, label: int, source: torch.Generator) -> None:
        """Divides the frames of each state into clusters, and sets means, variances and weights to theirs."""
        count, m = self.weights.shape[1:]
        x = torch.where(torch.isnan(frames), frames.double().nanmean(0), frames.double())
        gamma = x.new_zeros(len(x), count * m)
        for state in range(count):
            mine = ((states == state) & (weights > 0)).nonzero().squeeze(1)
            if not len(mine):  # no sequence has a frame of this state; it begins like all others together
                mine = (weights > 0).nonzero().squeeze(1)
            cluster = clusters(x[mine], m, weights[mine], source)
            gamma[mine, state * m + cluster] = weights[mine]
        total = gamma.sum(0)
        spread = (weights @ (x - (weights @ x) / weights.sum()).square()) / weights.sum()
        self.means[label] = ((gamma.mT @ x) / total.clamp_min(1e-300)[:, None]).view_as(self.means[label])
        within = gamma.mT @ x.square() / total.clamp_min(1e-300)[:, None] - self.means[label].flatten(0, 1).square()
        # A cluster of a few equal frames has no variance of its own, and begins with a hundredth of that of all.
        variance = torch.maximum(within, 0.01 * spread + 1e-12)
        self.scale[label] = (torch.diag_embed(variance.sqrt()) if self.full else variance.sqrt()).view_as(
            self.scale[label]
        )
        share = (total + 1e-12).view(count, m)
        self.weights[label] = share / share.sum(1, keepdim=True)

    def statistics(self, frames: Tensor, gamma: Tensor, label: int) -> dict[str, Tensor]:
        share = gamma
        if self.weights.shape[2] > 1:
            joint = self._log_joint(frames, label).reshape(*gamma.shape, -1)
            share = (torch.softmax(joint, 2) * gamma[:, :, None]).flatten(1)
        _, means, scale = self._flat(label)
        centre = means.mean(0)
        x, shift, d = frames.double() - centre, means - centre, frames.shape[1]
        if self.full:
            first, second = torch.zeros_like(means), x.new_zeros(len(means), d, d)
            for rows, cells in _patterns(torch.isnan(x)):
                for k in range(len(means)):
                    filled, spread = _expected(x[rows], shift[k], scale[k], cells)
                    weighted = share[rows, k, None] * filled
                    first[k] += weighted.sum(0)
                    second[k] += weighted.mT @ filled + share[rows, k].sum() * spread
        elif (known := _known(x)) is None:
            first, second = share.mT @ x, share.mT @ x.square()
        else:
            missing = ~known
            absent = share.mT @ missing.double()
            x = x.masked_fill(missing, 0.0)
            first = share.mT @ x + absent * shift
            second = share.mT @ x.square() + absent * (shift.square() + scale.square())
        found = {"component": share.sum(0), "first": first, "second": second}
        return {name: self._of_all(value, label) for name, value in found.items()}

    def _of_all(self, value: Tensor, label: int) -> Tensor:
        """Returns sums of a class, ``(S·M, …)``, among zeros for the others, ``(C, S, M, …)``."""
        whole = value.new_zeros(*self.weights.shape, *value.shape[1:])
        whole[label] = value.view_as(whole[label])
        return whole

    def maximise(self, statistics: Mapping[str, Tensor]) -> None:
        """Sets weights, means and covariances.

        Raises:
            ZooError: a variance is not positive, as a state has few frames or equal ones.
        """
        weight = statistics["component"]
        state = weight.sum(2, keepdim=True)
        self.weights.copy_(torch.where(state > 0, weight / state, self.weights))
        seen = weight[..., None] > 0
        means, size = self.means.double(), weight.clamp_min(1e-300)[..., None]
        centre = means.mean((1, 2), keepdim=True)
        mean = statistics["first"] / size
        self.means.copy_(torch.where(seen, mean + centre, means))
        if self.full:
            spread = statistics["second"] / size[..., None] - mean[..., :, None] * mean[..., None, :]
            spread = spread + self.floor * torch.eye(spread.shape[-1]).to(spread)
            factor, failed = torch.linalg.cholesky_ex(spread)
            if bool(((failed > 0) & (weight > 0)).any()):
                raise _flat_state(self.floor)
            self.scale.copy_(torch.where(seen[..., None], factor, self.scale))
            return
        variance = statistics["second"] / size - mean.square()
        variance = variance.clamp_min(self.floor) if self.floor else variance
        if bool(((variance <= 0) & seen).any()):
            raise _flat_state(self.floor)
        self.scale.copy_(torch.where(seen, variance.clamp_min(0.0).sqrt(), self.scale))

    def draw(self, labels: Tensor, states: Tensor, streams: Streams, known: Tensor) -> Tensor:
        weights, noise_of = self.weights[labels, states].double(), known.shape[1]
        if bool((~torch.isnan(known)).any()):
            joint = torch.stack([self._log_joint(f[None], int(c))[0] for f, c in zip(known, labels, strict=True)])
            joint = joint.view(len(known), *self.weights.shape[1:])
            weights = joint[torch.arange(len(known), device=known.device), states].softmax(1)
        component = streams.categorical(weights)
        noise = streams.normal(noise_of).double()
        mean, scale = self.means[labels, states, component].double(), self.scale[labels, states, component].double()
        if not self.full:
            drawn = mean + scale * noise
        else:
            drawn = known.double().clone()
            for rows, cells in _patterns(torch.isnan(known)):
                for row in rows.tolist():
                    filled, spread = _expected(drawn[row : row + 1], mean[row], scale[row], cells)
                    gone = ~cells
                    if bool(gone.any()):
                        factor = torch.linalg.cholesky(spread[gone][:, gone])
                        filled[0, gone] += factor @ noise[row, gone]
                    drawn[row] = filled[0]
        return torch.where(torch.isnan(known), drawn.to(known.dtype), known)

    def nothing(self, n: int) -> Tensor:
        return self.means.new_full((n, self.means.shape[-1]), math.nan)

    def free_parameters(self) -> int:
        _, s, m, d = self.means.shape
        return s * (m - 1 + m * (d + (d * (d + 1) // 2 if self.full else d)))


def _flat_state(floor: float) -> ZooError:
    return ZooError(
        f"a state's variance is not positive with floor = {floor}; raise objective_options.floor, or use fewer states "
        "or components"
    )


def _known(x: Tensor) -> Tensor | None:
    """Finds the cells that are not missing, bool ``(F, D)``; ``None`` if all are known, which takes one sum."""
    return ~torch.isnan(x) if bool(torch.isnan(x.sum())) else None


def _patterns(missing: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the frames that lack the same cells, ``(k,)``, with the mask of those that are known, ``(D,)``."""
    if not bool(missing.any()):
        yield torch.arange(len(missing), device=missing.device), ~missing.new_zeros(missing.shape[1])
        return
    kinds, kind = torch.unique(missing, dim=0, return_inverse=True)
    for number, one in enumerate(kinds):
        yield (kind == number).nonzero().squeeze(1), ~one


def _factor(scale: Tensor, cells: Tensor) -> Tensor:
    """Returns the triangular factor of Σ_KK."""
    if bool(cells.all()):
        return scale
    some = scale[cells]
    return torch.linalg.cholesky(some @ some.mT)


def _expected(x: Tensor, mean: Tensor, scale: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Returns E[x | x_K], ``(F, D)``, and Cov[x | x_K], ``(D, D)``, which is 0 in the known cells."""
    spread = torch.zeros_like(scale)
    if bool(cells.all()):
        return x, spread
    gone, sigma = ~cells, scale @ scale.mT
    factor = _factor(scale, cells)
    gain = torch.cholesky_solve(sigma[cells][:, gone], factor)  # Σ_KK⁻¹ Σ_KU
    filled = x.clone()
    filled[:, gone] = mean[gone] + (x[:, cells] - mean[cells]) @ gain
    places = gone.nonzero().squeeze(1)
    spread[places[:, None], places] = sigma[gone][:, gone] - sigma[gone][:, cells] @ gain
    return filled, spread
