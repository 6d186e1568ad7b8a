"""Plots of what the hidden units of a machine have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import data_of
from zoo_core.interfaces import Model, Streams
from zoo_core.pictures import grid
from zoo_core.plots.draw import subplots
from zoo_rbm.model import RestrictedBoltzmannMachine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["filters", "reconstructions"]

MOST_FILTERS = 144
ACROSS = 12


def filters(model: Model, figure: Figure, seed: int) -> None:
    """Draws the weights of each hidden unit, strongest first: white raises its input, black lowers it, grey is 0."""
    machine = _machine(model)
    strongest = machine.W.detach().norm(dim=0).argsort(descending=True)[:MOST_FILTERS]
    weights = machine.W.detach().T[strongest].float().cpu()
    scaled = weights / weights.abs().amax(1, keepdim=True).clamp(min=1e-12)
    _show(figure, (0.5 + 0.5 * scaled).view(-1, *model.space.sizes))


def reconstructions(model: Model, figure: Figure, seed: int) -> None:
    """Draws rows of held-out images, each above a row of their means given hidden bits h ~ p(h | image)."""
    machine = _machine(model)
    data = Prepared(model, data_of(model, "test"), seed)
    n = min(4 * ACROSS, len(data)) // ACROSS * ACROSS
    x = data.rows(torch.arange(n)).x.to(model.device)
    with torch.inference_mode():
        h = machine.draw_hidden(machine.inputs(x), Streams(seed, "plot", 0, n, device=model.device))
        means = machine.mean(machine.a + h @ machine.W.T)
    rows = torch.stack([each.unflatten(0, (-1, ACROSS)) for each in (x, means)], dim=1)
    _show(figure, model.space.to_user(rows.flatten(0, 2)).float().cpu())


def _machine(model: Model) -> RestrictedBoltzmannMachine:
    """Returns the model, which must be a machine of images."""
    if not isinstance(model, RestrictedBoltzmannMachine) or model.space.kind != "image":
        raise IncompatibleError(f"expected a restricted Boltzmann machine of images, not {type(model).__name__}")
    return model


def _show(figure: Figure, images: Tensor) -> None:
    (axes,) = subplots(figure, 1, 1, size=6.0)
    axes.imshow(grid(images, columns=ACROSS), cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
