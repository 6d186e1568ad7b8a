"""Plots of latent-variable models: interpolation between codes, and a grid of codes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, LatentVariable, Model, Streams
from zoo_core.plots.draw import show_samples, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["interpolation", "latent_grid", "slerp"]


def slerp(a: Tensor, b: Tensor, u: float) -> Tensor:
    """Interpolates spherically, row by row, which preserves the norm of Gaussian codes (Shoemake 1985).

    Args:
        a, b: codes, ``(n, d)``.
        u: position in [0, 1]: 0 gives ``a``, 1 gives ``b``.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1, eps=1e-12).clamp(-1.0, 1.0).unsqueeze(1)
    angle = torch.acos(cosine)
    flat = angle.abs() < 1e-4  # the formula below is 0/0 for parallel codes
    sine = torch.sin(torch.where(flat, torch.ones_like(angle), angle))
    arc = (torch.sin((1 - u) * angle) * a + torch.sin(u * angle) * b) / sine
    return torch.where(flat, (1 - u) * a + u * b, arc)


def interpolation(model: Model, figure: Figure, seed: int) -> None:
    """Draws eight steps between each of six pairs of latent codes; with labels, row i shows class i."""
    assert isinstance(model, LatentVariable)
    a = model.draw_latent(Streams(seed, "plot from", 0, 6))
    b = model.draw_latent(Streams(seed, "plot to", 0, 6))
    with torch.inference_mode():
        rows = [_decoded(model, slerp(a, b, i / 7), torch.arange(6)) for i in range(8)]
    (axes,) = subplots(figure, 1, 1, size=6.0)
    if model.space.kind == "image":
        from zoo_core.pictures import grid

        axes.imshow(grid(torch.stack(rows, dim=1).flatten(0, 1), columns=8), cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        return
    path = torch.stack(rows, dim=1)
    if path.shape[2] != 2:
        raise IncompatibleError(f"there is no picture of points of shape {tuple(path.shape[2:])}")
    for line in path:
        axes.plot(line[:, 0].numpy(), line[:, 1].numpy(), marker="o", markersize=3)


def latent_grid(model: Model, figure: Figure, seed: int) -> None:
    """Draws images over equal-probability quantiles of two latent coordinates; the other ones, and the label, are 0."""
    assert isinstance(model, LatentVariable)
    if model.space.kind != "image":
        raise IncompatibleError(f"a latent grid shows images; this model draws {model.space.kind}")
    width = model.draw_latent(Streams(seed, "plot", 0, 1)).shape[1]
    u = torch.linspace(0.03, 0.97, 12)
    quantiles = math.sqrt(2.0) * torch.erfinv(2 * u - 1)
    z = torch.zeros(144, width)
    z[:, : min(2, width)] = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)[:, :width]
    with torch.inference_mode():
        x = _decoded(model, z, torch.zeros(144, dtype=torch.long))
    (axes,) = subplots(figure, 1, 1, size=6.0)
    show_samples(axes, x, model)


def _decoded(model: Model, z: Tensor, label: Tensor) -> Tensor:
    """Decodes latent codes to the user's side; every condition that is a label takes the value ``label``."""
    assert isinstance(model, LatentVariable)
    labels = {name: (label % spec.classes).to(model.device) for name, spec in model.conditions.items() if spec.classes}
    x = model.decode(z.to(model.device, model.dtype), condition=Condition(**labels) if labels else None)
    return model.space.to_user(x.float()).cpu()
