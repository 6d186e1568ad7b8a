r"""Samplers on a Gaussian path: each method is a plan of coefficients (Python floats), which one loop executes.

Every update from time t to s < t is linear in what is known, the state x_t, the data prediction x̂ and fresh noise z:

    x_s = a·x̂ + b·x_t + c·z.

A method with stages evaluates the network again within the step, at states that are linear in x_t and the predictions
of earlier stages; a multistep method uses predictions of earlier steps; a corrector corrects the state at which x̂ was
predicted.  These are coefficients too, and all of them are computed before the first step.

Since ε̂ = (x_t − α_t·x̂)/σ_t, the step d·x̂ + e·ε̂ + c·z has a = d − e·α_t/σ_t and b = e/σ_t, and clipping x̂ changes ε̂
consistently.  The step to σ_s = 0 returns x̂ itself, so that no division by zero occurs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, Condition, Denoiser, Frame, Prediction, Sampler, Streams
from zoo_core.paths import GaussianPath, Spacing

__all__ = ["Correction", "PathSampler", "Stage", "Step", "guided", "head_misfit"]


@dataclass(frozen=True)
class Stage:
    """A further evaluation at time t, at state·x_t + Σ data_j·x̂_j over the earlier predictions of this step.

    Attributes:
        weight: weight of its prediction in x_s.
    """

    t: float
    state: float
    data: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Correction:
    """x_t = state·x_before + data·x̂ + Σ past_j·x̂_j, from the state before the last step and x̂ at the predicted x_t."""

    state: float
    data: float
    past: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """One step x_s = data·x̂ + state·x_t + fresh·z, where x̂ is predicted at time ``t``.

    Attributes:
        past: weights of the data predictions of earlier steps, the latest first.
        stages: further evaluations of the network within the step.
        correction: correction of the state at t, given x̂ at t.

    For a learned variance c² is interpolated between ``fresh``² (ν = 0) and ``fresh_large``² (ν = 1), on a log scale.
    """

    t: float
    data: float
    state: float
    fresh: float = 0.0
    fresh_large: float | None = None
    past: tuple[float, ...] = ()
    stages: tuple[Stage, ...] = ()
    correction: Correction | None = None

    @classmethod
    def of(
        cls,
        path: GaussianPath,
        t: float,
        data: float,
        noise: float,
        fresh: float = 0.0,
        fresh_large: float | None = None,
    ) -> Step:
        """Returns the step d·x̂ + e·ε̂ + c·z, with ε̂ written in x̂ and x_t."""
        alpha, sigma = path.alpha(t), path.sigma(t)
        return cls(t, data - noise * alpha / sigma, noise / sigma, fresh, fresh_large)


class PathSampler(Sampler[Denoiser]):
    """A sampler that follows a plan of steps along the path.

    Args:
        steps: number of solver steps, at least 1; :meth:`evaluations` counts their network evaluations.
        spacing: time grid, see :meth:`~zoo_core.paths.GaussianPath.times`.
        clip: whether x̂ is clamped to the range of the sample space; unless given, whether the space is bounded.

    Attributes:
        stochastic: whether the sampler adds fresh noise with these options.
        needs_signal_at_start: whether the sampler cannot begin in pure noise, where α = 0.
    """

    needs = (Denoiser,)
    takes_noise = True
    guides = True
    needs_signal_at_start: bool = False

    def __init__(self, steps: int = 50, spacing: Spacing = "trailing", clip: bool | None = None) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise IncompatibleError(f"steps = {steps}; a sampler takes a whole number of steps, at least 1")
        self.steps, self.spacing, self.clip = steps, spacing, clip
        self.stochastic = self.adds_noise

    @abstractmethod
    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        """Returns the steps through ``times``, which fall from noise to 0."""

    def times(self, model: Denoiser) -> list[float]:
        """Returns the time grid, from noise down to 0."""
        return model.path.times(self.steps, self.spacing)

    def fits(self, model: Denoiser) -> str | None:
        if self.clip and model.space.low is None:
            return "cannot clip: this sample space has no bounds; leave clip out"
        if self.stochastic and not model.path.independent:
            return "adds noise, and this path couples noise and data; use a sampler that adds none, such as ddim"
        path, first = model.path, model.path.times(1, self.spacing)[0]
        if path.alpha(first) > 0.0 or self.spacing == "leading":
            return None
        if self.needs_signal_at_start:
            return f"cannot begin at t = {first:g}, where α = 0 on this path; use spacing = 'log-snr' or 'karras'"
        return head_misfit(model, first)

    def start(self, model: Denoiser, streams: Streams, t: float, shape: Sequence[int]) -> Tensor:
        """Draws the state at time t where the path is pure noise: σ(t)·ε."""
        return model.path.sigma(t) * streams.normal(*shape)

    def draw(self, model: Denoiser, call: Call) -> Tensor:
        times = self.times(model)
        streams, shape = call.streams, model.space.sizes
        x = self.start(model, streams, times[0], shape) if call.noise is None else call.noise
        low, high = model.space.low, model.space.high
        clip = low is not None if self.clip is None else self.clip
        plan = self.plan(model, times)
        remembered = max(len(step.past) for step in plan)
        past: list[Tensor] = []
        before = x
        for i, step in enumerate(plan):
            prediction = guided(model, x, step.t, call.condition, call.guidance)
            data = prediction.data.clamp(low, high) if clip else prediction.data
            if step.correction is not None:
                x = step.correction.state * before + step.correction.data * data
                x = _add(x, step.correction.past, past)
            before, seen = x, [data]
            for stage in step.stages:
                asked_at = _add(stage.state * before, stage.data, seen)
                again = guided(model, asked_at, stage.t, call.condition, call.guidance).data
                seen.append(again.clamp(low, high) if clip else again)
            x = step.data * data + step.state * before
            x = _add(x, [stage.weight for stage in step.stages], seen[1:])
            x = _add(x, step.past, past)
            if remembered:
                past = [data, *past][:remembered]
            if step.fresh:
                x = x + _spread(step, prediction) * streams.normal(*shape)
            if call.observer is not None:
                call.observer(Frame(i + 1, len(plan), x, data))
        return x


def head_misfit(model: Denoiser, t: float) -> str | None:
    """Says why x̂ cannot be computed at t: the prediction is noise or score, and α(t) = 0; ``None`` where it can."""
    if model.path.alpha(t) == 0.0 and model.prediction in ("noise", "score"):
        return (
            f"cannot begin: a {model.prediction} prediction says nothing of the data at t = {t:g}, where α = 0; "
            "use a model whose path has a smaller t_max, or spacing = 'log-snr' or 'karras'"
        )
    return None


def guided(model: Denoiser, x: Tensor, t: float | Tensor, condition: Condition | None, guidance: float) -> Prediction:
    """Predicts with classifier-free guidance (Ho & Salimans 2022): x̂ = u + s·(c − u); s = 1 is no guidance."""
    if condition is None or guidance == 1.0:
        return model.predict(x, t, condition=condition)
    without, with_it = model.predict(x, t), model.predict(x, t, condition=condition)
    return Prediction(
        without.data + guidance * (with_it.data - without.data),
        without.noise + guidance * (with_it.noise - without.noise),
        with_it.variance_mix,
    )


def _add(x: Tensor, weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """Returns x + Σ w_j·tensor_j over the given weights."""
    for weight, tensor in zip(weights, tensors, strict=False):
        if weight:
            x = x + weight * tensor
    return x


def _spread(step: Step, prediction: Prediction) -> float | Tensor:
    """Returns the standard deviation of the fresh noise."""
    if step.fresh_large is None or prediction.variance_mix is None:
        return step.fresh
    ratio = step.fresh_large / step.fresh
    return step.fresh * ratio**prediction.variance_mix
