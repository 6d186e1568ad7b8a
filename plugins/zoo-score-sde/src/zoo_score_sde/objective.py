r"""Score matching: how to learn s(x, t) ≈ ∇ log p_t(x) from samples.

Three objectives with one minimiser, each at random times t with a weight λ(t), per dimension:

    explicit   λ·E ‖s(x_t) − ∇ log p_t(x_t)‖²                                     where the true score is known
    denoising  λ·E ‖s(x_t) + ε/σ‖²                                                (Vincent 2011, eq. 11)
    sliced     λ·E [2·vᵀ∇(vᵀs(x_t)) + ‖s(x_t)‖²],   v random with E vvᵀ = I       (Song et al. 2019, eq. 8)

Denoising is explicit plus the variance of the noise that cannot be told from x_t; sliced is explicit minus
E ‖∇ log p_t‖², by Hyvärinen's integration by parts E ⟨s, ∇ log p⟩ = −E tr ∇s (2005, theorem 1).

Weights: ``sigma`` λ = σ², under which noise is learned (Song & Ermon 2019, §4.2); ``likelihood`` λ = g², under which
the loss bounds the negative log-likelihood (Song, Durkan et al. 2021, theorem 1); ``angular`` λ = σ²·(1 + σ²/α²), under
which data and noise are learned alike: λ‖s + ε/σ‖² = ‖x̂ − x‖² + ‖ε̂ − ε‖².
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
from zoo_score_sde.exact_score import ExactScore
from zoo_score_sde.model import ScoreModel

__all__ = ["DenoisingScoreMatching", "ExplicitScoreMatching", "SlicedScoreMatching", "Weighting", "weight"]

Weighting = Literal["sigma", "likelihood", "angular"]


class ScoreMatching(GradientObjective[ScoreModel]):
    """What the three have in common: times, noise and the weight.

    Args:
        weighting: ``sigma``, ``likelihood`` or ``angular``.

    Raises:
        ValueError: another weighting.
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
        """The weighted loss of every example, per dimension: its mean is what is descended.

        Args:
            model: the score model.
            batch: data.
            noise: ε, the shape of the data.
            t: one time per example, ``(n,)``.
            streams: for whatever else is random.
        """


class DenoisingScoreMatching(ScoreMatching):
    """The score of noisy data, learned from the noise that was added; for data of any shape."""

    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        prediction = model.predict(model.path.diffuse(batch.x, noise, t), t, condition=batch.condition)
        squared = (prediction.noise - noise).square()
        if self.weighting == "angular":  # the same as its weight, and no division by α
            return squared + (prediction.data - batch.x).square()
        if self.weighting == "sigma":
            return squared
        _, sigma = model.path.coefficients(t, like=noise)
        return weight(model, self.weighting, t, noise) / (sigma * sigma) * squared


class ExplicitScoreMatching(ScoreMatching):
    """Against the true score: what the others cannot do better than.

    Args:
        density: the name of a density of the core (``two-moons``); unless given, the score is that of Parzen's estimate
            from the batch itself (Vincent 2011, eq. 7).
        weighting: see :class:`ScoreMatching`.

    Raises:
        IncompatibleError: the density has no closed form.
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
    """Without a target: Hutchinson's estimate of the trace of ∇s, by Rademacher probes (exact where d = 1).

    Args:
        probes: per example, at least 1.
        weighting: see :class:`ScoreMatching`.

    Raises:
        ValueError: fewer than one probe.
    """

    def __init__(self, probes: int = 1, weighting: Weighting = "sigma") -> None:
        super().__init__(weighting)
        if probes < 1:
            raise ValueError(f"probes = {probes}; expected at least 1")
        self.probes = probes

    def loss(self, model: ScoreModel, batch: Batch, noise: Tensor, t: Tensor, streams: Streams) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the kernel of attention that can be differentiated twice
            x_t = model.path.diffuse(batch.x, noise, t).detach().requires_grad_(True)
            score = model.score(x_t, t, condition=batch.condition)
            curvature = torch.zeros_like(score)
            for _ in range(self.probes):
                v = streams.integers(2, *x_t.shape[1:]).to(x_t) * 2.0 - 1.0
                (gradient,) = torch.autograd.grad((v * score).sum(), x_t, create_graph=True)
                curvature = curvature + v * gradient / self.probes
        return weight(model, self.weighting, t, noise) * (2.0 * curvature + score.square())


def weight(model: ScoreModel, weighting: Weighting, t: Tensor, like: Tensor) -> Tensor:
    """λ(t), ready to multiply ``like``: ``(n, 1, …)``."""
    shape = (-1, *[1] * (like.ndim - 1))
    if weighting == "likelihood":
        return (
            torch.tensor([model.path.diffusion_squared(u) for u in t.tolist()], dtype=like.dtype).to(like).view(shape)
        )
    alpha, sigma = (torch.as_tensor(c) for c in model.path.coefficients(t, like=like))
    return sigma**2 if weighting == "sigma" else sigma**2 * (1.0 + (sigma / alpha) ** 2)
