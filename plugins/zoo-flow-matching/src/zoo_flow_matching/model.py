r"""Flow matching (Lipman et al. 2023; Liu et al. 2023; Albergo & Vanden-Eijnden 2023).

A velocity field u(x, t) whose ODE dx/dt = u carries data (t = 0) to noise (t = 1) along an interpolant

    x_t = α(t)·x + σ(t)·ε,       u*(x, t) = E[α′(t)·x + σ′(t)·ε | x_t = x],

linear (α = 1 − t, σ = t: the "optimal-transport path" of Lipman et al., the rectified flow of Liu et al.) or
trigonometric (α = cos πt/2, σ = sin πt/2: Albergo & Vanden-Eijnden, eq. 5).  In the papers time runs from noise
to data, which negates the velocity.

Noise and data may be *coupled*: drawn in pairs whose marginals are still N(0, I) and the data.  Optimal transport
within minibatches (Tong et al. 2024; Pooladian et al. 2023) makes the paths shorter and nearly straight.  The velocity
remains valid, but −ε̂/σ is no longer the score, since noise and data are not independent, and only ODE samplers fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from zoo_core.paths import CosinePath, GaussianPath, LinearPath, PredictionType
from zoo_nets.path_model import PathModel, Preconditioning
from zoo_nets.timed_model import Classes

__all__ = ["PATHS", "Coupling", "FlowMatching", "Interpolant", "RectifiedFlow"]

Interpolant = Literal["linear", "trigonometric"]
Coupling = Literal["independent", "optimal-transport"]

PATHS: Mapping[str, Callable[[], GaussianPath]] = {"linear": LinearPath, "trigonometric": CosinePath}
"""The paths of the interpolants."""


class FlowMatching(PathModel):
    """A velocity network on an interpolant.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the network; see :class:`zoo_nets.path_model.PathModel`.
        interpolant: interpolant of data and noise, ``linear`` or ``trigonometric``.
        coupling: coupling of noise and data in training, ``independent`` or ``optimal-transport``.
        prediction: prediction type in which the loss is computed, usually ``velocity``.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``none``.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        interpolant: Interpolant = "linear",
        coupling: Coupling = "independent",
        prediction: PredictionType = "velocity",
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
    ) -> None:
        if interpolant not in PATHS:
            raise ValueError(f"interpolant = {interpolant!r}; expected one of {', '.join(PATHS)}")
        if coupling not in get_args(Coupling):
            raise ValueError(f"coupling = {coupling!r}; expected one of {', '.join(get_args(Coupling))}")
        super().__init__(PATHS[interpolant](), shape, network, prediction, classes, preconditioning)
        self.coupling: Coupling = coupling
        self.path.independent = coupling == "independent"


class RectifiedFlow(PathModel):
    """A velocity network on straight lines between the ends of another flow's trajectories (Liu et al. 2023, §2.2).

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the network; see :class:`zoo_nets.path_model.PathModel`.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``none``.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
    ) -> None:
        super().__init__(LinearPath(), shape, network, "velocity", classes, preconditioning)
        self.path.independent = False
