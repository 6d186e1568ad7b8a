"""Generates data for tests: a few examples for any sample space, the same on every machine.

If a model's recipe names a generated density, its points are used; for a model of tables, the rows of its plugin's own
data set; other examples are made here.  Nothing is downloaded from elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo_core import datasets, plugins
from zoo_core.datasets.densities import DENSITIES
from zoo_core.datasets.prepared import Prepared
from zoo_core.interfaces import Batch, Condition, ConditionSpec, DataSet, Model, Ragged, SampleSpace, Streams, Values

__all__ = ["LENGTH", "batch", "condition", "data_for", "examples", "generated_for", "shape_of", "tiny_data"]

LENGTH = 8
"""Length of an axis that may have any length."""

LEVELS = 256
CLASSES = 10


def shape_of(space: SampleSpace) -> tuple[int, ...]:
    """Returns the shape of a sample, with :data:`LENGTH` for an axis that may have any length."""
    return tuple(LENGTH if size is None else size for size in space.shape)


def tiny_data(space: SampleSpace, n: int = 64, *, seed: int = 0, split: str = "train") -> DataSet:
    """Generates examples for a sample space, in the range of data sets, with labels 0 … 9.

    Images are soft blobs in 256 grey levels, whose position depends on the label; points are two clusters; sequences
    and audio are waves with a little noise; tokens are drawn from the vocabulary; tables have numbers and codes.

    Args:
        space: sample space.  If samples may have any length, their lengths are 1 … :data:`LENGTH`.
        n: number of examples; example i does not depend on it.
        seed: seed of the random numbers.
        split: name of the split, ``"train"`` or ``"test"``, which have different examples.
    """
    shape, streams = shape_of(space), Streams(seed, f"tiny/{split}", 0, n)
    label = streams.integers(CLASSES)
    columns = {"label": label}
    if space.kind == "image":
        x = _blobs(shape, label, streams)
        grey = (x * (LEVELS - 1)).round().to(torch.uint8)
        return DataSet("tiny-images", split, grey, columns, levels=LEVELS, space=replace(space, low=None, high=None))
    if space.kind == "tokens":
        x = streams.integers(space.vocabulary or 2, *shape)
    elif space.kind in ("points", "table"):
        side = (label % 2).float().view(-1, *[1] * len(shape)) * 2 - 1
        x = side + 0.4 * streams.normal(*shape)
        for j, column in enumerate(space.columns):
            if column.type != "number":
                x[:, j] = (x[:, j].abs() * 10).floor() % max(len(column.categories), 2)
    else:
        time = torch.linspace(0, 6.0, shape[0] if space.kind == "sequence" else shape[-1])
        wave = (time * (1 + label.float()[:, None] / CLASSES)).sin()
        wave = wave[:, :, None] if space.kind == "sequence" else wave[:, None, :]
        x = 0.8 * wave + 0.1 * streams.normal(*shape)
    if space.low is not None and space.high is not None:
        x = space.from_user(torch.sigmoid(x))
    values: Values = x
    if space.open_axis is not None:
        values = Ragged(x, 1 + streams.integers(LENGTH), space.open_axis)
    return DataSet(f"tiny-{space.kind}", split, values, columns, space=space)


def data_for(model: Model, n: int = 64, *, seed: int = 0) -> DataSet:
    """Generates examples for a model: of its recipe's generated density, or otherwise of :func:`generated_for`."""
    name = model.entry.recipe.get("data", {}).get("name") if model.entry else None
    fits = name in DENSITIES and tuple(model.space.shape) == (DENSITIES[name].dimensions,)
    if fits and "label" not in model.conditions:  # generated densities have none
        return datasets.load(str(name), n=n)
    return generated_for(model, n, seed=seed)


def _registers(distribution: str, name: str | None) -> bool:
    """Says whether a distribution registers a data set."""
    return any(c.name == name and c.plugin == distribution for c in plugins.load().catalogue.all("dataset"))


def generated_for(model: Model, n: int = 64, *, seed: int = 0) -> DataSet:
    """Generates the examples of :func:`tiny_data` for a model, with values for its conditions.

    Rows of a table may have to obey a rule (counts with a given sum), which no space says: a model of tables is given
    those of the data set that its recipe names, repeated, where its own plugin registers it.
    """
    name = model.entry.recipe.get("data", {}).get("name") if model.entry else None
    if model.space.kind == "table" and model.entry is not None and _registers(model.entry.plugin, name):
        rows = datasets.load(str(name))
        return rows.take(torch.arange(seed, seed + n) % len(rows))
    data = tiny_data(model.space, n, seed=seed)
    columns = {name: _values(name, spec, 0, n, seed) for name, spec in model.conditions.items() if name != "label"}
    label, spec = data.y, model.conditions.get("label")
    if label is not None:
        columns["label"] = label if spec is None or spec.classes is None else label % spec.classes
    return replace(data, columns=columns)


def batch(model: Model, n: int = 64, *, seed: int = 0) -> Batch[Any]:
    """Generates the examples of :func:`data_for` in the model's range and floating type, with a valid condition."""
    found = Prepared(model, data_for(model, n, seed=seed), seed).rows(torch.arange(n))
    x = found.x.to(model.state_dtype) if found.x.is_floating_point() else found.x
    return Batch(x, condition(model, 0, n, seed=seed))


def examples(model: Model, n: int = 64, *, seed: int = 0) -> Prepared:
    """Generates the examples of :func:`data_for` as training data for an objective."""
    return Prepared(model, data_for(model, n, seed=seed), seed)


def condition(model: Model, start: int, stop: int, *, seed: int = 0) -> Condition | None:
    """Returns valid conditions of samples ``start`` … ``stop − 1``; labels are those of the examples.

    The result is ``None`` for an unconditional model.
    """
    if not model.conditions:
        return None
    return Condition(**{name: _values(name, spec, start, stop, seed) for name, spec in model.conditions.items()})


def _values(name: str, spec: ConditionSpec, start: int, stop: int, seed: int) -> Values:
    if name == "label" and spec.classes is not None:
        return Streams(seed, "tiny/train", start, stop - start).integers(CLASSES) % spec.classes
    streams = Streams(seed, f"tiny condition/{name}", start, stop - start)
    if spec.kind == "tokens":
        return Ragged(streams.integers(spec.classes or 1, LENGTH), 1 + streams.integers(LENGTH))
    return streams.normal(*spec.shape) if spec.classes is None else streams.integers(spec.classes, *spec.shape)


def _blobs(shape: tuple[int, ...], label: Tensor, streams: Streams) -> Tensor:
    """Makes images in [0, 1] of a blob on a circle around the centre."""
    height, width = shape[-2:]
    angle = label.float() * (2 * torch.pi / CLASSES)
    jitter = 0.1 * streams.normal(2)
    row = (torch.linspace(-1, 1, height)[None, :] - (0.5 * angle.sin() + jitter[:, 0])[:, None]).square()
    column = (torch.linspace(-1, 1, width)[None, :] - (0.5 * angle.cos() + jitter[:, 1])[:, None]).square()
    bump = (-(row[:, :, None] + column[:, None, :]) / 0.1).exp()
    return bump[:, None].expand(-1, shape[0], -1, -1).clamp(0, 1)
