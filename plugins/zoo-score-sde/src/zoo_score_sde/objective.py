r"""Score matching: learning s(x, t) ≈ ∇ log p_t(x) from samples.

Three objectives with one minimiser, each at random times t with a weight λ(t), per dimension:

    explicit   λ·E ‖s(x_t) − ∇ log p_t(x_t)‖²                                     where the true score is known
    denoising  λ·E ‖s(x_t) + ε/σ‖²                                                (Vincent 2011, eq. 11)
    sliced     λ·E [2·vᵀ∇(vᵀs(x_t)) + ‖s(x_t)‖²],   v random with E vvᵀ = I       (Song et al. 2019, eq. 8)

The denoising loss is the explicit one plus the variance of the noise given x_t; the sliced loss is the explicit one
minus E ‖∇ log p_t‖², by Hyvärinen's integration by parts E ⟨s, ∇ log p⟩ = −E tr ∇s (2005, theorem 1).

Weights: ``sigma`` is λ = σ², a squared error of the noise (Song & Ermon 2019, §4.2); ``likelihood`` is λ = g², for
which the loss bounds the negative log-likelihood (Song, Durkan et al. 2021, theorem 1); ``angular`` is
λ = σ²·(1 + σ²/α²), which weighs data and noise equally: λ‖s + ε/σ‖² = ‖x̂ − x‖² + ‖ε̂ − ε‖².
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_core.paths import broadcast
from zoo_score_sde.exact_score import ExactScore
from zoo_score_sde.model import ScoreModel

__all__ = ["DenoisingScoreMatching", "ExplicitScoreMatching", "SlicedScoreMatching", "Weighting", "weight"]

Weighting = Literal["sigma", "likelihood", "angular"]


class ScoreMatching(GradientObjective[ScoreModel]):
    """The base of the three objectives: draws times and noise, and weights the loss.

    Args:
        weighting: weight λ(t) of the loss, ``sigma``, ``likelihood`` or ``angular``.

    Raises:
        ValueError: the weighting is none of these.
    """

    def __init__(self, weighting: Weighting = "sigma") -> None:
        if weighting not in get_args(Weighting):
            raise ValueError(f"weighting = {weighting!r}; expected one of {', '.join(get_args(Weighting))}")
        self.weighting: Weighting = weighting

    def losses(self, model: ScoreModel, batch: Batch, streams: Streams) -> Iterator[Loss]:
        t = model.training_times(streams)
        noise = streams.normal(*batch.x.shape[1:])
        yield Loss(self.loss(model, batch, noise, t, streams).mean())

    @abstractmethod
    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        """Computes the weighted loss of every example per dimension, ``(n,)``, whose mean is minimised.

        Args:
            model: score model.
            batch: batch of data.
            noise: noise ε, in the shape of the data.
            t: times, one per example, ``(n,)``.
            streams: random streams for further draws, one per example.
        """


class DenoisingScoreMatching(ScoreMatching):
    """Denoising score matching: regression on the noise that was added, for data of any shape."""

    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        prediction = model.predict(model.path.diffuse(batch.x, noise, t), t, condition=batch.condition)
        squared = (prediction.noise - noise).square()
        if self.weighting == "angular":  # equals the weighted loss, without a division by α
            return squared + (prediction.data - batch.x).square()
        if self.weighting == "sigma":
            return squared
        _, sigma = model.path.coefficients(t, like=noise)
        return weight(model, self.weighting, t, noise) / (sigma * sigma) * squared


class ExplicitScoreMatching(ScoreMatching):
    """Explicit score matching against the exact score, a reference for the other objectives.

    Args:
        density: name of a density of the core (``two-moons``); unless given, the score is that of Parzen's estimate
            from the batch (Vincent 2011, eq. 7).
        weighting: weight λ(t) of the loss; see :class:`ScoreMatching`.

    Raises:
        IncompatibleError: the score of the density has no closed form.
    """

    def __init__(self, density: str | None = None, weighting: Weighting = "sigma") -> None:
        super().__init__(weighting)
        self.density = None if density is None else ExactScore.of(density)

    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        exact = self.density or ExactScore.parzen(batch.x)
        if batch.x.shape[1:] != exact.means.shape[1:]:
            known, given = tuple(exact.means.shape[1:]), tuple(batch.x.shape[1:])
            raise IncompatibleError(f"the density is of points of shape {known}; the data has shape {given}")
        x_t = model.path.diffuse(batch.x, noise, t)
        gap = model.score(x_t, t, condition=batch.condition) - exact(model.path, x_t, t)
        return weight(model, self.weighting, t, noise) * gap.square()


class SlicedScoreMatching(ScoreMatching):
    """Sliced score matching: Hutchinson's estimate of the trace of ∇s, by Rademacher probes (exact for d = 1).

    Args:
        probes: number of probes per example, at least 1.
        weighting: weight λ(t) of the loss; see :class:`ScoreMatching`.

    Raises:
        ValueError: fewer than one probe.
    """

    def __init__(self, probes: int = 1, weighting: Weighting = "sigma") -> None:
        super().__init__(weighting)
        if probes < 1:
            raise ValueError(f"probes = {probes}; expected at least 1")
        self.probes = probes

    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the only attention kernel that can be differentiated twice
            x_t = model.path.diffuse(batch.x, noise, t).detach().requires_grad_(True)
            score = model.score(x_t, t, condition=batch.condition)
            curvature = torch.zeros_like(score)
            for _ in range(self.probes):
                v = streams.integers(2, *x_t.shape[1:]).to(x_t) * 2.0 - 1.0
                (gradient,) = torch.autograd.grad((v * score).sum(), x_t, create_graph=True)
                curvature = curvature + v * gradient / self.probes
        return weight(model, self.weighting, t, noise) * (2.0 * curvature + score.square())


def weight(model: ScoreModel, weighting: Weighting, t: Tensor, like: Tensor) -> Tensor:
    """Computes λ(t), in the shape ``(n, 1, …)`` that broadcasts against ``like``."""
    if weighting == "likelihood":
        values = torch.tensor([model.path.diffusion_squared(u) for u in t.tolist()], dtype=like.dtype)
        return broadcast(values.to(like), like)
    alpha, sigma = (torch.as_tensor(c) for c in model.path.coefficients(t, like=like))
    return sigma**2 if weighting == "sigma" else sigma**2 * (1.0 + (sigma / alpha) ** 2)
