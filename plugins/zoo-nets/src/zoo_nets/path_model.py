r"""A network on a continuous Gaussian path: what score SDEs, flow matching and consistency models have in common.

The state is x_t = α(t)·x + σ(t)·ε.  What the network is shown and asked is its *preconditioning*:

* ``angular`` (Lu & Song 2025, "TrigFlow", eqs. 3–5 with unit scale).  With r = √(α² + σ²), θ = atan2(σ, α) and
  y = x_t/r = cos θ·x + sin θ·ε the network F answers the angular velocity,

      F(y, 1000·(2/π)·θ) ≈ dy/dθ = cos θ·ε − sin θ·x,      x̂ = cos θ·y − sin θ·F,      ε̂ = sin θ·y + cos θ·F.

  Both predictions are right at either end (θ = 0: x̂ = y; θ = π/2: ε̂ = y), and the path enters through θ alone: weights
  that were trained on one path are a good start on every other.
* ``none``.  The network is shown x_t and 1000·t, and answers in the model's currency.

Either way the model *predicts* (x̂, ε̂), and `answer` says the same in the model's currency (noise, data, v, velocity or
score), which is what objectives compare with its target.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from zoo_core.errors import ConditionError
from zoo_core.interfaces import Condition, ConditionSpec, Denoiser, Density, Model, Prediction, SampleSpace, Streams
from zoo_core.paths import GaussianPath, PredictionType, to_prediction
from zoo_nets.mlp import TimeMLP
from zoo_nets.unet import UNet

__all__ = ["PathModel", "Preconditioning", "in_currency", "make_network"]

Preconditioning = Literal["angular", "none"]


class PathModel(Model, Denoiser, Density):
    """The base of the families on continuous paths; a family's constructor chooses the path and passes on the rest.

    Args:
        path: x_t = α(t)·x + σ(t)·ε.
        shape: one sample: ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; channels and classes are filled in.
        prediction: the currency of :meth:`answer`: ``noise``, ``data``, ``v``, ``velocity`` or ``score``.
        classes: labels 0 … classes − 1 of the condition ``label``; ``None`` for an unconditional model.
        preconditioning: ``angular`` or ``none``.

    Raises:
        ValueError: an argument outside its set.
    """

    log_prob_is = "estimate"
    by_ode = True
    network: nn.Module

    def __init__(
        self,
        path: GaussianPath,
        shape: list[int],
        network: Mapping[str, Any],
        prediction: PredictionType,
        classes: int | None = None,
        preconditioning: Preconditioning = "angular",
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("prediction", prediction, get_args(PredictionType)),
            ("preconditioning", preconditioning, get_args(Preconditioning)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}; expected one of {', '.join(allowed)}")
        self.space = (
            SampleSpace("image", tuple(shape), low=-1.0, high=1.0)
            if len(shape) == 3
            else SampleSpace("points", tuple(shape))
        )
        self.path = path
        self.prediction = prediction
        self.preconditioning: Preconditioning = preconditioning
        self.classes = classes
        if classes is not None:
            self.conditions = {"label": ConditionSpec((), classes)}
        self.network = make_network(network, shape[0], shape[0], classes)

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        if self.preconditioning == "none":
            return to_prediction(self.path, self.prediction, x_t, t, self._raw(x_t, 1000.0 * _times(t, x_t), condition))
        r, cos, sin, code = self._angle(t, x_t)
        y = x_t / r
        output = self._raw(y, code, condition)
        return Prediction(data=cos * y - sin * output, noise=sin * y + cos * output)

    def answer(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Tensor:
        """What the model says in its own currency, the shape of ``x_t``; as :meth:`target` would have it."""
        if self.preconditioning == "none":
            return self._raw(x_t, 1000.0 * _times(t, x_t), condition)
        return in_currency(self.path, self.prediction, self.predict(x_t, t, condition=condition), t)

    def target(self, x: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
        """What :meth:`answer` should be for the x_t of this data and this noise: its mean over both is the optimum."""
        return in_currency(self.path, self.prediction, Prediction(x, noise), t)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """The log-density of the probability-flow ODE, in nats, ``(n,)``: see ``zoo_core.samplers.likelihood``.

        The trace is exact in up to four dimensions and estimated with one Rademacher probe per sample in more.  Points
        are carried in float64: where the field is steep, the step control would magnify how float32 is rounded, which
        depends on the size of the batch.
        """
        from zoo_core.samplers.likelihood import ode_log_prob

        if self.space.kind != "points" or self.dtype == torch.float64:
            return ode_log_prob(self, x, condition=condition, streams=streams).log_prob
        with torch.inference_mode(False):  # its parameters take part in gradients
            exact = copy.deepcopy(self).double()
        return ode_log_prob(exact, x.double(), condition=condition, streams=streams).log_prob.to(x.dtype)

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """As in :class:`~zoo_core.interfaces.Model`; an unconditional start lacks the classes, which begin at zero."""
        mine = {k: v for k, v in self.state_dict().items() if ".class_embedding." in k}
        return {**mine, **state}

    def _angle(self, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float, Tensor | float, Tensor]:
        """r, cos θ, sin θ, ready to multiply ``like``, and the network's clock 1000·(2/π)·θ, ``(n,)`` or ``(1,)``."""
        alpha, sigma = self.path.coefficients(t, like=like)
        if isinstance(alpha, Tensor):
            sigma = torch.as_tensor(sigma, dtype=like.dtype, device=like.device)
            r = torch.hypot(alpha, sigma)
            return r, alpha / r, sigma / r, (2000.0 / math.pi) * torch.atan2(sigma, alpha).flatten()
        assert not isinstance(sigma, Tensor)
        length = math.hypot(alpha, sigma)
        clock = (2000.0 / math.pi) * math.atan2(sigma, alpha)
        return length, alpha / length, sigma / length, torch.full((1,), clock, device=like.device)

    def _raw(self, x: Tensor, clock: Tensor, condition: Condition | None) -> Tensor:
        """The network's own output, in the type of ``x``: a half-precision network has a state of full precision."""
        if condition is not None and "label" in condition and self.classes is None:
            raise ConditionError("this model has no condition 'label'; it is unconditional")
        label = (condition["label"],) if condition is not None and "label" in condition else ()
        return self.network(x.to(self.dtype), clock, *label).to(x.dtype)


def in_currency(path: GaussianPath, kind: PredictionType, prediction: Prediction, t: float | Tensor) -> Tensor:
    """A prediction (x̂, ε̂) in one of the currencies: the inverse of :func:`zoo_core.paths.to_prediction`.

    Args:
        path: whose α and σ.
        kind: the currency; a ``score`` needs σ(t) > 0.
        prediction: x̂ and ε̂, ``(n, …)``.
        t: one time, or one per sample ``(n,)``.
    """
    data, noise = prediction.data, prediction.noise
    if kind == "data":
        return data
    if kind == "noise":
        return noise
    if kind == "velocity":
        alpha_dot, sigma_dot = _rates(path, t, like=data)
        return alpha_dot * data + sigma_dot * noise
    alpha, sigma = path.coefficients(t, like=data)
    if kind == "score":
        return -noise / sigma
    return alpha * noise - sigma * data


def _rates(path: GaussianPath, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """α′(t) and σ′(t), ready to multiply ``like``."""
    if not isinstance(t, Tensor):
        return path.alpha_dot(t), path.sigma_dot(t)
    shape, times = (-1, *[1] * (like.ndim - 1)), t.tolist()
    return (
        torch.tensor([path.alpha_dot(u) for u in times], dtype=like.dtype, device=like.device).view(shape),
        torch.tensor([path.sigma_dot(u) for u in times], dtype=like.dtype, device=like.device).view(shape),
    )


def _times(t: float | Tensor, like: Tensor) -> Tensor:
    """Times as ``(n,)``, or ``(1,)`` where there is one for all."""
    return t.to(like.device) if isinstance(t, Tensor) else torch.full((1,), t, device=like.device)


def make_network(spec: Mapping[str, Any], channels: int, out_channels: int, classes: int | None = None) -> nn.Module:
    """The network of a configuration.

    Args:
        spec: ``kind`` (``unet`` or ``mlp``) and the arguments of that network.
        channels: of the data.
        out_channels: of the answer.
        classes: see :class:`zoo_nets.class_embedding.ClassEmbedding`.

    Raises:
        ValueError: an unknown kind.
    """
    kinds = {"unet": UNet, "mlp": TimeMLP}
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"network.kind = {kind!r}; expected one of {', '.join(kinds)}")
    made: nn.Module = kinds[kind](channels, out_channels, classes=classes, **options)
    return made
