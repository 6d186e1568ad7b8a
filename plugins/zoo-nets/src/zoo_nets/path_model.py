r"""A network on a continuous Gaussian path, the common base of score SDEs and flow matching.

The state is x_t = α(t)·x + σ(t)·ε.  The network's inputs and outputs depend on the *preconditioning*:

* ``angular`` (Lu & Song 2025, "TrigFlow", eqs. 3–5 with unit scale).  With r = √(α² + σ²), θ = atan2(σ, α) and
  y = x_t/r = cos θ·x + sin θ·ε the network F predicts the angular velocity,

      F(y, 1000·(2/π)·θ) ≈ dy/dθ = cos θ·ε − sin θ·x,      x̂ = cos θ·y − sin θ·F,      ε̂ = sin θ·y + cos θ·F.

  Both predictions are exact at the ends (θ = 0: x̂ = y; θ = π/2: ε̂ = y), and the path enters through θ alone, so that
  weights that were trained on one path are a good start for every other.
* ``none``.  The network sees x_t and 1000·t, and its output has the model's prediction type.

With angular preconditioning the network may also see Fourier features of y (Kingma et al. 2021, appendix C), which
resolve single grey levels.  Each is damped like its mean under the noise, so that features hidden by noise vanish:

    e^{−ω²·sin²θ/2}·sin ωy,    e^{−ω²·sin²θ/2}·cos ωy,      ω = 2^k·π;

in images of 256 levels on [−1, 1] the features of k = 8 repeat at every level.

With both the model *predicts* (x̂, ε̂), and `answer` converts this to the model's prediction type (noise, data, v,
velocity or score), which objectives compare with its target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core.interfaces import Condition, Denoiser, Density, Prediction, Streams
from zoo_core.paths import GaussianPath, PredictionType, from_prediction, to_prediction
from zoo_nets.timed_model import Classes, TimedModel

__all__ = ["PathModel", "Preconditioning"]

Preconditioning = Literal["angular", "none"]


class PathModel(TimedModel, Denoiser, Density):
    """The base of the families on continuous paths; a family's constructor chooses the path.

    Args:
        path: Gaussian path x_t = α(t)·x + σ(t)·ε.
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; channels and classes are filled in.
        prediction: prediction type of :meth:`answer`: ``noise``, ``data``, ``v``, ``velocity`` or ``score``.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``none``.
        fourier: values of k whose Fourier features the network sees too.
        spans: whether the network has a span of time as a second time input.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    log_prob_is = "estimate"
    many_passes = True

    def __init__(
        self,
        path: GaussianPath,
        shape: list[int],
        network: Mapping[str, Any],
        prediction: PredictionType,
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
        fourier: Sequence[int] = (),
        spans: bool = False,
    ) -> None:
        for name, value, allowed in (
            ("prediction", prediction, get_args(PredictionType)),
            ("preconditioning", preconditioning, get_args(Preconditioning)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}; expected one of {', '.join(allowed)}")
        if fourier and preconditioning != "angular":
            raise ValueError(f"fourier = {list(fourier)} needs preconditioning = 'angular', not {preconditioning!r}")
        super().__init__(shape, network, shown=1 + 2 * len(fourier), classes=classes, spans=spans)
        self.path = path
        self.prediction = prediction
        self.preconditioning: Preconditioning = preconditioning
        self.fourier = tuple(fourier)

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        if self.preconditioning == "none":
            return to_prediction(self.path, self.prediction, x_t, t, self.ask(x_t, 1000.0 * _times(t, x_t), condition))
        r, cos, sin, code = self._angle(t, x_t)
        y = x_t / r
        output = self.ask(self._with_features(y, sin), code, condition)
        return Prediction(data=cos * y - sin * output, noise=sin * y + cos * output)

    def answer(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Tensor:
        """Returns the output in the model's prediction type, in the shape of ``x_t``; training fits it to `target`."""
        if self.preconditioning == "none":
            return self.ask(x_t, 1000.0 * _times(t, x_t), condition)
        return from_prediction(self.path, self.prediction, self.predict(x_t, t, condition=condition), t)

    def target(self, x: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
        """Returns the training target of :meth:`answer`, whose conditional mean given x_t is the optimum."""
        return from_prediction(self.path, self.prediction, Prediction(x, noise), t)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) of the probability-flow ODE in nats, ``(n,)``; see ``zoo_core.samplers.likelihood``.

        The trace is exact in up to four dimensions; in more it is estimated with one Rademacher probe per sample.
        """
        from zoo_core.samplers.likelihood import ode_log_prob

        return ode_log_prob(self, x, condition=condition, streams=streams).log_prob

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adapts the state of a start; weights of Fourier features that the start does not have are 0."""
        begun = dict(super().started_from(state))
        first = "network.stem.weight"
        if first in begun and (missing := self.state_dict()[first].shape[1] - begun[first].shape[1]) > 0:
            begun[first] = F.pad(begun[first], (0, 0, 0, 0, 0, missing))
        return begun

    def _with_features(self, y: Tensor, sin: Tensor | float) -> Tensor:
        """Returns y and its Fourier features at sin θ, concatenated along the channels."""
        shown = [y]
        for k in self.fourier:
            omega = math.pi * 2.0**k
            damping = torch.exp(-0.5 * (omega * torch.as_tensor(sin, dtype=y.dtype, device=y.device)).square())
            shown += [damping * torch.sin(omega * y), damping * torch.cos(omega * y)]
        return torch.cat(shown, 1) if self.fourier else y

    def _angle(self, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float, Tensor | float, Tensor]:
        """Returns r, cos θ, sin θ, which broadcast against ``like``, and the network's time 1000·(2/π)·θ, ``(n,)``."""
        alpha, sigma = self.path.coefficients(t, like=like)
        if isinstance(alpha, Tensor):
            sigma = torch.as_tensor(sigma, dtype=like.dtype, device=like.device)
            r = torch.hypot(alpha, sigma)
            return r, alpha / r, sigma / r, (2000.0 / math.pi) * torch.atan2(sigma, alpha).flatten()
        assert not isinstance(sigma, Tensor)
        length = math.hypot(alpha, sigma)
        clock = (2000.0 / math.pi) * math.atan2(sigma, alpha)
        return length, alpha / length, sigma / length, torch.full((1,), clock, device=like.device)


def _times(t: float | Tensor, like: Tensor) -> Tensor:
    """Returns times as ``(n,)``, or ``(1,)`` for all samples."""
    return t.to(like.device) if isinstance(t, Tensor) else torch.full((1,), t, device=like.device)
