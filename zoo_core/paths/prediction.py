"""Converts network outputs of all prediction types to (x̂, ε̂) and back; the table is in :mod:`zoo_core.paths`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from zoo_core.paths.gaussian import GaussianPath

__all__ = ["Prediction", "PredictionType", "from_prediction", "to_prediction"]

PredictionType = Literal["noise", "data", "v", "velocity", "score"]


@dataclass(frozen=True)
class Prediction:
    """A prediction, from x_t, of the data and of the noise that was added.

    Attributes:
        data: x̂, in the shape of x_t.
        noise: ε̂, in the shape of x_t.
        variance_mix: ν in [0, 1] for models that learn the variance of the reverse step,
            log Σ = ν·log β + (1 − ν)·log β̃ (Nichol & Dhariwal 2021, eq. 15); ``None`` for the others.
    """

    data: Tensor
    noise: Tensor
    variance_mix: Tensor | None = None


def to_prediction(
    path: GaussianPath, kind: PredictionType, x_t: Tensor, t: float | Tensor, output: Tensor
) -> Prediction:
    """Converts a network's output to a prediction (x̂, ε̂).

    Args:
        path: path on which ``x_t`` lies.
        kind: prediction type of ``output``.
        x_t: noisy data, ``(n, …)``.
        t: time in [0, 1], one for all samples or one per sample ``(n,)``.
        output: output of the network, in the shape of ``x_t``.

    Raises:
        ValueError: ``kind`` is none of the five.
    """
    alpha, sigma = path.coefficients(t, like=x_t)
    if kind == "noise":
        return Prediction(data=(x_t - sigma * output) / alpha, noise=output)
    if kind == "data":
        return Prediction(data=output, noise=(x_t - alpha * output) / sigma)
    if kind == "score":
        return Prediction(data=(x_t + sigma * sigma * output) / alpha, noise=-sigma * output)
    if kind == "v":
        norm = alpha * alpha + sigma * sigma
        return Prediction(data=(alpha * x_t - sigma * output) / norm, noise=(sigma * x_t + alpha * output) / norm)
    if kind == "velocity":
        alpha_dot, sigma_dot = path.rates(t, like=x_t)
        det = alpha_dot * sigma - sigma_dot * alpha
        return Prediction(data=(sigma * output - sigma_dot * x_t) / det, noise=(alpha_dot * x_t - alpha * output) / det)
    raise ValueError(f"unknown prediction type {kind!r}; expected one of {', '.join(get_args(PredictionType))}")


def from_prediction(path: GaussianPath, kind: PredictionType, prediction: Prediction, t: float | Tensor) -> Tensor:
    """Converts (x̂, ε̂) to a prediction type: the inverse of :func:`to_prediction`.

    Args:
        path: path with α and σ.
        kind: prediction type; a ``score`` needs σ(t) > 0.
        prediction: x̂ and ε̂, ``(n, …)`` each.
        t: time in [0, 1], one for all samples or one per sample ``(n,)``.

    Raises:
        ValueError: ``kind`` is none of the five.
    """
    data, noise = prediction.data, prediction.noise
    if kind == "data":
        return data
    if kind == "noise":
        return noise
    alpha, sigma = path.coefficients(t, like=data)
    if kind == "score":
        return -noise / sigma
    if kind == "v":
        return alpha * noise - sigma * data
    if kind == "velocity":
        alpha_dot, sigma_dot = path.rates(t, like=data)
        return alpha_dot * data + sigma_dot * noise
    raise ValueError(f"unknown prediction type {kind!r}; expected one of {', '.join(get_args(PredictionType))}")
