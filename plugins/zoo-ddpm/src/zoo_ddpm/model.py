r"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020; Nichol & Dhariwal 2021).

The forward process adds Gaussian noise in T steps,

    q(x_k | x_{k−1}) = N(√(1 − β_k)·x_{k−1}, β_k I),      q(x_k | x_0) = N(√ᾱ_k·x_0, (1 − ᾱ_k) I),

and the model runs it backwards with a network that says what x_0 was (by the noise, by the data itself or by
v = √ᾱ·ε − √(1 − ᾱ)·x_0):

    p(x_{k−1} | x_k) = N(μ̃_k(x_k, x̂_0), Σ_k),
    μ̃_k = √ᾱ_{k−1}·β_k/(1 − ᾱ_k)·x̂_0 + √(1 − β_k)·(1 − ᾱ_{k−1})/(1 − ᾱ_k)·x_k,
    Σ_k = β̃_k = β_k·(1 − ᾱ_{k−1})/(1 − ᾱ_k)  (fixed_small),  β_k  (fixed_large),  or between them  (learned).

In the zoo's clock the state x_k stands at t = (k + 1)/T, so q(x_0 | data) is the first noisy state and t = 0 the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Denoiser, Density, Prediction, Streams
from zoo_core.paths import DiscretePath, PredictionType, to_prediction
from zoo_ddpm.noise_schedule import NoiseSchedule, discrete_path
from zoo_nets.timed_model import TimedModel

__all__ = ["DDPM", "Variance"]

Variance = Literal["fixed_small", "fixed_large", "learned"]


class DDPM(TimedModel, Denoiser, Density):
    """A denoiser on a discrete variance-preserving path.

    Args:
        shape: one sample: ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; the channels are filled in.
        noise_schedule: ``linear``, ``quadratic`` or ``cosine``.
        steps: T.
        prediction: what the network answers: ``noise``, ``data`` or ``v``.
        variance: Σ_k of the reverse step: ``fixed_small``, ``fixed_large`` or ``learned`` (the network then answers
            with twice the channels; Nichol & Dhariwal 2021, eq. 15).
        levels: the number of grey levels of the data (256 for 8-bit images): the bound is then that of the discrete
            data.  ``None`` for continuous data.
        classes: labels 0 … classes − 1 of the condition ``label``; ``None`` for an unconditional model.

    Raises:
        ValueError: an argument outside its set.
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
        classes: int | None = None,
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
        """What the network says: its answer in its own currency, and ν in [0, 1] where the variance is learned.

        Args:
            x_t: noisy data, ``(n, *shape)``.
            index: the table entry, fractions allowed, ``(n,)`` or ``(1,)`` for all alike.
            condition: the ``label``, of a model with classes; the number of classes itself, and none, mean no label.

        Raises:
            ConditionError: a label for an unconditional model.
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
        """Minus the variational bound L of −log p(x), in nats, ``(n,)``: all T + 1 terms, one noise draw per term.

        With ``levels`` set it bounds the log-probability of the discrete data (Ho et al. 2020, eq. 13), else the
        log-density.
        """
        from zoo_ddpm.bound import variational_bound  # the bound needs the model's type

        if streams is None:
            streams = Streams(0, "bound", 0, len(x), device=x.device, dtype=x.dtype)
        return -variational_bound(self, x, streams, condition=condition).sum(dim=1)
