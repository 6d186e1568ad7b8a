"""The interface of a sampler, and of a request for samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, cast

from torch import Tensor
from typing_extensions import TypeVar

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.capabilities import lacking
from zoo_core.interfaces.composition import Composition
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.model import Model
from zoo_core.interfaces.values import Values
from zoo_core.randomness import Streams

__all__ = ["Call", "Frame", "Observer", "Sampler"]

M = TypeVar("M", default=Any)
"""The type that a sampler draws from: the capability that it needs."""


@dataclass(frozen=True)
class Frame:
    """One moment of an iterative sampler, for films and progress bars.

    Attributes:
        step: number of the step, 1 … steps.
        steps: number of all steps.
        state: current state, ``(n, …)`` on the model's side.
        data: current prediction x̂ of the data; the state itself for samplers without predictions.
    """

    step: int
    steps: int
    state: Tensor
    data: Tensor


Observer = Callable[[Frame], None]


@dataclass(frozen=True)
class Call:
    """A request for samples.

    Attributes:
        streams: one random stream per sample, on the model's device and of its type.
        condition: condition of the samples, one row each.
        guidance: strength with which the condition is followed; 1 is the conditional model itself, 0 the unconditional
            one.
        observer: function that is called with a :class:`Frame` after every step.
        noise: initial state in place of a drawn one, ``(n, …)``, for samplers that ``takes_noise``.
    """

    streams: Streams
    condition: Condition | None = None
    guidance: float = 1.0
    observer: Observer | None = None
    noise: Tensor | None = None


class Sampler(ABC, Generic[M]):
    """Draws samples.  The constructor's keyword arguments are its options (``steps=50``); they are JSON values.

    Sample ``i`` must depend on its own stream only, never on the other samples of its batch.

    Attributes:
        name: registered name of the sampler.
        needs: capabilities that a model must have.
        adds_noise: whether it adds fresh noise with its default options, and so does not fit a model whose path couples
            noise and data.
        takes_noise: whether it can begin at :attr:`Call.noise`.
        guides: whether it applies :attr:`Call.guidance`.
        made_with: options that :func:`zoo_core.sampling.make_sampler` made it with, with default values for the others.
        takes_data: whether it begins with data, with these options, and so does not fit the codes of a composition.
        completes: whether it can complete samples that are known in part, by :meth:`complete`.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[type[Any], ...]] = ()
    adds_noise: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False
    guides: ClassVar[bool] = False
    made_with: Mapping[str, Any] = {}
    takes_data: bool = False
    completes: ClassVar[bool] = False

    def fits(self, model: M) -> str | None:
        """Says why this sampler, with its options, does not fit a model that has what it needs; ``None`` if it does.

        The reason continues the sentence "sampler 'NAME' …".
        """
        return None

    def check(self, model: Model) -> None:
        """Raises :class:`~zoo_core.errors.IncompatibleError`, with the reason, where this sampler does not fit."""
        reason = self.misfit(model)
        if reason is not None:
            raise IncompatibleError(f"sampler {self.name!r} {reason}")

    def misfit(self, model: Model) -> str | None:
        """Says why this sampler does not fit a model; ``None`` where it does.

        Where a :class:`~zoo_core.interfaces.Composition` lacks what this sampler needs, its inner model must fit.
        """
        if self._goes_inside(model):
            if self.takes_data:
                return "begins with data, which this model would have to encode first; it only decodes"
            return self.misfit(cast(Composition, model).inner)
        if (reason := lacking(model, self.needs)) is not None:
            return reason
        return self.fits(cast(M, model))  # the model has the capability M, which was checked above

    def conditions(self, model: Model) -> Mapping[str, ConditionSpec]:
        """Returns what samples can be conditioned on: the model's conditions, and those of a sampler's classifier."""
        return model.conditions

    def evaluations(self, steps: int) -> int:
        """Counts the network evaluations for one sample with ``steps`` steps, without those of guidance."""
        return steps

    def steps_within(self, evaluations: int) -> int:
        """Finds the greatest number of steps with at most ``evaluations`` evaluations; 0 if one step takes more."""
        steps = 0
        while steps < evaluations and self.evaluations(steps + 1) <= evaluations:
            steps += 1
        return steps

    @abstractmethod
    def draw(self, model: M, call: Call) -> Values:
        """Draws one sample per stream, ``(n, *model.space.shape)`` on the model's side, from a model that fits."""

    def complete(self, model: M, x: Values, known: Tensor, call: Call) -> Values:
        """Draws what is unknown of samples given what is known; for a sampler that ``completes``.

        Args:
            model: model that fits.
            x: samples on the model's side, ``(n, *space.shape)``; unknown values are not read.
            known: mask of the known values of each sample, bool of the shape of ``x``.
            call: request with a stream for each sample.

        Raises:
            IncompatibleError: the sampler completes no samples.
        """
        raise IncompatibleError(f"sampler {self.name!r} completes no samples")

    def sample(self, model: Model, streams: Streams, **call: Any) -> Any:
        """Checks that this sampler fits the model, and draws; the keyword arguments are those of :class:`Call`.

        Raises:
            IncompatibleError: the sampler does not fit the model.
        """
        self.check(model)
        return self.run(model, Call(streams, **call))

    def run(self, model: Model, call: Call) -> Values:
        """Draws as :meth:`draw` does, from a model that fits or from the inner model of a composition, and decodes."""
        if not self._goes_inside(model):
            return self.draw(cast(M, model), call)
        outer, seen = cast(Composition, model), call.observer
        if seen is not None:

            def decoding(frame: Frame) -> None:
                seen(replace(frame, state=outer.decoded(frame.state), data=outer.decoded(frame.data)))

            call = replace(call, observer=decoding)
        codes = self.run(outer.inner, call)
        assert isinstance(codes, Tensor)  # codes have a fixed shape
        return outer.decoded(codes)

    def _goes_inside(self, model: Model) -> bool:
        """Says whether this sampler draws from the inner model: the model is a composition and lacks the needs."""
        return isinstance(model, Composition) and lacking(model, self.needs) is not None
