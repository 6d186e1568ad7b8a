r"""Consistency training, with the techniques of iCT (Song & Dhariwal 2024).

Two neighbouring levels σ_i < σ_{i+1} share one noise ε, and f at the upper level is trained to equal f at the lower
one,

    E [ d( f_θ(x + σ_{i+1}·ε, σ_{i+1}),  sg f_θ(x + σ_i·ε, σ_i) ) / (σ_{i+1} − σ_i) ],

with d the pseudo-Huber distance, i from a discretised lognormal distribution, a growing number of levels, and no EMA of
the target (sg: stop-gradient).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_consistency.grid import discretisation, levels, lognormal_weights, pseudo_huber
from zoo_consistency.model import Consistency
from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Streams
from zoo_core.paths import broadcast

__all__ = ["Training", "consistency_loss"]


class Training(GradientObjective[Consistency]):
    """Consistency training with the techniques of iCT.

    Args:
        steps: number K of steps over which the number of levels grows, usually all of the recipe.
        first, last: numbers of intervals at the beginning and at the end.
        mean, spread: mean and standard deviation of log σ, which is normal.
        huber: constant c of the pseudo-Huber distance; 0.00054·√d unless given.

    Raises:
        ValueError: unless 1 ≤ first ≤ last, steps ≥ 1 and spread > 0.
    """

    def __init__(
        self,
        steps: int = 1000,
        first: int = 10,
        last: int = 1280,
        mean: float = -1.1,
        spread: float = 2.0,
        huber: float | None = None,
    ) -> None:
        if not 1 <= first <= last or steps < 1 or spread <= 0.0:
            raise ValueError(
                f"steps = {steps}, first = {first}, last = {last}, spread = {spread}; "
                "expected steps ≥ 1, 1 ≤ first ≤ last, spread > 0"
            )
        self.steps, self.first, self.last = steps, first, last
        self.mean, self.spread, self.huber = mean, spread, huber

    def losses(self, model: Consistency, batch: Batch, streams: Streams) -> Iterator[Loss]:
        if batch.step is None:
            raise ValueError("the number of levels depends on the training step; expected a batch whose step is set")
        count = discretisation(batch.step, self.steps, self.first, self.last)
        grid = levels(count, model.sigma_min, model.sigma_max)
        index = streams.categorical(lognormal_weights(grid, self.mean, self.spread)).cpu()
        low, high = grid[index].to(batch.x.device), grid[index + 1].to(batch.x.device)
        noise = streams.normal(*batch.x.shape[1:])
        upper, lower = (batch.x + _like(s, batch.x) * noise for s in (high, low))
        yield consistency_loss(model, model, (upper, high), (lower, low), batch.condition, self.huber)


def consistency_loss(
    model: Consistency,
    target: Consistency,
    upper: tuple[Tensor, Tensor],
    lower: tuple[Tensor, Tensor],
    condition: Condition | None,
    huber: float | None = None,
) -> Loss:
    """Computes the batch mean of d(f_θ(upper), sg f_θ⁻(lower))/(σ_{i+1} − σ_i).

    Args:
        model: consistency model f_θ.
        target: target model f_θ⁻, which gets no gradient.
        upper, lower: points on one trajectory, each (z, σ̂) with shapes ``(n, …)`` and ``(n,)``.
        condition: condition of the data, one row per sample.
        huber: constant c of the pseudo-Huber distance; 0.00054·√d unless given.
    """
    said = model.jump(*upper, condition=condition)
    with torch.no_grad():
        wanted = target.jump(*lower, condition=condition)
    gap = pseudo_huber(said, wanted, huber)
    weight = 1.0 / (upper[1] - lower[1])
    return Loss((weight.to(gap.dtype) * gap).mean(), terms={"distance": gap.detach().mean()})


def _like(sigma: Tensor, x: Tensor) -> Tensor:
    """Returns levels ``(n,)``, in a shape that broadcasts against ``x``."""
    return broadcast(sigma.to(x.dtype), x)
