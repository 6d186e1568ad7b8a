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
from zoo_core.interfaces import Condition, Denoiser, Frame, Model, Observer, Prediction, Sampler, Streams
from zoo_core.paths import GaussianPath, Spacing

__all__ = ["Correction", "PathSampler", "Stage", "Step", "check_head", "guided"]


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


class PathSampler(Sampler):
    """A sampler that is a plan.

    Args:
        steps: how many network evaluations.
        spacing: the time grid, see :meth:`~zoo_core.paths.GaussianPath.times`.
        clip: whether x̂ is held in the range of the sample space; where the space is bounded, unless said otherwise.
    """

    stochastic: bool = False
    needs_data: bool = False
    """Whether it cannot begin where α = 0, in pure noise."""

    def __init__(self, steps: int = 50, spacing: Spacing = "trailing", clip: bool | None = None) -> None:
        if steps < 1:
            raise IncompatibleError(f"steps = {steps}; a sampler takes at least 1")
        self.steps, self.spacing, self.clip = steps, spacing, clip

    @abstractmethod
    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        """The steps through ``times``, which fall from noise to 0."""

    def times(self, model: Denoiser) -> list[float]:
        """The time grid, from noise down to 0."""
        return model.path.times(self.steps, self.spacing)

    def steps_within(self, evaluations: int) -> int:
        """How many steps so many network evaluations are enough for; 0 where not for one."""
        return evaluations

    def check(self, model: Model) -> None:
        name = type(self).__name__.lower()
        if not isinstance(model, Denoiser):
            raise IncompatibleError(f"sampler {name!r} needs Denoiser, which {type(model).__name__} is not")
        if self.clip and model.space.low is None:
            raise IncompatibleError("clip = true; this sample space has no bounds to clip to")
        if self.stochastic and not model.path.independent:
            raise IncompatibleError(
                f"sampler {name!r} adds noise, and this path couples noise and data; use one without, such as ddim"
            )
        path, first = model.path, model.path.times(1, self.spacing)[0]
        if path.alpha(first) > 0.0 or self.spacing == "leading":
            return
        if self.needs_data:
            raise IncompatibleError(
                f"sampler {name!r} has no beginning on this path: α = 0 at t = {first:g}; use spacing = 'log-snr' or "
                "'karras'"
            )
        check_head(model, first)

    def start(self, model: Denoiser, streams: Streams, t: float, shape: Sequence[int]) -> Tensor:
        """Pure noise at the head of the path: σ(t)·ε."""
        return model.path.sigma(t) * streams.normal(*shape)

    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """As :meth:`Sampler.sample`; ``noise`` is the x_T to begin with instead of a drawn one."""
        self.check(model)
        assert isinstance(model, Denoiser)
        times = self.times(model)
        shape = model.space.sizes
        x = self.start(model, streams, times[0], shape) if noise is None else noise
        low, high = model.space.low, model.space.high
        clip = low is not None if self.clip is None else self.clip
        plan = self.plan(model, times)
        remembered = max(len(step.past) for step in plan)
        past: list[Tensor] = []
        before = x
        for i, step in enumerate(plan):
            prediction = guided(model, x, step.t, condition, guidance)
            data = prediction.data.clamp(low, high) if clip else prediction.data
            if step.correction is not None:
                x = step.correction.state * before + step.correction.data * data
                x = _add(x, step.correction.past, past)
            before, seen = x, [data]
            for stage in step.stages:
                asked_at = _add(stage.state * before, stage.data, seen)
                again = guided(model, asked_at, stage.t, condition, guidance).data
                seen.append(again.clamp(low, high) if clip else again)
            x = step.data * data + step.state * before
            x = _add(x, [stage.weight for stage in step.stages], seen[1:])
            x = _add(x, step.past, past)
            if remembered:
                past = [data, *past][:remembered]
            if step.fresh:
                x = x + _spread(step, prediction) * streams.normal(*shape)
            if observer is not None:
                observer(Frame(i + 1, len(plan), x, data))
        return x


def check_head(model: Denoiser, t: float) -> None:
    """Refuses a model whose prediction says nothing of the data at t.

    Raises:
        IncompatibleError: it predicts noise or score, and α(t) = 0.
    """
    if model.path.alpha(t) == 0.0 and model.prediction in ("noise", "score"):
        raise IncompatibleError(
            f"a {model.prediction} prediction says nothing of the data at t = {t:g}, where α = 0; expected a path that "
            "ends before (t_max), or spacing = 'log-snr' or 'karras'"
        )


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
