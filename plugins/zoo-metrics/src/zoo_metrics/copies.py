r"""How many samples are copies of training examples, judged by held-out data.

With d(x) the distance of x to its nearest training example, in the features of images or in the coordinates of points,
and q the 1 % quantile of d over held-out examples, the metric is the share of samples with d(x) < q. Held-out examples
have 1 % by construction; samples of a model that learned the distribution have about 1 % too, and every copy adds to
it.  The quantile looks at the closest cases only, so that bad samples, far from everything, do not hide copies.

Sources: distance to the closest record (Platzer & Reutterer 2021); data copying (Meehan, Chaudhuri & Dasgupta 2020).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import data_for
from zoo_core.interfaces import DataSet, Model, Result
from zoo_core.sampling import quick_sampler, sample
from zoo_metrics import real
from zoo_metrics.collected import Collected, CollectedMetric
from zoo_metrics.extractor import features_for, images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Copies", "nearest", "pairs"]

QUANTILE = 0.01
MOST = 50_000
"""Greatest number of training examples that are searched."""
PAIRS = 8


def nearest(rows: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Finds the nearest of other rows for each row; returns distances and row numbers, ``(n,)`` each."""
    found = [torch.cdist(part, among).min(1) for part in torch.split(rows, 512)]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


class Copies(CollectedMetric):
    """The share of samples that are closer to a training example than 99 % of held-out examples are."""

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if real.test_split(data) is None:
            raise IncompatibleError(f"{data.name} has no held-out examples to judge copies by")

    def by_default(self, model: Model) -> bool:
        # Of a registered set whose points are drawn from a density, nothing can be a copy.
        return model.entry is not None and "reader" in model.entry.recipe.get("data", {})

    def compute(self, state: Collected) -> Result:
        fake = state.rows()[: self.most]
        test = real.test_split(state.data)
        assert test is not None
        training = self.rows_of(real.some(state.data, MOST, "copies"))
        held_out, _ = nearest(self.rows_of(real.some(test, self.most, "copies")).to(training.dtype), training)
        threshold = held_out.quantile(QUANTILE)
        close = nearest(fake.to(training.dtype), training)[0] < threshold
        value = close.double().mean().item()
        stderr = math.sqrt(max(value * (1 - value), QUANTILE * (1 - QUANTILE)) / len(fake))
        return Result(
            value,
            stderr,
            len(fake),
            "",
            "lower",
            {"held out": QUANTILE},
            f"share closer to one of {len(training):,} training examples than {1 - QUANTILE:.0%} of {len(held_out):,} "
            "held-out ones",
        )


def pairs(model: Model, figure: Figure, seed: int) -> None:
    """Draws the eight of 128 samples that are closest to the training images, each above its nearest."""
    from zoo_core.pictures.images import to_picture

    data = data_for(model, Copies())
    x = sample(model, 128, seed=seed, sampler=quick_sampler(model, 20))
    assert isinstance(x, Tensor)
    some = real.some(data, MOST, "copies")
    distance, which = nearest(features_for(some).features(x), real.features(some))
    order = distance.argsort()[:PAIRS]
    pictures = images(some.take(which[order]))
    axes = figure.subplots(2, PAIRS, squeeze=False)
    figure.set_size_inches(1.3 * PAIRS, 3.0)
    for column, (row, image) in enumerate(zip(order.tolist(), pictures, strict=True)):
        for at, picture in zip(axes[:, column], (x[row], image), strict=True):
            at.imshow(to_picture(picture), cmap="gray", vmin=0, vmax=255)
            at.set_axis_off()
        axes[0, column].set_title(f"{distance[row]:.2f}", fontsize=8)
