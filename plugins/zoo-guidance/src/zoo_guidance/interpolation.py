r"""Interpolation along great circles in noise space (Shoemake 1985; Song, Meng & Ermon 2021, §5.3).

The probability-flow ODE maps data to noise and back.  High-dimensional noise lies near a sphere, on which a and b, with
the angle ω = arccos(⟨a, b⟩/‖a‖‖b‖) between them, are interpolated by

    slerp(a, b; u) = ρ·(sin((1 − u)·ω)·a/‖a‖ + sin(u·ω)·b/‖b‖)/sin ω,      ρ = (1 − u)·‖a‖ + u·‖b‖.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, Denoiser, Frame, Model, Sampler, Streams
from zoo_core.samplers.likelihood import decode, encode
from zoo_guidance.given_images import given, given_misfit

__all__ = ["Interpolate", "slerp"]


def slerp(a: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """Interpolates from ``a`` to ``b``, ``(n, …)``, along great circles, at positions ``u`` in [0, 1], ``(n,)``.

    Where a and b are (nearly) parallel, the interpolation is linear.
    """
    flat_a, flat_b = a.flatten(1).double(), b.flatten(1).double()
    norm_a, norm_b = (v.norm(dim=1).clamp_min(1e-300) for v in (flat_a, flat_b))
    omega = ((flat_a * flat_b).sum(1) / (norm_a * norm_b)).clamp(-1.0, 1.0).acos()
    u, sine = u.double(), omega.sin()
    length = (1.0 - u) * norm_a + u * norm_b
    straight = sine < 1e-6
    safe = torch.where(straight, 1.0, sine)
    first = torch.where(straight, 1.0 - u, length / norm_a * ((1.0 - u) * omega).sin() / safe)
    second = torch.where(straight, u, length / norm_b * (u * omega).sin() / safe)
    return (first[:, None] * flat_a + second[:, None] * flat_b).view_as(a).to(a.dtype)


class Interpolate(Sampler[Denoiser]):
    """Interpolation between samples: samples p·i … p·i + p − 1 lead from end i to end i + 1.

    Args:
        image: data for the ends, see :func:`zoo_guidance.given_images.given`, which are inverted; without it the ends
            are drawn at random.
        points: number p of samples per interval, including its first end, at least 1.
        tolerance: relative and absolute tolerance of the ODE, above 0.
    """

    name = "interpolate"
    needs = (Denoiser,)
    guides = True

    def __init__(self, image: str | None = None, points: int = 8, tolerance: float = 1e-3) -> None:
        if points < 1 or tolerance <= 0.0:
            raise IncompatibleError(
                f"points = {points} and tolerance = {tolerance}; expected points ≥ 1 and tolerance > 0"
            )
        self.image, self.points, self.tolerance = image, points, tolerance
        self.takes_data = image is not None

    def fits(self, model: Denoiser) -> str | None:
        assert isinstance(model, Model)
        return None if self.image is None else given_misfit(self.image, model)

    def draw(self, model: Denoiser, call: Call) -> Tensor:
        streams = call.streams
        index = range(streams.start, streams.start + len(streams))
        intervals = sorted({i // self.points + side for i in index for side in (0, 1)})
        ends = dict(zip(intervals, self.ends(model, streams, intervals), strict=True))
        a, b = (torch.stack([ends[i // self.points + side] for i in index]) for side in (0, 1))
        u = torch.tensor([i % self.points / self.points for i in index], device=a.device)
        noise = slerp(a, b, u)
        exactly = {"rtol": self.tolerance, "atol": self.tolerance}
        x = decode(model, noise, condition=call.condition, guidance=call.guidance, **exactly)
        if call.observer is not None:
            call.observer(Frame(1, 1, x, x))
        return x

    def ends(self, model: Denoiser, streams: Streams, which: list[int]) -> Tensor:
        """Returns the noise at the ends with these numbers, which depends only on the seed and the number."""
        assert isinstance(model, Model)
        shape = model.space.sizes
        kind = {"device": streams.device, "dtype": streams.dtype}
        if self.image is None:
            each = [Streams(streams.seed, f"{streams.purpose}/ends", j, 1, **kind).normal(*shape) for j in which]  # type: ignore[arg-type]
            return torch.cat(each)
        data = given(self.image, model).to(streams.device, streams.dtype)
        rows = data[torch.tensor([j % len(data) for j in which])]
        return encode(model, rows, rtol=self.tolerance, atol=self.tolerance)
