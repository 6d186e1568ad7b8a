r"""Samplers that complete what no order begins with, by weighted draws: exact in the limit of many.

**any-order** (tables).  The unknown cells are drawn from the network's own conditional distributions,
q(x_U | x_K), which training brings near those of p.  Of several proposals one is kept, with probability proportional to

    w = p(x)/q(x_U | x_K),        p(x) the density of the columns' own order

(sampling importance resampling; Rubin 1987).  One proposal is q itself.

**particles** (masked autoencoders).  k copies of each sample go through the pixels in order: an unknown pixel is drawn,
a known one is given, and multiplies the copy's weight by its probability given the pixels before it.  After each row of
pixels the copies are drawn again by their weights (the bootstrap filter; Gordon, Salmond & Smith 1993).  With several
masks this is done for each, and one is chosen by its estimate of p_m(x_known).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from zoo_autoregressive.ancestral import Ancestral
from zoo_autoregressive.made import MADE
from zoo_autoregressive.table import AutoregressiveTable
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, Density, DirectSampler, Sampler, Streams, Values

__all__ = ["AnyOrderCompletion", "Particles"]


class AnyOrderCompletion(Sampler[AutoregressiveTable]):
    """Completion of tables, whatever is known of a row.

    Args:
        proposals: number of weighted proposals of each row, of which one is kept; 1 for the learned conditional
            distributions as they are.

    Raises:
        IncompatibleError: ``proposals`` is below 1.
    """

    name = "any-order"
    needs = (Density, DirectSampler)
    completes = True

    def __init__(self, proposals: int = 1) -> None:
        if proposals < 1:
            raise IncompatibleError(f"proposals = {proposals}; expected at least 1")
        self.proposals = proposals

    def fits(self, model: AutoregressiveTable) -> str | None:
        return None if isinstance(model, AutoregressiveTable) else "is for models of tables in any order"

    def draw(self, model: AutoregressiveTable, call: Call) -> Tensor:
        return model.draw(call.streams)

    def complete(self, model: AutoregressiveTable, x: Values, known: Tensor, call: Call) -> Tensor:
        assert isinstance(x, Tensor)  # rows of a table have a fixed shape
        columns = model.known_columns(known)
        made = [model.drawn(x, columns, call.streams) for _ in range(self.proposals)]
        chosen = made[0]
        if self.proposals > 1:
            none = torch.zeros_like(columns)
            weights = [model.chain(one, none, ~none) - model.chain(one, columns, ~columns) for one in made]
            which = call.streams.categorical(torch.stack(weights, 1).double().softmax(1))
            chosen = torch.stack(made, 1)[torch.arange(len(x), device=x.device), which]
        return torch.where(known, x, chosen.to(x.dtype))


class Particles(Sampler[MADE]):
    """Completion of bits, whatever is known of a sample.

    Args:
        particles: number of weighted copies of each sample.

    Raises:
        IncompatibleError: ``particles`` is below 1.
    """

    name = "particles"
    needs = (Density, DirectSampler)
    completes = True

    def __init__(self, particles: int = 64) -> None:
        if particles < 1:
            raise IncompatibleError(f"particles = {particles}; expected at least 1")
        self.particles = particles

    def fits(self, model: MADE) -> str | None:
        return None if isinstance(model, MADE) else "is for masked autoencoders"

    def draw(self, model: MADE, call: Call) -> Tensor:
        return model.draw(call.streams)

    def complete(self, model: MADE, x: Values, known: Tensor, call: Call) -> Tensor:
        clean = cast(Tensor, x).masked_fill(~known, 0.0)
        runs = [self._filtered(model, mask, clean, known, call.streams) for mask in range(model.masks)]
        made, evidence = zip(*runs, strict=True)
        which = call.streams.categorical(torch.stack(evidence, 1).double().softmax(1))
        chosen = torch.stack(made, 1)[torch.arange(len(clean), device=clean.device), which]
        return torch.where(known, clean, chosen.view_as(clean).to(clean.dtype))

    def _filtered(self, model: MADE, mask: int, x: Tensor, known: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """Completes samples by one mask.

        Returns:
            Pixels ``(n, dimensions)``, and estimates of log p_m of the known ones, ``(n,)``.
        """
        n, k, d = len(x), self.particles, model.dimensions
        values, given = x.flatten(1).to(streams.dtype), known.flatten(1)
        run = Ancestral(model, mask, n * k, streams.dtype)
        weights, evidence = values.new_zeros(n, k, dtype=torch.float64), values.new_zeros(n, dtype=torch.float64)
        every = model.space.sizes[-1]
        first = torch.arange(n, device=values.device)[:, None] * k
        for step, pixel in enumerate(run.order.tolist()):
            logits = run.logits().view(n, k)
            fixed, value = given[:, pixel, None], values[:, pixel, None].expand(-1, k)
            drawn = (streams.uniform(k) < torch.sigmoid(logits)).to(values.dtype)
            gain = -functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
            weights = weights + torch.where(fixed, gain, 0.0)
            run.append(torch.where(fixed, value, drawn).flatten())
            if (step + 1) % every == 0 or step + 1 == d:
                evidence = evidence + weights.logsumexp(1) - math.log(k)
                below = weights.softmax(1).cumsum(1)
                u = streams.uniform(k).to(below.dtype) * below[:, -1:]
                run.keep((first + torch.searchsorted(below, u, right=True).clamp(max=k - 1)).flatten())
                weights = torch.zeros_like(weights)
        return run.pixels().view(n, k, d)[:, 0], evidence
