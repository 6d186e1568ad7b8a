"""Plots of flows: a grid of codes through the layers of a flow in the plane, and samples at several temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model, Streams
from zoo_core.plots.draw import INK, show_samples, subplots
from zoo_flows.flow import Flow
from zoo_flows.transform import Compose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bent_grid", "bent_grids", "temperatures"]

TEMPERATURES = (0.0, 0.5, 0.7, 0.85, 1.0)
LINES, POINTS, REACH = 17, 200, 2.5


def bent_grids(model: Flow) -> list[Tensor]:
    """Maps a square grid of codes through the inverse transforms; returns the grid after each, the last in data space.

    Each grid is ``(2·17, 200, 2)``: lines, points on a line, coordinates.

    Raises:
        IncompatibleError: the model's samples are no points in the plane.
    """
    if tuple(model.space.shape) != (2,):
        raise IncompatibleError(
            f"a bent grid needs samples of shape (2,); this model's samples are of shape {model.space.shape}"
        )
    across, along = torch.linspace(-REACH, REACH, LINES), torch.linspace(-REACH, REACH, POINTS)
    one = torch.cartesian_prod(across, along)
    z = torch.cat([one, one.flip(1)]).to(model.device, torch.promote_types(model.dtype, torch.float32))
    grids = [z]
    assert isinstance(model.transform, Compose)
    with torch.inference_mode():
        context = None
        if model.embedding is not None:  # draws the transform of the first class
            context = model.embedding(torch.zeros(len(z), dtype=torch.int64, device=z.device))
        for transform in reversed([*model.transform]):
            grids.append(transform.inverse(grids[-1], context))
    return [grid.view(2 * LINES, POINTS, 2).float().cpu() for grid in grids]


def bent_grid(model: Model, figure: Figure, seed: int) -> None:
    """Draws a grid of codes at up to eight stages of the transform from codes to data."""
    assert isinstance(model, Flow)
    grids = bent_grids(model)
    shown = sorted({round(i * (len(grids) - 1) / 7) for i in range(8)})
    for axes, index in zip(subplots(figure, 1, len(shown)), shown, strict=True):
        for line in grids[index]:
            axes.plot(line[:, 0].numpy(), line[:, 1].numpy(), color=INK, linewidth=0.5)
        last = index == len(grids) - 1
        axes.set_title("codes" if index == 0 else "data" if last else f"after {index} of {len(grids) - 1}", fontsize=8)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])


def temperatures(model: Model, figure: Figure, seed: int) -> None:
    """Draws samples of one set of codes at five temperatures."""
    assert isinstance(model, Flow)
    count = 16 if model.space.kind == "image" else 1000
    streams = Streams(seed, "plot", 0, count, device=model.device, dtype=model.dtype)
    condition = model.with_label(None, streams)
    for axes, T in zip(subplots(figure, 1, len(TEMPERATURES)), TEMPERATURES, strict=True):
        with torch.inference_mode():
            x = model.decode(model.draw_latent(streams.restarted(), T), condition=condition)
        show_samples(axes, model.space.to_user(x.float()).cpu(), model)
        axes.set_title(f"T = {T:g}", fontsize=8)
