r"""Reflow: training a flow on the (noise, sample) pairs of a teacher flow (Liu et al. 2023, §2.2).

    ε ~ N(0, I),    x = the end of the teacher's ODE that begins at ε,    min E ‖u(x_t, t) − (ε − x)‖²,

with x_t on the straight line between the two.  No convex transport cost increases (their theorem 3.5), and the
straightness of the trajectories (see :mod:`zoo_flow_matching.straightness`) falls as 1/k in the number of reflows
(their theorem 3.7); on straight trajectories one step of Euler's method is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Denoiser, GradientObjective, Loss, Model, Streams
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve
from zoo_core.samplers.path import PathSampler
from zoo_flow_matching.model import RectifiedFlow
from zoo_flow_matching.objective import velocity_loss

__all__ = ["Reflow"]

AT_ONCE = 250
"""Pairs that are made at once; only the last part of them is shorter."""


class Reflow(GradientObjective[RectifiedFlow]):
    """Flow matching on a teacher's pairs; of the training data only the conditions are used.

    Pair j is a function of (seed, j), made when it is first needed and then kept; example i of the run uses pair i mod
    ``pairs``.  A model that draws its condition gets pairs with drawn conditions.

    Args:
        teacher: model on a path, a name for ``zoo load``; its weights are frozen.
        sampler: registered name of the teacher's sampler, which must add no noise.
        steps: number of steps of that sampler, at least 1.
        pairs: number of pairs; 0 for new pairs at every step.

    Raises:
        ValueError: a negative number of pairs, or fewer than one step.
    """

    def __init__(self, teacher: str, sampler: str = "ddim", steps: int = 20, pairs: int = 0) -> None:
        if pairs < 0 or steps < 1:
            raise ValueError(f"pairs = {pairs} and steps = {steps}; expected pairs ≥ 0 and steps ≥ 1")
        self.name, self.sampler_name, self.steps, self.pairs = teacher, sampler, steps, pairs
        self._teacher: Model | None = None
        self._sampler: PathSampler | None = None
        self._parts: dict[int, tuple[Tensor, Tensor, Condition | None]] = {}

    def losses(self, model: RectifiedFlow, batch: Batch, streams: Streams) -> Iterator[Loss]:
        t = streams.uniform(1).squeeze(1)
        if self.pairs and (batch.condition is None or model.examples is not None):
            noise, x, condition = self._kept(model, streams)
        else:  # the conditions are those of the batch, so pairs are made for them
            condition = batch.condition
            noise, x = self.make(model, streams, condition)
        yield Loss(velocity_loss(model, x, noise, t, condition))

    def make(self, model: Model, streams: Streams, condition: Condition | None = None) -> tuple[Tensor, Tensor]:
        """Makes one pair per stream: noise, and the sample at the end of the teacher's ODE.

        Raises:
            IncompatibleError: the teacher is no path model or has another sample space, or its sampler adds noise.
        """
        teacher, sampler = self._ready(model, streams.device)
        noise = streams.normal(*model.space.sizes)
        with torch.no_grad():
            assert isinstance(teacher, Denoiser)
            head = teacher.path.sigma(sampler.times(teacher)[0]) * noise
            return noise, sampler.sample(teacher, streams, condition=condition, noise=head)

    def _kept(self, model: RectifiedFlow, streams: Streams) -> tuple[Tensor, Tensor, Condition | None]:
        """Returns the pairs of some streams; they are made, with their neighbours, when the first is needed."""
        rows = streams.indices % self.pairs
        needed: list[int] = sorted(set((rows // AT_ONCE).tolist()))
        for part in needed:
            if part not in self._parts:
                self._parts[part] = self._part(model, streams, part * AT_ONCE)
        found = [self._parts[part] for part in needed]
        place = torch.searchsorted(torch.tensor(needed, device=rows.device), rows // AT_ONCE) * AT_ONCE + rows % AT_ONCE
        noise, x = torch.cat([part[0] for part in found])[place], torch.cat([part[1] for part in found])[place]
        conditions = [part[2] for part in found if part[2] is not None]
        if not conditions:
            return noise, x, None
        joined = {name: torch.cat([each[name] for each in conditions])[place] for name in conditions[0]}
        return noise, x, Condition(**joined)

    def _part(self, model: RectifiedFlow, like: Streams, first: int) -> tuple[Tensor, Tensor, Condition | None]:
        """Makes some of the kept pairs, from their own streams."""
        count = min(AT_ONCE, self.pairs - first)
        condition = model.draw_condition(Streams(like.seed, "reflow condition", first, count, device=like.device))
        noise, x = self.make(model, Streams(like.seed, "reflow", first, count, device=like.device), condition)
        return noise, x, condition

    def _ready(self, model: Model, device: torch.device) -> tuple[Model, PathSampler]:
        if self._teacher is None or self._sampler is None:
            teacher = load(self.name)
            if not isinstance(teacher, Denoiser) or teacher.space != model.space:
                raise IncompatibleError(f"teacher = {self.name!r} draws no samples of this kind along a path")
            # the teacher's registered sampler options do not apply, only the recipe's
            sampler = resolve(plugins.load().catalogue.get("sampler", self.sampler_name).target)(steps=self.steps)
            if not isinstance(sampler, PathSampler) or sampler.stochastic:
                raise IncompatibleError(f"sampler = {self.sampler_name!r} draws noise; reflow needs an ODE: try 'ddim'")
            sampler.check(teacher)
            self._teacher, self._sampler = teacher, sampler
        return self._teacher.to(device), self._sampler
