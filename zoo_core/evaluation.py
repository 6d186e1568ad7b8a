"""Measuring a model against data it has not seen."""

from __future__ import annotations

from typing import Any

import torch

from zoo_core import datasets, plugins
from zoo_core.catalogue import resolve
from zoo_core.datasets.dataset import DataSet
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, Metric, Model, Result, Streams
from zoo_core.sampling import Progress

__all__ = ["evaluate", "held_out"]


def held_out(model: Model, n: int | None = None) -> DataSet:
    """The test split of the data that the model's recipe names (with its classes)."""
    if model.entry is None or "data" not in model.entry.recipe:
        raise IncompatibleError(f"{type(model).__name__} has no recipe that names its data; give the data set")
    recipe = dict(model.entry.recipe["data"])
    return datasets.load(recipe["name"], split="test", classes=recipe.get("classes"), n=n)


def evaluate(
    model: Model,
    metric: str | Metric[Any],
    *,
    data: DataSet | None = None,
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> Result:
    """A metric that looks at held-out data, over the first ``n`` of it in a seeded order.

    Args:
        model: what is measured.
        metric: a metric or its name.
        data: against what; the test split of the model's own data unless given.
        n: how many examples; all unless given.
        seed: of the order, the dequantisation and the metric's own randomness.
        batch_size: examples at once; the result depends on it only by rounding.
        progress: is told ``(done, of)``.

    Raises:
        UnknownNameError: no such metric.
        IncompatibleError: it does not fit the model or the data.
    """
    if isinstance(metric, str):
        found: Metric[Any] = resolve(plugins.load().catalogue.get("metric", metric).target)()
    else:
        found = metric
    data = data or held_out(model)
    found.check(model, data)
    if found.uses != "data":
        raise IncompatibleError(f"metric {metric!r} looks at samples; this evaluator measures on held-out data")
    examples = _model_side(model, data, seed)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[: n or len(examples)]
    state = found.init(model, data)
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            streams = Streams(seed, "evaluation", start, len(rows), device=model.device, dtype=dtype)
            x = examples[rows].to(model.device, dtype)
            state = found.update(state, model, Batch(x), streams)
            if progress is not None:
                progress(start + len(rows), len(order))
    return found.compute(state)


def _model_side(model: Model, data: DataSet, seed: int) -> torch.Tensor:
    """The examples as the model wants them: levels, or dequantised for a density of images."""
    low, high = model.space.low, model.space.high
    if data.levels is None:
        return data.x
    if low is None or high is None:
        raise IncompatibleError(f"{data.name} has levels, but {type(model).__name__} is not bounded")
    discrete = isinstance(model, Density) and model.discrete
    return data.scaled(low, high) if discrete else data.dequantised(low, high, seed)
