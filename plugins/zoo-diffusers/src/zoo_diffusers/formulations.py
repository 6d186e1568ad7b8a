r"""What a scheduler of diffusers says of its network: the path, and how an output becomes (x̂, ε̂).

| scheduler     | path                | input, time             | prediction               |
|---------------|---------------------|-------------------------|--------------------------|
| of a table    | table ᾱ_k           | x_t, k                  | ε, x or v                |
| flow matching | α = 1 − t, σ = t    | x_t, T·t                | velocity ε − x           |
| score SDE VE  | α = 1, σ = σ(t)     | x_t, σ                  | score                    |
| EDM           | α = 1, σ = σ(t)     | x_t/√(σ² + s²), ¼·ln σ  | x̂ = c_skip·x_t + c_out·F |
| consistency   | α = 1, σ = σ(t)     | x_t/√(σ² + s²), 250·ln σ | x̂ = c_skip·x_t + c_out·F |

Schedulers of a table are DDPM, DDIM, PNDM, Euler, Heun, DPM-Solver, UniPC and others, and σ(t) = σ_min·(σ_max/σ_min)^t.
With s = σ_data, EDM (Karras et al. 2022, table 1) has c_skip = s²/(σ² + s²) and c_out = ±σs/√(σ² + s²), with the minus
for ``v_prediction``.  Consistency models (Song et al. 2023, eqs. 25 and 26) have c_skip = s²/((σ − σ_min)² + s²) and
c_out = (σ − σ_min)·s/√(σ² + s²).  Images are in [−1, 1], those of the score SDE in [0, 1].

Everything else of a scheduler, such as its time grid, belongs to samplers (:mod:`zoo_diffusers.default_sampler`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, cast

from torch import Tensor

from zoo_core.errors import WeightsError
from zoo_core.paths import (
    DiscretePath,
    GaussianPath,
    LinearPath,
    Prediction,
    PredictionType,
    VarianceExploding,
    to_prediction,
)
from zoo_diffusers.default_sampler import TABLED, sampler
from zoo_diffusers.schedules import alpha_bars

__all__ = ["Formulation", "formulation"]

Variance = Literal["fixed_small", "fixed_large", "learned"]

_PREDICTIONS: dict[str, PredictionType] = {"epsilon": "noise", "sample": "data", "v_prediction": "v"}
_VARIANCES = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned",
}


class Formulation(ABC):
    """The path of a network, its time, its input, and what its output means.

    Attributes:
        path: path that the network was trained on.
        prediction: prediction type of the result; ``data`` where the output is x̂ only after a combination with x_t.
        variance: variance of the reverse chain that the network was trained for.
        low: least value of an image inside the model.
    """

    path: GaussianPath
    prediction: PredictionType
    variance: Variance = "fixed_small"
    low: float = -1.0

    @abstractmethod
    def clock(self, t: float) -> float:
        """Returns the network's time at the time ``t`` of the path."""

    def shown(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Returns the network's input; x_t unless overridden."""
        return x_t

    def read(self, x_t: Tensor, t: float | Tensor, output: Tensor) -> Prediction:
        """Converts the network's output, without a variance, to (x̂, ε̂)."""
        return to_prediction(self.path, self.prediction, x_t, t, output)


class Tabled(Formulation):
    """A noise schedule that is a table, whose entries the network is told."""

    path: DiscretePath

    def __init__(self, config: Mapping[str, Any]) -> None:
        for key, value in (("interpolation_type", "linear"), ("timestep_type", "discrete")):
            if config.get(key, value) != value:
                raise WeightsError(
                    f"scheduler: {key} = {str(config[key])[:80]!r} has no counterpart here; {value!r} has"
                )
        name = config.get("prediction_type", "epsilon")
        if name not in _PREDICTIONS:
            raise WeightsError(f"scheduler: prediction_type = {name!r}; expected one of {', '.join(_PREDICTIONS)}")
        if config.get("rescale_betas_zero_snr"):
            raise WeightsError("scheduler: rescale_betas_zero_snr has no counterpart here: its last ᾱ is 0")
        kind = str(config["_class_name"])
        variance = config.get("variance_type", "fixed_small") if kind.startswith("DDPM") else "fixed_small"
        if variance not in _VARIANCES:
            raise WeightsError(f"scheduler: variance_type = {variance!r} has no counterpart here")
        self.prediction, self.variance = _PREDICTIONS[name], cast(Variance, _VARIANCES[variance])
        try:
            self.path = DiscretePath(alpha_bars(_DEFAULTS.get(kind, {}) | dict(config)))
        except ValueError as err:
            raise WeightsError(f"scheduler: {err}") from err

    def clock(self, t: float) -> float:
        return self.path.index(t)


_DEFAULTS: dict[str, dict[str, float]] = {
    name: {"beta_start": 0.00085, "beta_end": 0.012}
    for name in (
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverSDEScheduler",
    )
}
"""Ends of β where a configuration has none, of schedulers whose ends differ from those of DDPM."""


class Flow(Formulation):
    """Flow matching on the linear path, whose network is told T·t with T = ``num_train_timesteps``."""

    prediction = "velocity"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.path = LinearPath()
        self.scale = _positive(config, "num_train_timesteps", 1000)

    def clock(self, t: float) -> float:
        return self.scale * t


class _Exploding(Formulation):
    """A path of variance σ², from ``sigma_min`` to ``sigma_max``."""

    path: VarianceExploding

    def __init__(self, config: Mapping[str, Any], least: float, greatest: float) -> None:
        ends = config.get("sigma_min", least), config.get("sigma_max", greatest)
        try:
            self.path = VarianceExploding(*ends)
        except (TypeError, ValueError) as err:
            raise WeightsError(f"scheduler: {err}") from err


class Score(_Exploding):
    """A score SDE of exploding variance (Song et al. 2021), whose images are in [0, 1]."""

    prediction = "score"
    low = 0.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, 0.01, 1348.0)

    def clock(self, t: float) -> float:
        return self.path.sigma(t)


class Preconditioned(_Exploding):
    """EDM: the input is scaled to unit variance, and the output is combined with it."""

    prediction = "data"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, 0.002, 80.0)
        self.data_scale = _positive(config, "sigma_data", 0.5)
        self.sign = {"epsilon": 1.0, "v_prediction": -1.0}.get(str(config.get("prediction_type", "epsilon")), 0.0)
        if not self.sign:
            named = str(config["prediction_type"])[:80]
            raise WeightsError(f"scheduler: prediction_type = {named!r}; expected epsilon or v_prediction")

    def clock(self, t: float) -> float:
        return 0.25 * math.log(max(self.path.sigma(t), self.path.sigma_min))

    def shown(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        _, sigma = self.path.coefficients(t, like=x_t)
        return x_t / (sigma * sigma + self.data_scale**2) ** 0.5

    def read(self, x_t: Tensor, t: float | Tensor, output: Tensor) -> Prediction:
        _, sigma = self.path.coefficients(t, like=x_t)
        skip, out = self.scalings(sigma)
        data = skip * x_t + self.sign * out * output
        return Prediction(data, (x_t - data) / sigma)

    def scalings(self, sigma: Tensor | float) -> tuple[Tensor | float, Tensor | float]:
        """Returns c_skip and c_out at a noise level."""
        s = self.data_scale
        variance = sigma * sigma + s * s
        return s * s / variance, sigma * s / variance**0.5


class Consistency(Preconditioned):
    """A consistency function: as EDM, with scalings that make it the identity at σ_min."""

    def clock(self, t: float) -> float:
        return 1000.0 * super().clock(t)

    def scalings(self, sigma: Tensor | float) -> tuple[Tensor | float, Tensor | float]:
        s, past = self.data_scale, sigma - self.path.sigma_min
        return s * s / (past * past + s * s), past * s / (sigma * sigma + s * s) ** 0.5


_FORMULATIONS: dict[str, type[Flow | Score | Preconditioned]] = {
    "FlowMatchEulerDiscreteScheduler": Flow,
    "FlowMatchHeunDiscreteScheduler": Flow,
    "ScoreSdeVeScheduler": Score,
    "EDMEulerScheduler": Preconditioned,
    "EDMDPMSolverMultistepScheduler": Preconditioned,
    "CMStochasticIterativeScheduler": Consistency,
}


def formulation(scheduler: Mapping[str, Any]) -> Formulation:
    """Reads a scheduler's configuration.

    Args:
        scheduler: contents of ``scheduler_config.json``, with ``_class_name``; missing keys have diffusers' defaults.

    Raises:
        WeightsError: a setting has no counterpart here, or is invalid; the message names it.
    """
    kind = str(scheduler.get("_class_name"))
    if kind in TABLED:
        flows = scheduler.get("use_flow_sigmas") and scheduler.get("prediction_type") == "flow_prediction"
        return Flow(scheduler) if flows else Tabled(scheduler)
    if kind not in _FORMULATIONS:
        sampler(scheduler)  # raises the error that names those that are known
    return _FORMULATIONS[kind](scheduler)


def _positive(config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key, default)
    if type(value) not in (int, float) or not 0.0 < value < 1e6:
        raise WeightsError(f"scheduler: {key} = {str(value)[:80]}; expected a positive number")
    return float(value)
