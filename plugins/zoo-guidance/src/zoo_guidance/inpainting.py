r"""Inpainting by replacement and resampling: RePaint (Lugmayr et al. 2022, algorithm 1), on any path.

In the step from t to s the known part is the data with fresh noise, and the rest is a step of the reverse chain,

    x_s = m ⊙ (α_s·x_known + σ_s·z) + (1 − m) ⊙ (α_s·x̂ + √(σ_s² − c²)·ε̂ + c·z′),

c² being the variance of ancestral sampling, small or large.  Then noise is added to x_s to return to t,

    x_t = (α_t/α_s)·x_s + √(σ_t² − (α_t/α_s)²·σ_s²)·z″,

and the step is repeated, which makes the two parts consistent.  Each repetition is a step of a Markov chain at level t,
which converges to the conditional distribution with small steps and many repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.filling.masks import mask_of
from zoo_core.interfaces import Call, Denoiser, Frame, Model, Sampler, Values
from zoo_core.samplers.path import guided
from zoo_guidance.given_images import given, given_misfit, rows_for

__all__ = ["Inpaint"]


class Inpaint(Sampler[Denoiser]):
    """Inpainting: draws the unknown part of given data.

    Args:
        image: data whose masked part is kept, see :func:`zoo_guidance.given_images.given`; without it nothing is known.
        mask: part that is kept, see :func:`zoo_core.filling.masks.mask_of`: ``left``, ``right``, ``top``, ``bottom``
            (a half of an image), ``border``, ``box=X,Y,W,H`` or ``around=X,Y,W,H``; a picture that is white there; or a
            list of 0 and 1, one for each number in a sample.
        steps: number of noise levels, at least 1.
        resamplings: number of repetitions of each step, at least 1; 1 is plain replacement.
        variance: variance c² of the reverse step, ``small`` (right for certain x̂) or ``large`` (right for data of unit
            variance).
        clip: whether x̂ is clamped to the range of the data; unless given, whether the range is bounded.
    """

    name = "inpaint"
    needs = (Denoiser,)
    adds_noise = True
    guides = True
    completes = True

    def __init__(
        self,
        image: str | None = None,
        mask: str | Sequence[float] = "left",
        steps: int = 50,
        resamplings: int = 5,
        variance: Literal["small", "large"] = "large",
        clip: bool | None = None,
    ) -> None:
        if variance not in ("small", "large"):
            raise IncompatibleError(f"variance = {variance!r}; expected small or large")
        if steps < 1 or resamplings < 1:
            raise IncompatibleError(f"steps = {steps} and resamplings = {resamplings}; expected at least 1 of each")
        self.image, self.mask, self.steps, self.resamplings = image, mask, steps, resamplings
        self.takes_data = image is not None
        self.variance, self.clip = variance, clip

    def fits(self, model: Denoiser) -> str | None:
        assert isinstance(model, Model)
        if not model.path.independent:
            return "adds noise, and this path couples noise and data"
        if self.clip and model.space.low is None:
            return "cannot clip: this sample space has no bounds; leave clip out"
        if self.image is None:
            return None
        if (reason := given_misfit(self.image, model)) is not None:
            return reason
        try:
            self.kept(model)
        except IncompatibleError as err:
            return f"cannot use this mask: {err}"
        return None

    def evaluations(self, steps: int) -> int:
        repeats = 1 if self.image is None else self.resamplings
        return (steps - 1) * repeats + 1

    def draw(self, model: Denoiser, call: Call) -> Tensor:
        assert isinstance(model, Model)
        if self.image is None:
            return self._chain(model, None, None, call)
        x, mask = rows_for(given(self.image, model), call.streams), self.kept(model)
        return self._chain(model, x, mask.to(call.streams.device), call)

    def complete(self, model: Denoiser, x: Values, known: Tensor, call: Call) -> Tensor:
        assert isinstance(x, Tensor)  # a denoiser's samples have a fixed shape
        return self._chain(model, x.to(call.streams.dtype), known, call)

    def _chain(self, model: Denoiser, known: Tensor | None, mask: Tensor | None, call: Call) -> Tensor:
        """Runs the chain with data ``(n, *shape)`` on the model's side and a mask of the part that is kept, bool."""
        streams = call.streams
        path, shape = model.path, model.space.sizes
        clip = model.space.low is not None if self.clip is None else self.clip
        times = path.times(self.steps)
        x = path.sigma(times[0]) * streams.normal(*shape)
        repeats = 1 if known is None else self.resamplings
        for i, (t, s) in enumerate(pairwise(times)):
            alpha, sigma, alpha_s, sigma_s = path.alpha(t), path.sigma(t), path.alpha(s), path.sigma(s)
            forward = math.sqrt(max(sigma**2 - (alpha / alpha_s * sigma_s) ** 2, 0.0))
            small = forward * sigma_s / sigma
            kept = math.sqrt(max(sigma_s**2 - small**2, 0.0))
            fresh = 0.0 if sigma_s == 0.0 else forward if self.variance == "large" else small
            again = repeats if sigma_s else 1  # at the last step x_s is data, and repetition would change nothing
            for repeat in range(again):
                said = guided(model, x, t, call.condition, call.guidance)
                data = said.data.clamp(model.space.low, model.space.high) if clip else said.data
                # ε̂ is computed from x̂ and x_t, so that clipping changes both.
                x_s = alpha_s * data + kept * (x - alpha * data) / sigma
                if fresh:
                    x_s = x_s + fresh * streams.normal(*shape)
                if known is not None and mask is not None:
                    noisy = alpha_s * known + (sigma_s * streams.normal(*shape) if sigma_s else 0.0)
                    x_s = torch.where(mask, noisy, x_s)
                if repeat + 1 < again:
                    x = alpha / alpha_s * x_s + forward * streams.normal(*shape)
            x = x_s
            if call.observer is not None:
                call.observer(Frame(i + 1, self.steps, x, data))
        return x

    def kept(self, model: Model) -> Tensor:
        """Returns the mask in the shape of one sample, true where the data are kept.

        Raises:
            IncompatibleError: the mask has another shape, or there is no region of that name.
        """
        return mask_of(self.mask, model.space, model.space.sizes)
