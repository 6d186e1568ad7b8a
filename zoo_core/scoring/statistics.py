r"""Statistics that say how unusual an example is: a number each, the greater the more unusual.

**Surprise**, −log p(x), for points, tables, sequences, tokens and audio.

**Profile**, for images, whose likelihood misleads: a density model of clothes gives digits a *greater* likelihood than
clothes (Nalisnick et al., arXiv:1810.09136), because it measures above all how simple an image is.  A profile φ(x) has
the size of the compressed image, which says how simple it is (Serrà et al., arXiv:1909.11480), and what the model says
of it: −log p(x), or the errors of a denoiser at several noise levels (as Mahmood et al., arXiv:2010.13132, use scores),

    φ(x) = (log bytes(x), −log p(x))        or        (log bytes(x), log ‖x̂(α_1 x + σ_1 z) − x‖², …),

and the statistic is the distance of φ(x) from the profiles of training images in both directions (Mahalanobis),

    s(x) = (φ(x) − m)ᵀ C⁻¹ (φ(x) − m),        m, C the mean and the covariance of φ over training images.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError, UnknownNameError
from zoo_core.interfaces import Batch, Denoiser, Density, Model, Scorer, Streams, Values, can

__all__ = ["STATISTICS", "Seen", "Statistic", "statistic_for"]

NOISE = (0.1, 0.4, 0.9, 1.6)
"""Noise levels σ/α of the denoising errors, in units of half the range of an image."""


@dataclass(frozen=True)
class Seen:
    """Examples as a statistic sees them.

    Attributes:
        batch: examples on the model's side.
        stored: examples as their data set stores them, with grey levels where it has ``levels``.
        levels: number of grey levels; ``None`` for continuous values.
        streams: random streams, one per example.
    """

    batch: Batch[Any]
    stored: Values
    levels: int | None
    streams: Streams


class Statistic(ABC):
    """A number that says how unusual an example is under a model.

    Attributes:
        name: name that users type.
        note: description that continues the sentence "scored by …".
        learns: whether it is compared with training data, by :meth:`learn`.
    """

    name: ClassVar[str]
    note: str
    learns: ClassVar[bool] = False

    def __init__(self, model: Model) -> None:
        self.model = model

    @staticmethod
    @abstractmethod
    def misfit(model: Model) -> str | None:
        """Says why it cannot score examples of a model; ``None`` if it can."""

    @abstractmethod
    def of(self, seen: Seen) -> Tensor:
        """Computes the statistic, ``(n,)`` in float64, or what :meth:`learn` takes before it was called."""

    def learn(self, training: Tensor) -> None:
        """Learns what is usual from the values of :meth:`of` of training data; called once."""
        return

    def compare(self, values: Tensor) -> Tensor:
        """Turns values of :meth:`of` into the statistic, after :meth:`learn`."""
        return values


class Own(Statistic):
    """A statistic of the family's own."""

    name = "own"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.note = cast(Scorer[Any], model).score_is

    @staticmethod
    def misfit(model: Model) -> str | None:
        return None if can(model, Scorer) else f"{type(model).__name__} has no statistic of its own"

    def of(self, seen: Seen) -> Tensor:
        batch = seen.batch
        found = cast(Any, self.model).score(batch.x, condition=batch.condition, streams=seen.streams)
        return cast(Tensor, found).double().cpu()


class Surprise(Statistic):
    """The negative log-likelihood, in nats."""

    name = "surprise"
    note = "−log p(x), in nats"

    @staticmethod
    def misfit(model: Model) -> str | None:
        return None if can(model, Density) else f"{type(model).__name__} has no density"

    def of(self, seen: Seen) -> Tensor:
        return _nll(self.model, seen)


class Profile(Statistic):
    """The distance of an image's size and likelihood, or denoising errors, from those of training images."""

    name = "profile"
    learns = True

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        what = "its denoising errors" if self._denoises else "−log p(x)"
        self.note = (
            f"the distance of {what} and its compressed size from those of training images, because the likelihood of "
            "an image says above all how simple it is (arXiv:1810.09136)"
        )

    @staticmethod
    def misfit(model: Model) -> str | None:
        if model.space.kind != "image":
            return f"profiles are of images, not of {model.space.words()}"
        if not (can(model, Denoiser) or can(model, Density)):
            return f"{type(model).__name__} has no density and is no denoiser"
        return None

    @property
    def _denoises(self) -> bool:
        return can(self.model, Denoiser)

    def of(self, seen: Seen) -> Tensor:
        pixels = seen.stored
        assert isinstance(pixels, Tensor)
        if seen.levels is None:
            pixels = (self.model.space.to_user(pixels) * 255).round().clamp(0, 255).to(torch.uint8)
        size = torch.tensor([_compressed(image) for image in pixels.cpu().to(torch.uint8).numpy()], dtype=torch.float64)
        told = self._errors(seen) if self._denoises else _nll(self.model, seen)[:, None]
        return torch.cat([size.log()[:, None], told], dim=1)

    def _errors(self, seen: Seen) -> Tensor:
        """Computes log ‖x̂ − x‖² at each noise level, ``(n, levels)``."""
        model, x = cast(Any, self.model), seen.batch.x
        path, columns = model.path, []
        for ratio in NOISE:
            t = min(max(path.time_of_log_snr(-2.0 * math.log(ratio)), path.t_min), path.t_max)
            x_t = path.diffuse(x, seen.streams.normal(*x.shape[1:]), t)
            data = model.predict(x_t, t, condition=seen.batch.condition).data
            columns.append((data - x).double().flatten(1).square().sum(1).clamp_min(1e-12).log())
        return torch.stack(columns, 1).cpu()

    def learn(self, training: Tensor) -> None:
        self.mean = training.mean(0)
        covariance = training.T.cov()
        ridge = 1e-3 * covariance.diagonal().clamp_min(1e-12)
        self.precision = torch.linalg.inv(covariance + torch.diag(ridge))

    def compare(self, values: Tensor) -> Tensor:
        distance = values - self.mean
        return (distance @ self.precision * distance).sum(1)


STATISTICS: dict[str, type[Statistic]] = {kind.name: kind for kind in (Own, Profile, Surprise)}
"""Statistics by name; the first that fits a model is its default."""


def statistic_for(model: Model, name: str | None = None) -> Statistic:
    """Makes a statistic by name, or the default one of a model: its own, a profile of images, or else the surprise.

    Raises:
        UnknownNameError: there is no such statistic.
        IncompatibleError: it does not fit the model, or none does.
    """
    if name is not None and name not in STATISTICS:
        raise UnknownNameError("statistic", name, [], f"the statistics are {', '.join(STATISTICS)}")
    reasons = []
    for kind in [STATISTICS[name]] if name is not None else STATISTICS.values():
        if (reason := kind.misfit(model)) is None:
            return kind(model)
        reasons.append(reason)
    raise IncompatibleError(f"cannot score: {'; '.join(reasons)}")


def _nll(model: Model, seen: Seen) -> Tensor:
    assert isinstance(model, Density)
    found: Tensor = model.log_prob(seen.batch.x, condition=seen.batch.condition, streams=seen.streams)
    return -found.double().cpu()


def _compressed(image: Any) -> int:
    """Returns the bytes of an image compressed without loss, as it is or as differences of neighbours."""
    rows: Sequence[Any] = (image, np.diff(image, axis=-1, prepend=0), np.diff(image, axis=-2, prepend=0))
    return min(len(zlib.compress(np.ascontiguousarray(each).tobytes(), 9)) for each in rows)
