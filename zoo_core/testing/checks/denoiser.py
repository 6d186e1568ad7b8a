"""Checks the predictions of denoisers."""

from __future__ import annotations

import torch

from zoo_core.interfaces import Denoiser
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import noisy
from zoo_core.testing.check import check, require
from zoo_core.testing.subjects import ModelSubject

SLACK = 1e-4
"""Allowed error relative to the largest value: x̂ and ε̂ are affine in the network's output, with few roundings."""


@check("model", needs=("Denoiser",))
def check_predictions_are_consistent(subject: ModelSubject) -> None:
    """α(t)·x̂ + σ(t)·ε̂ = x_t within 1e-4, both of the shape of x_t and finite, at three times on the path.

    x̂ and ε̂ are one prediction in two parameterizations, and samplers and guidance use either of them.
    """
    model = subject.model
    assert isinstance(model, Denoiser)
    batch = tiny_data.batch(model, 3)
    for t, x_t in noisy(model, batch):
        with torch.inference_mode():
            found = model.predict(x_t, t, condition=batch.condition)
        for what, value in (("x̂", found.data), ("ε̂", found.noise)):
            require(
                value.shape == x_t.shape and bool(torch.isfinite(value).all()),
                f"{subject.name}: {what} at t = {t:.3g} has shape {tuple(value.shape)}; expected {tuple(x_t.shape)}, "
                "finite",
            )
        again = model.path.diffuse(found.data, found.noise, t)
        gap, slack = (again - x_t).abs().max().item(), SLACK * max(1.0, x_t.abs().max().item())
        require(
            gap <= slack,
            f"{subject.name}: α·x̂ + σ·ε̂ is {gap:.3g} from x_t at t = {t:.3g}; use zoo_core.paths.to_prediction",
        )


@check("model", needs=("Denoiser",))
def check_one_time_or_one_per_sample(subject: ModelSubject) -> None:
    """``predict`` gives the same for one time as for a tensor ``(n,)`` of times; a row does not depend on the others.

    Differences up to 1e-4 of the largest value are allowed.
    """
    model, n = subject.model, 3
    assert isinstance(model, Denoiser)
    batch = tiny_data.batch(model, n)
    times = noisy(model, batch)
    mixed = torch.stack([x_t[i] for i, (_, x_t) in enumerate(times)])
    each = torch.tensor([t for t, _ in times], dtype=torch.float64)
    with torch.inference_mode():
        together = model.predict(mixed, each, condition=batch.condition)
        for i, (t, _) in enumerate(times):
            alone = model.predict(mixed[i : i + 1], t, condition=tiny_data.condition(model, i, i + 1))
            for what, a, b in (("x̂", together.data[i], alone.data[0]), ("ε̂", together.noise[i], alone.noise[0])):
                gap, slack = (a - b).abs().max().item(), SLACK * max(1.0, a.abs().max().item())
                require(
                    gap <= slack,
                    f"{subject.name}: {what} at t = {t:.3g} differs by {gap:.3g} between a batch of times and one time",
                )
