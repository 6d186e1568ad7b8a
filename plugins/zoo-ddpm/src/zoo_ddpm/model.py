r"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020; Nichol & Dhariwal 2021).

The forward process adds Gaussian noise in T steps,

    q(x_k | x_{k−1}) = N(√(1 − β_k)·x_{k−1}, β_k I),      q(x_k | x_0) = N(√ᾱ_k·x_0, (1 − ᾱ_k) I),

and the model reverses it with a network that predicts x_0 (through the noise, through the data itself or through
v = √ᾱ·ε − √(1 − ᾱ)·x_0):

    p(x_{k−1} | x_k) = N(μ̃_k(x_k, x̂_0), Σ_k),
    μ̃_k = √ᾱ_{k−1}·β_k/(1 − ᾱ_k)·x̂_0 + √(1 − β_k)·(1 − ᾱ_{k−1})/(1 − ᾱ_k)·x_k,
    Σ_k = β̃_k = β_k·(1 − ᾱ_{k−1})/(1 − ᾱ_k)  (fixed_small),  β_k  (fixed_large),  or between the two  (learned).

In the zoo's time the state x_k belongs to t = (k + 1)/T, so q(x_0 | data) is the first noisy state, and t = 0 the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Denoiser, Density, Prediction, Streams
from zoo_core.paths import DiscretePath, PredictionType, to_prediction
from zoo_ddpm.noise_schedule import NoiseSchedule, discrete_path
from zoo_nets.timed_model import Classes, TimedModel

__all__ = ["DDPM", "Variance"]

Variance = Literal["fixed_small", "fixed_large", "learned"]


class DDPM(TimedModel, Denoiser, Density):
    """A denoiser on a discrete variance-preserving path.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; the channels are filled in.
        noise_schedule: schedule of β_k, ``linear``, ``quadratic`` or ``cosine``.
        steps: number T of noise levels, at least 2.
        prediction: prediction type of the network, ``noise``, ``data`` or ``v``.
        variance: variance Σ_k of the reverse step, ``fixed_small``, ``fixed_large`` or ``learned`` (the network then
            has twice the output channels; Nichol & Dhariwal 2021, eq. 15).
        levels: number of grey levels of the data (256 for 8-bit images), for the bound of discrete data; ``None`` for
            continuous data.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    log_prob_is = "bound"
    many_passes = True
    path: DiscretePath

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        noise_schedule: NoiseSchedule = "linear",
        steps: int = 1000,
        prediction: PredictionType = "noise",
        variance: Variance = "fixed_small",
        levels: int | None = None,
        classes: Classes | None = None,
    ) -> None:
        if prediction not in ("noise", "data", "v"):
            raise ValueError(f"prediction = {prediction!r}; expected noise, data or v")
        if variance not in get_args(Variance):
            raise ValueError(f"variance = {variance!r}; expected one of {', '.join(get_args(Variance))}")
        super().__init__(shape, network, answers=2 if variance == "learned" else 1, classes=classes)
        self.path = discrete_path(noise_schedule, steps)
        self.prediction = prediction
        self.variance: Variance = variance
        self.levels = levels
        self.discrete = levels is not None

    def answer(self, x_t: Tensor, index: Tensor, *, condition: Condition | None = None) -> tuple[Tensor, Tensor | None]:
        """Returns the network's output in its prediction type, and ν in [0, 1] where the variance is learned.

        Args:
            x_t: noisy data, ``(n, *shape)``.
            index: table entry, fractions allowed, ``(n,)``, or ``(1,)`` for all samples.
            condition: condition with a ``label``, for models with classes; the label ``classes``, or none, means no
                label.

        Raises:
            ConditionError: a label is given to an unconditional model.
        """
        output = self.ask(x_t, index, condition)
        if self.variance != "learned":
            return output, None
        output, mix = output.chunk(2, dim=1)
        return output, (mix + 1.0) / 2.0

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        times = t.tolist() if isinstance(t, Tensor) else [t]
        index = torch.tensor([self.path.index(u) for u in times], dtype=torch.float32, device=x_t.device)
        output, mix = self.answer(x_t, index, condition=condition)
        prediction = to_prediction(self.path, self.prediction, x_t, t, output)
        return Prediction(prediction.data, prediction.noise, mix)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes a lower bound of log p(x) in nats, ``(n,)``: all T + 1 terms of −L, one noise draw per term.

        With ``levels`` it bounds the log-probability of the discrete data (Ho et al. 2020, eq. 13), otherwise the
        log-density.
        """
        from zoo_ddpm.bound import variational_bound  # the bound needs the model's type

        if streams is None:
            streams = Streams(0, "bound", 0, len(x), device=x.device, dtype=x.dtype)
        return -variational_bound(self, x, streams, condition=condition).sum(dim=1)
