"""Collects the outputs of all methods of a model, which the checks compare between two states of the model."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.interfaces import (
    Batch,
    Condition,
    Denoiser,
    Density,
    DirectSampler,
    EnergyBased,
    LatentVariable,
    Model,
    Streams,
    Values,
    can,
)
from zoo_core.testing import tiny_data
from zoo_core.testing.subjects import ModelSubject

__all__ = ["TIMES", "answers", "noisy", "streams_for"]

TIMES = (0.1, 0.5, 0.9)
"""Times at which denoisers are evaluated, as fractions of the path from t_min to t_max."""


def answers(subject: ModelSubject, model: Model, n: int = 2) -> dict[str, Values]:
    """Returns samples, log-probabilities, codes, decoded codes and predictions of a model, by name.

    The same model gives the same values.  A log-probability that takes seconds is left out (``is_slow_density``).

    Args:
        subject: subject of the model, which draws the samples.
        model: model in the state to look at.
        n: number of samples and examples.
    """
    batch = tiny_data.batch(model, n)
    found: dict[str, Values] = {}
    with torch.inference_mode():
        if subject.can_be_drawn:
            found["sample"] = subject.draw(n, model=model)
        if can(model, DirectSampler) and isinstance(model, DirectSampler):
            found["draw"] = model.draw(streams_for(model, n), condition=batch.condition)
        if can(model, Density) and isinstance(model, Density) and not subject.is_slow_density:
            found["log_prob"] = model.log_prob(batch.x, condition=batch.condition, streams=streams_for(model, n))
        if isinstance(model, EnergyBased):
            found["free_energy"] = model.free_energy(batch.x, condition=batch.condition)
            found["gibbs_step"] = model.gibbs_step(batch.x, streams_for(model, n), condition=batch.condition)
        if isinstance(model, LatentVariable):
            found |= _of_latent(model, batch.x, batch.condition)
        if isinstance(model, Denoiser):
            for t, x_t in noisy(model, batch):
                prediction = model.predict(x_t, t, condition=batch.condition)
                found[f"predict(t = {t:.3g}).data"] = prediction.data
                found[f"predict(t = {t:.3g}).noise"] = prediction.noise
    return found


def _of_latent(model: LatentVariable, x: Tensor, condition: Condition | None) -> dict[str, Values]:
    assert isinstance(model, Model)
    z = model.draw_latent(streams_for(model, len(x)))
    found: dict[str, Values] = {"draw_latent": z, "decode": model.decode(z, condition=condition)}
    if encodes(model):
        found["encode"] = model.encode(x, condition=condition)
    return found


def encodes(model: LatentVariable) -> bool:
    """Says whether a latent-variable model has an encoder; a GAN has only a decoder."""
    return type(model).encode is not LatentVariable.encode


def noisy(model: Denoiser, batch: Batch) -> list[tuple[float, Tensor]]:
    """Returns pairs of a time on a denoiser's path and noisy data x_t at that time."""
    assert isinstance(model, Model)
    path = model.path
    times = [path.t_min + share * (path.t_max - path.t_min) for share in TIMES]
    noise = streams_for(model, len(batch.x)).normal(*batch.x.shape[1:])
    return [(t, path.diffuse(batch.x, noise, t)) for t in times]


def streams_for(model: Model, n: int, *, start: int = 0, seed: int = 0) -> Streams:
    """Makes random streams on the model's device and in its floating type, as sampling and evaluation do."""
    return Streams(seed, "check", start, n, device=model.device, dtype=model.state_dtype)
