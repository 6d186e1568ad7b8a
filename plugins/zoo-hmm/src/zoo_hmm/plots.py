"""Plots of the states that sequences go through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import data_of
from zoo_core.interfaces import Model
from zoo_core.plots.draw import subplots
from zoo_hmm.model import HiddenMarkov

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["states"]

SEQUENCES = 4


def states(model: Model, figure: Figure, seed: int) -> None:
    """Draws p(state | sequence) over time, dark for 1, and the Viterbi path of the longest of 64 held-out sequences."""
    if not isinstance(model, HiddenMarkov):
        raise IncompatibleError(f"expected a hidden Markov model, not {type(model).__name__}")
    batch = Prepared(model, data_of(model, "test"), seed).first().to(model.device)
    chosen = batch.x.lengths.argsort(descending=True, stable=True)[:SEQUENCES]
    x, given = batch.x[chosen], None if batch.condition is None else batch.condition.rows(chosen)
    with torch.inference_mode():
        posterior, (path, _) = model.posterior(x, condition=given), model.viterbi(x, condition=given)
    panels = subplots(figure, len(chosen), 1)
    figure.set_size_inches(9.0, 1.6 * len(chosen))
    for axes, gamma, best in zip(panels, posterior, path, strict=True):
        axes.imshow(
            gamma.T.cpu().numpy(), aspect="auto", cmap="Blues", vmin=0, vmax=1, origin="lower", interpolation="nearest"
        )
        axes.step(range(len(best)), best.tolist(), where="mid", color="tab:red", linewidth=1.0)
        axes.set_ylabel("state")
        axes.set_yticks(range(model.states) if model.states <= 8 else [0, model.states - 1])
    panels[0].set_title("p(state | sequence), and the most probable path", fontsize=9)
    panels[-1].set_xlabel("time")
