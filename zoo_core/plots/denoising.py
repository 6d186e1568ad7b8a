"""Plots of samples, of the denoising trajectory and of the noising of data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo_core import datasets
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser, Frame, Model, Streams
from zoo_core.plots.draw import INK, show_samples, subplots
from zoo_core.sampling import quick_sampler, sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["noising", "samples", "trajectory"]


def samples(model: Model, figure: Figure, seed: int) -> None:
    """Draws 2,000 points or table rows, or 64 samples of another kind."""
    count = 2000 if model.space.kind in ("points", "table") else 64
    (axes,) = subplots(figure, 1, 1, size=5.0)
    show_samples(axes, sample(model, count, seed=seed, sampler=quick_sampler(model, 200), batch_size=count), model)


def trajectory(model: Model, figure: Figure, seed: int) -> None:
    """Draws eight moments of sampling: the state x_t in the upper row, the prediction x̂ in the lower."""
    count = 16 if model.space.kind == "image" else 1000
    seen: list[Frame] = []
    chosen = quick_sampler(model, 200)
    sample(model, count, seed=seed, sampler=chosen, batch_size=count, observer=lambda _, frame: seen.append(frame))
    if not seen:
        raise IncompatibleError(
            f"the sampler {type(chosen).__name__.lower()} draws in a single step; there is no trajectory"
        )
    moments = [seen[round(i * (len(seen) - 1) / 7)] for i in range(8)]
    axes = subplots(figure, 2, 8, size=1.6)
    reach = max(float(frame.state.abs().max()) for frame in moments)
    for column, frame in enumerate(moments):
        for row, values in enumerate((frame.state, frame.data)):
            at = axes[row * 8 + column]
            show_samples(at, model.space.to_user(values.float()).cpu(), model)
            at.set_xticks([])
            at.set_yticks([])
            # A common scale makes the shrinking of the samples visible.
            if model.space.kind == "points" and model.space.shape[0] in (1, 2):
                at.set_xlim(-reach, reach)
                at.set_ylim(-reach, reach)
        axes[column].set_title(f"step {frame.step}", fontsize=8)


def noising(model: Model, figure: Figure, seed: int) -> None:
    """Draws histograms of the noisy training data at five times of the path, against N(0, 1)."""
    assert isinstance(model, Denoiser)
    if model.entry is None or "data" not in model.entry.recipe:
        raise IncompatibleError("plot 'noising' shows the model's own data, and this one has no recipe that names them")
    data = datasets.load(**{k: v for k, v in model.entry.recipe["data"].items() if k != "n"}, n=2000)
    x = Prepared(model, data).rows(torch.arange(len(data))).x
    noise = Streams(seed, "plot", 0, len(x)).normal(*x.shape[1:])
    axes = subplots(figure, 1, 5)
    grid = torch.linspace(-4, 4, 200)
    for at, t in zip(axes, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
        values = model.path.diffuse(x, noise, t).flatten()
        at.hist(values.numpy(), bins=80, range=(-4, 4), density=True, color=INK)
        at.plot(grid.numpy(), torch.exp(-0.5 * grid**2).numpy() / 2.5066, color="black", linewidth=0.8)
        at.set_title(f"t = {t:g}: α {model.path.alpha(t):.2f}, σ {model.path.sigma(t):.2f}", fontsize=8)
        at.set_ylim(0, 1)
