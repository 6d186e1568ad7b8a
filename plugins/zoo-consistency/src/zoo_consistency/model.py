r"""Consistency models (Song, Dhariwal, Chen & Sutskever 2023).

On a Gaussian path, seen in the coordinates z = x_t/α with noise level σ̂ = σ/α (so that z = x + σ̂·ε), the consistency
function f(z, σ̂) is the point at level σ̂ = ε on the trajectory of the probability-flow ODE through (z, σ̂).  It equals z
there, the *boundary condition*, which the network has by construction:

    f(z, σ̂) = c_skip(σ̂)·z + c_out(σ̂)·F(c_in(σ̂)·z, clock(σ̂)),      c_skip(ε) = 1,   c_out(ε) = 0.

* ``angular``: with θ = atan σ̂ and θ_ε = atan ε, F is the angular velocity of a path model (``zoo_nets.path_model``) and
  f one Euler step of its ODE from θ to θ_ε, so that training can start from the weights of any path model:

      c_in = cos θ,   c_skip = cos θ·cos(θ − θ_ε)/cos θ_ε,   c_out = −sin(θ − θ_ε)/cos θ_ε,   clock = 1000·(2/π)·θ.

* ``edm`` (their eqs. 25 and 26, with s = ``data_scale`` for σ_data):

      c_in = 1/√(σ̂² + s²),   c_skip = s²/((σ̂ − ε)² + s²),   c_out = s·(σ̂ − ε)/√(σ̂² + s²),   clock = 250·ln σ̂.

For Gaussian data of standard deviation s the function is known: f(z, σ̂) = z·√((s² + ε²)/(s² + σ̂²)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Denoiser, Prediction
from zoo_core.paths import CosinePath, GaussianPath, LinearPath, VarianceExploding, broadcast
from zoo_nets.timed_model import Classes, TimedModel

__all__ = ["Consistency", "Interpolant", "Preconditioning"]

Interpolant = Literal["linear", "trigonometric", "exploding"]
Preconditioning = Literal["angular", "edm"]


class Consistency(TimedModel, Denoiser):
    """A consistency function f; as a denoiser it predicts x̂ = f and ε̂ = (x_t − α·f)/σ.

    Since f is not a conditional mean, −ε̂/σ is not the score; the model should be sampled with ``consistency``.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` or ``{"kind": "mlp", …}``, see :class:`zoo_nets.path_model.PathModel`.
        path: path in whose coordinates the model is sampled, ``linear`` (α = 1 − t, σ = t), ``trigonometric`` (cos,
            sin) or ``exploding`` (α = 1, σ from σ_min to σ_max); f does not depend on it.
        sigma_min: noise level ε that counts as data, above 0.
        sigma_max: noise level at which sampling begins, above ``sigma_min``.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``edm``.
        data_scale: standard deviation s of the data, for ``edm``, above 0.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    prediction = "data"

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        path: Interpolant = "linear",
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
        data_scale: float = 0.5,
    ) -> None:
        if preconditioning not in get_args(Preconditioning):
            allowed = ", ".join(get_args(Preconditioning))
            raise ValueError(f"preconditioning = {preconditioning!r}; expected one of {allowed}")
        if data_scale <= 0.0:
            raise ValueError(f"data_scale = {data_scale}; expected a positive number")
        super().__init__(shape, network, classes=classes)
        self.path = _path(path, sigma_min, sigma_max)
        self.sigma_min, self.sigma_max, self.data_scale = sigma_min, sigma_max, data_scale
        self.preconditioning: Preconditioning = preconditioning

    def jump(self, z: Tensor, sigma: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes f(z, σ̂), the data predicted from z = x + σ̂·ε.

        Args:
            z: states, ``(n, …)``.
            sigma: noise levels σ̂ ≥ ε, ``(n,)``, or ``(1,)`` for all samples; float64 gives accurate coefficients.
            condition: condition with a ``label``, for a model with classes.

        Raises:
            ConditionError: a label is given to an unconditional model.
        """
        c_in, c_skip, c_out, clock = self.coefficients(sigma.double())
        c_in, c_skip, c_out = (broadcast(c.to(z.dtype), z) for c in (c_in, c_skip, c_out))
        answer = self.ask(c_in * z, clock.float(), condition)
        return c_skip * z + c_out * answer

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Computes c_in, c_skip, c_out and the network's time at noise levels σ̂, each in the shape of ``sigma``."""
        if self.preconditioning == "edm":
            s = self.data_scale
            scale, past = torch.sqrt(sigma * sigma + s * s), sigma - self.sigma_min
            return 1.0 / scale, s * s / (past * past + s * s), s * past / scale, 250.0 * torch.log(sigma)
        theta, end = torch.atan(sigma), math.atan(self.sigma_min)
        turn = theta - end
        c_skip = theta.cos() * turn.cos() / math.cos(end)
        return theta.cos(), c_skip, -turn.sin() / math.cos(end), (2000.0 / math.pi) * theta

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        alpha, sigma = self.path.coefficients(t, like=x_t)
        level = torch.as_tensor(sigma / alpha, dtype=torch.float64, device=x_t.device).reshape(-1)
        data = self.jump(x_t / alpha, level.clamp_min(self.sigma_min), condition=condition)
        return Prediction(data, (x_t - alpha * data) / sigma)


def _path(name: Interpolant, sigma_min: float, sigma_max: float) -> GaussianPath:
    """Makes the path, restricted to the noise levels ``sigma_min`` … ``sigma_max``."""
    if not 0.0 < sigma_min < sigma_max:
        raise ValueError(f"sigma_min = {sigma_min} and sigma_max = {sigma_max}; expected 0 < sigma_min < sigma_max")
    if name == "exploding":
        return VarianceExploding(sigma_min, sigma_max)
    if name not in get_args(Interpolant):
        raise ValueError(f"path = {name!r}; expected one of {', '.join(get_args(Interpolant))}")
    path: GaussianPath = LinearPath() if name == "linear" else CosinePath()
    path.t_min = path.time_of_log_snr(-2.0 * math.log(sigma_min))
    path.t_max = path.time_of_log_snr(-2.0 * math.log(sigma_max))
    return path
