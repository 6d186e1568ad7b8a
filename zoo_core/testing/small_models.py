"""Small models of a kind: the same code with the same choices, and every size cut to eight.

A U-Net of 28×28 images with 16, 32 and 64 channels becomes one of 8×8 images with 8, 8 and 8: it goes through the same
lines in a hundredth of the time.  What holds for any weights is checked of it; what is said about the weights that are
shipped is checked of these.

Two models whose configs become the same when they are cut are of one kind, and are checked once.
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
from zoo_core.interfaces import Denoiser, Density, DirectSampler, LatentVariable, Model, Streams
from zoo_core.registry.entry import Entry
from zoo_core.saving import snapshot
from zoo_core.testing import tiny_data

__all__ = ["build_small", "kind_of", "saved", "shared_model", "small_entry"]

SIZES = (8, 16, 32)
"""To which whole numbers are cut: the first that the family takes."""

SHAKE = 0.2
"""How far fresh parameters are moved: the standard deviation of what is added, times the root of the inputs of a unit.
Layers that begin at zero, as the last of a U-Net and of a flow's couplings do, would give the same answer to all."""

_size_that_works: dict[tuple[Any, str], int | None] = {}
_shared: dict[tuple[Any, str], Model] = {}
"""Both are found once for all entries of the same code and config."""


def small_entry(entry: Entry) -> Entry | None:
    """Returns an entry whose model is a small one of the same kind; it has no weights.

    Args:
        entry: of an installed plugin.

    Returns:
        The entry, or ``None`` where the family refuses every size that is tried, or has none to cut.
    """
    try:
        key = _code_and_config(entry)
    except PluginError:
        return None  # its checks will say so
    if key not in _size_that_works:
        tried = (size for size in SIZES if _cut(entry.config, size) != _cut(entry.config, None))
        _size_that_works[key] = next((size for size in tried if _works(_entry_of(entry, size))), None)
    size = _size_that_works[key]
    return None if size is None else _entry_of(entry, size)


def _code_and_config(entry: Entry) -> tuple[Any, str]:
    """Returns the key of a kind: the factory itself, since a name may stand for other code after a plugin changed."""
    return loading.factory_of(entry), kind_of(entry)


def _entry_of(entry: Entry, size: int) -> Entry:
    config, recipe = _cut(entry.config, size), _with_small_teachers(entry.recipe)
    return replace(entry, config=config, recipe=recipe, weights=None, parameters=0, evaluations=(), facts=())


def kind_of(entry: Entry) -> str:
    """Returns what small models of one kind have in common: their code and config."""
    return json.dumps([entry.family, entry.config], sort_keys=True)


def shared_model(entry: Entry) -> Model:
    """Returns the model of a small entry that all checks of this process share: none may change it."""
    key = _code_and_config(entry)
    if key not in _shared:
        _shared[key] = build_small(entry)
    return _shared[key]


def build_small(entry: Entry) -> Model:
    """Returns the model of a small entry, every parameter moved a little from where it begins; the same every time."""
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
    """Returns a folder with a small model of a registered one, as ``load`` takes it: a small model's teacher.

    Args:
        name: a registered id.

    Returns:
        The folder, which is removed when the process ends; ``None`` where there is no such id, or no small model.
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
    """Returns a recipe in which a small model stands for every registered one that an option names."""
    if isinstance(value, Mapping):
        return {key: _with_small_teachers(part) for key, part in value.items()}
    return (saved(value) or value) if isinstance(value, str) else value


def _cut(value: Any, size: int | None) -> Any:
    """Returns a config as plain lists and dicts, in which no whole number is above ``size``."""
    if isinstance(value, Mapping):
        return {key: _cut(part, size) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cut(part, size) for part in value]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return min(value, size) if whole and size is not None else value


def _works(entry: Entry) -> bool:
    """Whether the model can be built and asked once: what is wrong with it otherwise, its own size will show."""
    try:
        model = shared_model(entry)
        batch, streams = tiny_data.batch(model, 1), Streams(0, "small", 0, 1)
        with torch.inference_mode():
            if isinstance(model, Denoiser):
                model.predict(batch.x, model.path.t_max, condition=batch.condition)
            elif isinstance(model, LatentVariable):
                model.decode(model.draw_latent(streams), condition=batch.condition)
            elif isinstance(model, DirectSampler):
                model.draw(streams, condition=batch.condition)
            elif isinstance(model, Density):
                model.log_prob(batch.x, condition=batch.condition, streams=streams)
    except Exception:
        return False
    return True
