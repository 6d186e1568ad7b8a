"""Plots the components after 0, 1, 2, 5, 10 and 20 EM iterations, as ellipses at two standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo_core import datasets
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Model
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["em"]


def em(model: Model, figure: Figure, seed: int) -> None:
    """Runs EM again on 1,000 points of the model's data, from unit covariances at random points."""
    from matplotlib.patches import Ellipse

    if not isinstance(model, GaussianMixture) or model.dimensions != 2 or model.entry is None:
        raise IncompatibleError("EM is shown in the plane: expected a registered Gaussian mixture of two dimensions")
    recipe = model.entry.recipe
    data = datasets.load(recipe["data"]["name"], n=1000)
    fresh = GaussianMixture(**model.entry.config)
    objective = ExpectationMaximisation(**recipe.get("objective_options", {}))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    fresh.means.copy_(data.tensor[order[: fresh.components]].double())
    fresh.set_factors(torch.eye(2, dtype=torch.float64).expand_as(fresh.factors()))
    figure.set_size_inches(12, 8)
    panels = iter(figure.subplots(2, 3).flat)
    shown = (0, 1, 2, 5, 10, 20)
    for iteration in range(max(shown) + 1):
        statistics = objective.statistics(fresh, Batch(data.tensor))
        if iteration in shown:
            axes = next(panels)
            mean = (statistics["log_likelihood"] / statistics["count"]).item()
            axes.scatter(data.tensor[:, 0].numpy(), data.tensor[:, 1].numpy(), s=2, color="0.6")
            for centre, covariance in zip(fresh.means, fresh.covariances(), strict=True):
                values, vectors = torch.linalg.eigh(covariance)
                width, height = (4.0 * values.sqrt()).tolist()
                angle = torch.rad2deg(torch.atan2(vectors[1, 0], vectors[0, 0])).item()
                axes.add_patch(Ellipse(tuple(centre.tolist()), width, height, angle=angle, fill=False, color="#1f4e8c"))
            axes.set_aspect("equal")
            axes.set_title(f"iteration {iteration}: {mean:.3f} nats")
        objective.maximise(fresh, statistics)
