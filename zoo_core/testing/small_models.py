"""Makes small models for the checks: a registered model's code and config, with every size reduced to eight.

A U-Net of 28×28 images with 16, 32 and 64 channels becomes one of 8×8 images with 8, 8 and 8 channels, which runs the
same code in a hundredth of the time.  Checks that hold for any weights run on the small model; checks of the bundled
weights run on the registered one.

Two models whose configs become equal when they are reduced, and which are guided alike, are of one kind, and share a
small model.
"""

from __future__ import annotations

import atexit
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from zoo_core import loading, registry
from zoo_core.errors import PluginError
from zoo_core.interfaces import Denoiser, Density, DirectSampler, LatentVariable, Model, Streams, can
from zoo_core.registry.entry import Entry
from zoo_core.sampling import GUIDANCE
from zoo_core.saving import snapshot
from zoo_core.testing import tiny_data

__all__ = ["build_small", "kind_of", "saved", "shared_model", "small_entry"]

SIZES = (8, 16, 32)
"""Sizes to reduce integers to; the first with which the family's class can be built is taken."""

SHAKE = 0.2
"""Size of the noise that is added to initial parameters: its standard deviation times √(inputs of a unit).

Layers that are initialised with zeros, such as the last of a U-Net or of a coupling, would give equal outputs for all
inputs without it.
"""

_size_that_works: dict[tuple[Any, str], int | None] = {}
_shared: dict[tuple[Any, str], Model] = {}
"""Both tables are filled once for all entries with the same code and config."""


def small_entry(entry: Entry) -> Entry | None:
    """Returns the entry of a small model of the same kind, without weights.

    Args:
        entry: entry of a family that an installed plugin provides.

    Returns:
        The entry; ``None`` if the family refuses all sizes, or the config has no size to reduce.
    """
    try:
        key = _code_and_config(entry)
    except PluginError:
        return None  # the checks of the model report that its plugin is missing
    if key not in _size_that_works:
        tried = (size for size in SIZES if _cut(entry.config, size) != _cut(entry.config, None))
        _size_that_works[key] = next((size for size in tried if _works(_entry_of(entry, size))), None)
    size = _size_that_works[key]
    return None if size is None else _entry_of(entry, size)


def _code_and_config(entry: Entry) -> tuple[Any, str]:
    """Returns the key of a kind, with the class itself: tests may register other code under the same name."""
    return loading.factory_of(entry), kind_of(entry)


def _entry_of(entry: Entry, size: int) -> Entry:
    config, recipe = _cut(entry.config, size), _with_small_teachers(entry.recipe)
    return replace(entry, config=config, recipe=recipe, weights=None, parameters=0, evaluations=(), facts=())


def kind_of(entry: Entry) -> str:
    """Returns family, config and default guidance of a small entry as a string, which models of one kind share."""
    guidance = entry.sampler.options.get(GUIDANCE) if entry.sampler else None
    return json.dumps([entry.family, entry.config, guidance], sort_keys=True)


def shared_model(entry: Entry) -> Model:
    """Returns the model of a small entry; all checks of this process share it, so none may change it."""
    key = _code_and_config(entry)
    if key not in _shared:
        _shared[key] = build_small(entry)
    return _shared[key]


def build_small(entry: Entry) -> Model:
    """Builds the model of a small entry, with noise added to every initial parameter; reproducible."""
    model = loading.build(entry).eval().requires_grad_(False)
    source = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            inputs = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
            noise = torch.randn(parameter.shape, generator=source, dtype=parameter.dtype)
            parameter.add_(noise, alpha=SHAKE / math.sqrt(max(inputs, 1)))
    return model


@cache
def saved(name: str) -> str | None:
    """Saves the small model of a registered model, so that it can be loaded as the teacher of another small model.

    Args:
        name: id of the registered model.

    Returns:
        The folder, which is removed when the process ends; ``None`` if there is no such id or no small model.
    """
    listed = registry.load().entries.get(name)
    entry = small_entry(listed) if listed is not None else None
    if entry is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="zoo-small-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    snapshot.save(folder / name, entry, build_small(entry).state_dict())
    return str(folder / name)


def _with_small_teachers(value: Any) -> Any:
    """Returns a recipe in which every id of a registered model is replaced by the folder of its small model."""
    if isinstance(value, Mapping):
        return {key: _with_small_teachers(part) for key, part in value.items()}
    return (saved(value) or value) if isinstance(value, str) else value


def _cut(value: Any, size: int | None) -> Any:
    """Returns a config as plain lists and dicts, in which no integer is greater than ``size``."""
    if isinstance(value, Mapping):
        return {key: _cut(part, size) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cut(part, size) for part in value]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return min(value, size) if whole and size is not None else value


def _works(entry: Entry) -> bool:
    """Says whether a small model can be built and evaluated once."""
    try:
        model = shared_model(entry)
        batch, streams = tiny_data.batch(model, 1), Streams(0, "small", 0, 1)
        with torch.inference_mode():
            if isinstance(model, Denoiser):
                model.predict(batch.x, model.path.t_max, condition=batch.condition)
            elif isinstance(model, LatentVariable):
                model.decode(model.draw_latent(streams), condition=batch.condition)
            elif can(model, DirectSampler) and isinstance(model, DirectSampler):
                model.draw(streams, condition=batch.condition)
            elif can(model, Density) and isinstance(model, Density):
                model.log_prob(batch.x, condition=batch.condition, streams=streams)
    except Exception:
        return False
    return True
