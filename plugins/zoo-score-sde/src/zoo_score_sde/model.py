r"""Score-based generative models of the three SDEs of Song et al. (2021).

Data is carried to noise by dx = f(t)·x dt + g(t) dw, whose marginals are a Gaussian path x_t = α(t)·x + σ(t)·ε:

    VP      f = −β/2,  g² = β,                         α = e^{−B/2},  σ² = 1 − e^{−B}         (their eq. 11)
    sub-VP  f = −β/2,  g² = β·(1 − e^{−2B}),           α = e^{−B/2},  σ  = 1 − e^{−B}         (their eq. 13)
    VE      f = 0,     g² = d σ²/dt,                   α = 1,         σ  = σ_min·(σ_max/σ_min)^t  (their eq. 9)

with β(t) = β_min + t·(β_max − β_min) and B(t) = ∫_0^t β.  The network predicts the score s(x_t, t) = ∇ log p_t(x_t) =
−ε̂/σ, which determines the reverse SDE (their eq. 6) and the probability-flow ODE (their eq. 13 of appendix D).
Samplers and likelihood are the core's, for all models on a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor

from zoo_core.interfaces import Condition, Streams
from zoo_core.paths import (
    GaussianPath,
    PredictionType,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
)
from zoo_nets.path_model import PathModel, Preconditioning
from zoo_nets.timed_model import Classes

__all__ = ["SDE", "ScoreModel", "ScoreSDE"]

SDE = Literal["vp", "ve", "subvp"]


class ScoreModel(PathModel):
    """A model on a path where noise and data are independent, trained by score matching at random times."""

    def training_times(self, streams: Streams) -> Tensor:
        """Draws one training time per stream, ``(n,)`` in float64, uniform over [t_min, t_max]."""
        low, high = self.path.t_min, self.path.t_max
        return low + (high - low) * streams.uniform(1).squeeze(1).double()

    def score(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes the score s(x_t, t) = −ε̂/σ(t), in the shape of ``x_t``; requires σ(t) > 0."""
        _, sigma = self.path.coefficients(t, like=x_t)
        return -self.predict(x_t, t, condition=condition).noise / sigma


class ScoreSDE(ScoreModel):
    """A score network of an SDE.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the network; see :class:`zoo_nets.path_model.PathModel`.
        sde: type of the SDE, ``vp``, ``ve`` or ``subvp``.
        beta_min, beta_max: values β(0) and β(1), for ``vp`` and ``subvp``.
        sigma_min, sigma_max: values σ(0) and σ(1), for ``ve``; σ_max should be about the greatest distance between data
            (Song & Ermon 2020), σ_min below the finest detail.
        prediction: prediction type of a network without preconditioning, ``score`` or ``noise``.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``none``.
        fourier: Fourier features that the network sees; see :class:`zoo_nets.path_model.PathModel`.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        sde: SDE = "vp",
        beta_min: float = 0.1,
        beta_max: float = 20.0,
        sigma_min: float = 0.01,
        sigma_max: float = 50.0,
        prediction: PredictionType = "score",
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
        fourier: Sequence[int] = (),
    ) -> None:
        if sde not in get_args(SDE):
            raise ValueError(f"sde = {sde!r}; expected one of {', '.join(get_args(SDE))}")
        path: GaussianPath
        if sde == "ve":
            path = VarianceExploding(sigma_min, sigma_max)
        else:
            path = (VariancePreserving if sde == "vp" else SubVariancePreserving)(beta_min, beta_max)
        super().__init__(path, shape, network, prediction, classes, preconditioning, fourier)
        self.sde: SDE = sde
