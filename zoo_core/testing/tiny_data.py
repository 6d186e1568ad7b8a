"""Data for tests: a few examples for any sample space, generated, the same on every machine.

Points come from the data set that a model's recipe names where that is a generated density; everything else is made
here.  Nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo_core import datasets
from zoo_core.datasets.dataset import DataSet
from zoo_core.datasets.densities import DENSITIES
from zoo_core.datasets.model_side import whole
from zoo_core.interfaces import Batch, Condition, ConditionSpec, Model, SampleSpace, Streams

__all__ = ["LENGTH", "batch", "condition", "data_for", "generated_for", "shape_of", "tiny_data"]

LENGTH = 8
"""What stands for an axis of any length."""

LEVELS = 256
CLASSES = 10


def shape_of(space: SampleSpace) -> tuple[int, ...]:
    """The shape of one sample, with :data:`LENGTH` where an axis may have any length."""
    return tuple(LENGTH if size is None else size for size in space.shape)


def tiny_data(space: SampleSpace, n: int = 64, *, seed: int = 0, split: str = "train") -> DataSet:
    """Examples for a sample space, on the data's side, with labels 0 … 9.

    Args:
        space: images get soft blobs in 256 grey levels, whose place goes with the label; points two clouds; sequences
            and audio waves with a little noise; tokens zeros and ones.
        n: how many; example i does not depend on it.
        seed: other seeds, other examples.
        split: what it says it is.
    """
    shape, streams = shape_of(space), Streams(seed, f"tiny/{split}", 0, n)
    label = streams.integers(CLASSES)
    if space.kind == "image":
        x = _blobs(shape, label, streams)
        return DataSet("tiny-images", split, (x * (LEVELS - 1)).round().to(torch.uint8), label, levels=LEVELS)
    if space.kind == "tokens":
        return DataSet("tiny-tokens", split, streams.integers(2, *shape), label)
    if space.kind == "points":
        side = (label % 2).float().view(-1, *[1] * len(shape)) * 2 - 1
        x = side + 0.4 * streams.normal(*shape)
    else:
        time = torch.linspace(0, 6.0, shape[0] if space.kind == "sequence" else shape[-1])
        wave = (time * (1 + label.float()[:, None] / CLASSES)).sin()
        wave = wave[:, :, None] if space.kind == "sequence" else wave[:, None, :]
        x = 0.8 * wave + 0.1 * streams.normal(*shape)
    if space.low is not None and space.high is not None:
        x = space.from_user(torch.sigmoid(x))
    return DataSet(f"tiny-{space.kind}", split, x, label)


def data_for(model: Model, n: int = 64, *, seed: int = 0) -> DataSet:
    """Examples for a model: of its recipe's generated density, else :func:`tiny_data`; with labels in its range."""
    name = model.entry.recipe.get("data", {}).get("name") if model.entry else None
    fits = name in DENSITIES and tuple(model.space.shape) == (DENSITIES[name].dimensions,)
    if fits and "label" not in model.conditions:  # generated densities have none
        return datasets.load(str(name), n=n)
    return generated_for(model, n, seed=seed)


def generated_for(model: Model, n: int = 64, *, seed: int = 0) -> DataSet:
    """:func:`tiny_data` for a model, with labels in its range."""
    data = tiny_data(model.space, n, seed=seed)
    spec = model.conditions.get("label")
    if spec is None or spec.classes is None or data.y is None:
        return data
    return replace(data, y=data.y % spec.classes)


def batch(model: Model, n: int = 64, *, seed: int = 0) -> Batch:
    """The same on the model's side, in its own floating type, with a valid condition."""
    x = whole(model, data_for(model, n, seed=seed), seed)
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    x = x.to(dtype) if x.is_floating_point() else x
    return Batch(x, condition(model, 0, n, seed=seed))


def condition(model: Model, start: int, stop: int, *, seed: int = 0) -> Condition | None:
    """Valid conditions of samples ``start`` … ``stop − 1``, labels as the examples have them; ``None`` without."""
    if not model.conditions:
        return None
    return Condition(**{name: _values(name, spec, start, stop, seed) for name, spec in model.conditions.items()})


def _values(name: str, spec: ConditionSpec, start: int, stop: int, seed: int) -> Tensor:
    if name == "label" and spec.classes is not None:
        return Streams(seed, "tiny/train", start, stop - start).integers(CLASSES) % spec.classes
    streams = Streams(seed, f"tiny condition/{name}", start, stop - start)
    return streams.normal(*spec.shape) if spec.classes is None else streams.integers(spec.classes, *spec.shape)


def _blobs(shape: tuple[int, ...], label: Tensor, streams: Streams) -> Tensor:
    """One bump per image, on a circle around the middle; in [0, 1]."""
    height, width = shape[-2:]
    angle = label.float() * (2 * torch.pi / CLASSES)
    jitter = 0.1 * streams.normal(2)
    row = (torch.linspace(-1, 1, height)[None, :] - (0.5 * angle.sin() + jitter[:, 0])[:, None]).square()
    column = (torch.linspace(-1, 1, width)[None, :] - (0.5 * angle.cos() + jitter[:, 1])[:, None]).square()
    bump = (-(row[:, :, None] + column[:, None, :]) / 0.1).exp()
    return bump[:, None].expand(-1, shape[0], -1, -1).clamp(0, 1)
