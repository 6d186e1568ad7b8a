r"""Image to image: SDEdit (Meng et al. 2022, algorithm 1), with any sampler.

Noise is added to given data up to the time t_0 = strength·t_max, and a sampler that begins there removes it,

    x_{t_0} = α(t_0)·x + σ(t_0)·z.

The sampler sees a shortened path α′(t) = α(t_0·t) and σ′(t) = σ(t_0·t), which does not end in pure noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, Condition, Denoiser, Model, Prediction, Sampler, Values
from zoo_core.paths import DiscretePath, GaussianPath
from zoo_core.sampling import make_sampler
from zoo_guidance.given_images import given, given_misfit, rows_for
from zoo_guidance.inner import inner_evaluations, inner_misfit

__all__ = ["SDEdit", "ShortenedModel", "ShortenedPath"]


class ShortenedPath(GaussianPath):
    """The first part of a path, up to the time ``end``, which is rescaled to t = 1."""

    def __init__(self, path: GaussianPath, end: float) -> None:
        self.path, self.end = path, end
        self.independent, self.t_min = path.independent, path.t_min / end

    def alpha(self, t: float) -> float:
        return self.path.alpha(t * self.end)

    def sigma(self, t: float) -> float:
        return self.path.sigma(t * self.end)

    def alpha_dot(self, t: float) -> float:
        return self.end * self.path.alpha_dot(t * self.end)

    def sigma_dot(self, t: float) -> float:
        return self.end * self.path.sigma_dot(t * self.end)

    def time_of_log_snr(self, log_snr: float) -> float:
        return min(self.path.time_of_log_snr(log_snr) / self.end, 1.0)


class ShortenedModel(Model, Denoiser):
    """A model on the first part of its path.

    Args:
        model: model on a path.
        strength: share of the path, in (0, 1]; for a discrete path rounded to whole table entries, at least one.
    """

    def __init__(self, model: Model, strength: float) -> None:
        super().__init__()
        assert isinstance(model, Denoiser)
        self.model, path = model, model.path
        if isinstance(path, DiscretePath):
            count = max(round(strength * path.steps), 1)
            self.end = count / path.steps
            self.path: GaussianPath = DiscretePath([path.alpha_bar(path.time(k)) for k in range(count)])
        else:
            self.end = strength * path.t_max
            self.path = ShortenedPath(path, self.end)
        self.space, self.conditions = model.space, model.conditions
        self.prediction, self.variance = model.prediction, model.variance

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        said: Prediction = self.model.predict(x_t, t * self.end, condition=condition)
        return said


class SDEdit(Sampler[Denoiser]):
    """SDEdit: samples that are similar to given data.

    Args:
        image: given data, see :func:`zoo_guidance.given_images.given`; without it, sampling begins with noise.
        strength: share of the path in (0, 1]; a smaller share keeps more of the data.
        sampler: registered name of the inner sampler.
        steps: number of steps of the inner sampler, if it has that option.
        options: other options of the inner sampler.
    """

    name = "sdedit"
    needs = (Denoiser,)
    adds_noise = True
    guides = True

    def __init__(
        self,
        image: str | None = None,
        strength: float = 0.5,
        sampler: str = "ddim",
        steps: int | None = 50,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0.0 < strength <= 1.0:
            raise IncompatibleError(f"strength = {strength}; expected a number in (0, 1]")
        self.image, self.strength, self.sampler, self.steps = image, strength, sampler, steps
        self.takes_data = image is not None
        self.options = {**({} if steps is None else {"steps": steps}), **(options or {})}

    def fits(self, model: Denoiser) -> str | None:
        assert isinstance(model, Model)
        if not model.path.independent:
            return "adds noise, and this path couples noise and data"
        if (reason := inner_misfit(model, self.sampler, self.options, takes_noise=True)) is not None:
            return reason
        return None if self.image is None else given_misfit(self.image, model)

    def draw(self, model: Denoiser, call: Call) -> Values:
        assert isinstance(model, Model)
        if self.image is None:
            return make_sampler(model, self.sampler, **self.options).draw(model, call)
        return self.edit(model, rows_for(given(self.image, model), call.streams), call)

    def edit(self, model: Model, x: Tensor, call: Call) -> Values:
        """Draws as :meth:`draw` does, from a tensor ``(n, *shape)`` on the model's side."""
        part = ShortenedModel(model, self.strength)
        options = self.options
        if isinstance(part.path, DiscretePath) and options.get("steps", 0) > part.path.steps:
            options = {**options, "steps": part.path.steps}
        head = part.path.diffuse(x, call.streams.normal(*x.shape[1:]), 1.0)
        return make_sampler(part, self.sampler, **options).draw(part, replace(call, noise=head))

    def evaluations(self, steps: int) -> int:
        return inner_evaluations(self.sampler, steps)
