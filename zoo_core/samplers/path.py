r"""Samplers on a Gaussian path: a plan of Python floats, and one loop.

Every update from time t to s < t is linear in what is known, the state x_t, the data prediction x̂ and fresh noise z:

    x_s = a·x̂ + b·x_t + c·z.

A method with stages asks the network again on the way, each time at a state that is linear in x_t and the predictions
of the stages before; a multistep method remembers predictions of earlier steps; a corrector sees x̂ and amends the state
that it was asked at.  All of that is coefficients too, made before the first step.

With the share of the noise that is kept ε̂ = (x_t − α_t·x̂)/σ_t, a step that asks for d·x̂ + e·ε̂ + c·z has
a = d − e·α_t/σ_t and b = e/σ_t.  The step to σ_s = 0 returns x̂ itself: nothing is ever divided by zero, and clipping x̂
changes ε̂ with it.
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
    """The network is asked at t, at state·x_t + Σ data_j·x̂_j over the predictions of this step so far.

    Attributes:
        weight: of its prediction in the sum that is x_s.
    """

    t: float
    state: float
    data: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Correction:
    """x_t = state·x_before + data·x̂ + Σ past_j·x̂_j: from the state one step before, and x̂ at the predicted x_t."""

    state: float
    data: float
    past: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """x_s = data·x̂ + state·x_t + fresh·z, where the network is asked at time ``t``.

    Attributes:
        past: of the data predictions of the steps before, the latest first.
        stages: where else the network is asked on the way.
        correction: what the state becomes on arrival at t, once x̂ is known there.

    For a learned variance c² lies between ``fresh``² (ν = 0) and ``fresh_large``² (ν = 1), on a log scale.
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
        """The step d·x̂ + e·ε̂ + c·z, with ε̂ written in x̂ and x_t."""
        alpha, sigma = path.alpha(t), path.sigma(t)
        return cls(t, data - noise * alpha / sigma, noise / sigma, fresh, fresh_large)


class PathSampler(Sampler[Denoiser]):
    """Draws by a plan of steps along the path.

    Args:
        steps: number of solver steps; :meth:`evaluations` says what they cost.
        spacing: time grid, see :meth:`~zoo_core.paths.GaussianPath.times`.
        clip: whether x̂ is held in the range of the sample space; where the space is bounded, unless said otherwise.

    Attributes:
        stochastic: whether it adds fresh noise with these options.
        needs_signal_at_start: whether it cannot begin where α = 0, in pure noise.
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
        """The steps through ``times``, which fall from noise to 0."""

    def times(self, model: Denoiser) -> list[float]:
        """The time grid, from noise down to 0."""
        return model.path.times(self.steps, self.spacing)

    def fits(self, model: Denoiser) -> str | None:
        if self.clip and model.space.low is None:
            return "cannot clip: this sample space has no bounds; leave clip out"
        if self.stochastic and not model.path.independent:
            return "adds noise, and this path couples noise and data; use one without, such as ddim"
        path, first = model.path, model.path.times(1, self.spacing)[0]
        if path.alpha(first) > 0.0 or self.spacing == "leading":
            return None
        if self.needs_signal_at_start:
            return f"has no beginning on this path: α = 0 at t = {first:g}; use spacing = 'log-snr' or 'karras'"
        return head_misfit(model, first)

    def start(self, model: Denoiser, streams: Streams, t: float, shape: Sequence[int]) -> Tensor:
        """Pure noise at the head of the path: σ(t)·ε."""
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
    """Says why a model's prediction tells nothing of the data at t: it is noise or score, and α(t) = 0."""
    if model.path.alpha(t) == 0.0 and model.prediction in ("noise", "score"):
        return (
            f"cannot begin: a {model.prediction} prediction says nothing of the data at t = {t:g}, where α = 0; "
            "expected a path that ends before (t_max), or spacing = 'log-snr' or 'karras'"
        )
    return None


def guided(model: Denoiser, x: Tensor, t: float | Tensor, condition: Condition | None, guidance: float) -> Prediction:
    """Classifier-free guidance (Ho & Salimans 2022) in predictions: x̂ = u + s·(c − u), s = 1 being no guidance."""
    if condition is None or guidance == 1.0:
        return model.predict(x, t, condition=condition)
    without, with_it = model.predict(x, t), model.predict(x, t, condition=condition)
    return Prediction(
        without.data + guidance * (with_it.data - without.data),
        without.noise + guidance * (with_it.noise - without.noise),
        with_it.variance_mix,
    )


def _add(x: Tensor, weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """x + Σ w_j·tensor_j, over as many as there are weights."""
    for weight, tensor in zip(weights, tensors, strict=False):
        if weight:
            x = x + weight * tensor
    return x


def _spread(step: Step, prediction: Prediction) -> float | Tensor:
    """The standard deviation of the fresh noise."""
    if step.fresh_large is None or prediction.variance_mix is None:
        return step.fresh
    ratio = step.fresh_large / step.fresh
    return step.fresh * ratio**prediction.variance_mix
