"""Plots over the plane for two-dimensional models: density and score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser, Density, Model
from zoo_core.plots.draw import subplots
from zoo_core.sampling import quick_sampler, sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["density", "score"]


def density(model: Model, figure: Figure, seed: int) -> None:
    """Draws p(x) over the region of the model's samples."""
    assert isinstance(model, Density)
    cells = 200 if model.log_prob_is == "exact" else 40  # a bound may cost a thousand evaluations a point
    x, (left, right, bottom, top) = _region(model, seed, cells)
    with torch.inference_mode():
        p = torch.cat([model.log_prob(part) for part in torch.split(x, 4096)]).exp()
    (axes,) = subplots(figure, 1, 1, size=5.0)
    image = axes.imshow(p.view(cells, cells).T.numpy(), origin="lower", extent=(left, right, bottom, top), cmap="Blues")
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title(f"p(x), {model.log_prob_is}")


def score(model: Model, figure: Figure, seed: int) -> None:
    """Draws the score ∇ log p_t(x) = −ε̂/σ, which points towards the data, at four times."""
    assert isinstance(model, Denoiser)
    x, _ = _region(model, seed, 24)
    for axes, t in zip(subplots(figure, 1, 4, size=3.0), (0.02, 0.1, 0.3, 1.0), strict=True):
        with torch.inference_mode():
            field = -model.predict(x, t).noise / model.path.sigma(t)
        length = field.norm(dim=1, keepdim=True).clamp_min(1e-9)
        arrows = (field / length * length.log1p()).numpy()
        axes.quiver(
            x[:, 0].numpy(),
            x[:, 1].numpy(),
            arrows[:, 0],
            arrows[:, 1],
            length.log().squeeze(1).numpy(),
            cmap="viridis_r",
        )
        axes.set_aspect("equal")
        axes.set_title(f"t = {t:g}")


def _region(model: Model, seed: int, cells: int) -> tuple[Tensor, tuple[float, float, float, float]]:
    """Returns a square grid ``(cells², 2)`` around the model's samples, and the edges of the square."""
    if model.space.kind != "points" or tuple(model.space.shape) != (2,):
        raise IncompatibleError(
            f"fields are drawn over the plane; this model's samples are of shape {model.space.shape}"
        )
    points = sample(model, 500, seed=seed, sampler=quick_sampler(model, 50), batch_size=500)
    low, high = points.amin(0), points.amax(0)
    middle, half = (low + high) / 2, float((high - low).max()) * 0.6
    edges = [float(middle[i]) + sign * half for i in range(2) for sign in (-1.0, 1.0)]
    axes = [torch.linspace(edges[2 * i], edges[2 * i + 1], cells) for i in range(2)]
    return torch.cartesian_prod(*axes), (edges[0], edges[1], edges[2], edges[3])
