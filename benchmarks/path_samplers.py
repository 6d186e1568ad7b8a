"""What our loop costs beyond the network itself: twenty steps, sixteen images, the network of ``ddpm-mnist-plain``."""

from __future__ import annotations

import torch
from comparison import Row, in_turns

import zoo_core
from zoo_core.interfaces import Denoiser, Streams
from zoo_core.samplers.path import PathSampler
from zoo_core.sampling import make_sampler

STEPS, BATCH = 20, 16


def measure() -> list[Row]:
    """Five rounds, in turns: the bare network at the same times, and the samplers that ask it once a step."""
    model = zoo_core.load("ddpm-mnist-plain")
    assert isinstance(model, Denoiser)
    rows = []
    for name, options in (("ddim", {"eta": 0.0}), ("dpm-solver", {"order": 2}), ("unipc", {"order": 2})):
        sampler = make_sampler(model, name, steps=STEPS, **options)
        assert isinstance(sampler, PathSampler)
        times = sampler.times(model)[:-1]
        x = Streams(0, "benchmark", 0, BATCH).normal(1, 28, 28)

        def bare(times: list[float] = times, x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                for t in times:
                    model.predict(x, t)

        def whole(sampler: PathSampler = sampler, x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                sampler.sample(model, Streams(0, "benchmark", 0, BATCH), noise=x)

        took = in_turns({"ours": whole, "theirs": bare}, 5)
        what = f"`{name}`, {STEPS} steps, {BATCH} images"
        rows.append(Row(what, "the bare network, as often", took["ours"], took["theirs"], 0.97))
    return rows
