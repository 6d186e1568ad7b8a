"""The training loop of gradient objectives, for one or several players and processes; resuming is exact to the bit.

For each step the objective is given a batch and one random stream per example, and yields losses.  The
optimiser of a loss's player takes its step before the objective continues, so alternating games need no other loop.

Layers that draw random numbers (dropout) draw from torch's generator, seeded with (seed, step, rank) in a fork, so that
the caller's generator is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import GradientObjective, Loss, Model, Streams
from zoo_core.processes import Processes
from zoo_core.randomness import stable_seed
from zoo_core.training import checkpoint
from zoo_core.training.average import Average
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.identity import Facts
from zoo_core.training.journal import Journal
from zoo_core.training.recipe import Recipe, learning_rate, optimiser

__all__ = ["GradientRun"]


@dataclass
class GradientRun:
    """A training run of a gradient objective.

    Args:
        model: model before its first step; trained in place.
        objective: objective that yields the losses of the players.
        recipe: recipe of the run.
        examples: training batches.
        processes: process group of the run.
        folder: folder for checkpoints and log.
        facts: recipe, config and data by key; a checkpoint with other facts is refused.
        checkpoint_every, report_every: number of steps between checkpoints, and between reports.
        show: function that the first process calls with (step, EMA model) at every checkpoint.
        quiet: whether nothing is said about the progress.
    """

    model: Model
    objective: GradientObjective[Any, Any]
    recipe: Recipe
    examples: TrainingBatches
    processes: Processes
    folder: Path
    facts: Facts = field(default_factory=dict)
    checkpoint_every: int = 500
    report_every: int = 50
    show: Callable[[int, Model], None] = lambda step, average: None
    quiet: bool = False
    step: int = 0
    _sums: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.average = Average(self.model, self.recipe.ema)
        self.parameters = {
            name: [p for p in m.parameters() if p.requires_grad] for name, m in self.model.players.items()
        }
        if unknown := set(self.recipe.players) - set(self.parameters):
            there = ", ".join(self.parameters)
            raise IncompatibleError(f"players.{min(unknown)}: {type(self.model).__name__} has the players {there}")
        self.optimisers = {name: optimiser(self.recipe, name, ps) for name, ps in self.parameters.items()}
        self.checkpoints = self.folder / "checkpoints"

    def resume(self) -> None:
        """Resumes from the newest checkpoint; without one, lets the objective initialise the model.

        Raises:
            WeightsError: the checkpoint is damaged, or belongs to another recipe, config or data.
        """
        place = checkpoint.latest(self.checkpoints)
        if place is None:
            self.objective.initialise(self.model, self.examples, self.recipe.seed)
            self.average = Average(self.model, self.recipe.ema)
            return
        tensors, state = checkpoint.read(place)
        checkpoint.require_same(place, state, self.facts)
        for prefix, module in (("model.", self.model), ("average.", self.average.model)):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, its in self.optimisers.items():
            checkpoint.load_optimiser(its, f"optimiser.{name}", tensors)
        self.objective.restore(
            {k.removeprefix("objective."): v for k, v in tensors.items() if k.startswith("objective.")}
        )
        self._sums = {
            k.removeprefix("sum."): v.to(self.processes.device) for k, v in tensors.items() if k.startswith("sum.")
        }
        self.step = state["step"]

    def save(self) -> None:
        """Checks that the weights are finite, and writes a checkpoint."""
        self._require_finite()
        if not self.processes.first:
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.model.state_dict().items()}
        for name, its in self.optimisers.items():
            tensors |= checkpoint.optimiser_tensors(its, f"optimiser.{name}")
        tensors |= {f"objective.{k}": v for k, v in self.objective.state().items()}
        tensors |= {f"sum.{k}": v for k, v in self._sums.items()}
        checkpoint.write(self.checkpoints, self.step, tensors, {"facts": dict(self.facts)})

    def run(self, until: int) -> Model:
        """Trains up to a step, and returns the EMA model.

        Raises:
            ZooError: a loss or a weight is not finite; the message names the last good checkpoint.
        """
        journal = Journal(self.folder, until, self.step, quiet=self.quiet or not self.processes.first)
        self.model.train()
        try:
            while self.step < until:
                self.take_step()
                if self.step % self.report_every == 0 or self.step == until:
                    self._report(journal)
                if self.step % self.checkpoint_every == 0 or self.step == until:
                    self.save()
                    if self.processes.first:
                        self.show(self.step, self.average.model)
        except KeyboardInterrupt:
            self.save()
            raise
        finally:
            journal.close()
        return self.average.model

    def take_step(self) -> None:
        """Trains on one batch: takes an optimiser step for every loss that the objective yields."""
        size, step = self.examples.size, self.step
        part = self.processes.part(size)
        batch = self.examples.batch(step, part, self.processes.device)
        streams = Streams(
            self.recipe.seed, f"train/{step}", step * size + part.start, len(part), device=self.processes.device
        )
        rate = learning_rate(self.recipe, step)
        for name, its in self.optimisers.items():
            its.param_groups[0]["lr"] = rate * self.recipe.players.get(name, {}).get("lr", self.recipe.lr)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stable_seed(self.recipe.seed, "layers", step, self.processes.rank))
            losses = self.objective.losses(self.model, batch, streams)
            while (loss := self._next(losses)) is not None:
                self._descend(loss)
        self.average.update(self.model, step)
        self.step += 1

    def _next(self, losses: object) -> Loss | None:
        with self.processes.autocast():
            return next(losses, None)  # type: ignore[call-overload]

    def _descend(self, loss: Loss) -> None:
        its, parameters = self.optimisers[loss.player], self.parameters[loss.player]
        its.zero_grad()
        loss.value.backward(inputs=parameters)  # type: ignore[no-untyped-call]
        self.processes.average_gradients(parameters)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        its.step()
        name = "loss" if loss.player == "model" else f"loss/{loss.player}"
        # The sums stay where they are computed: reading one would wait for the device at every step.
        none = torch.zeros((), dtype=torch.float64, device=self.processes.device)
        for key, value in {name: loss.value, **loss.terms}.items():
            self._sums[key] = self._sums.get(key, none) + value.detach().to(none)
            self._sums[f"#{key}"] = self._sums.get(f"#{key}", none) + 1.0

    def _report(self, journal: Journal) -> None:
        sums = self.processes.sum(self._sums)
        self._sums = {}
        values = {k: (v / sums[f"#{k}"]).item() for k, v in sorted(sums.items()) if not k.startswith("#")}
        for name, value in values.items():
            if value != value or abs(value) == float("inf"):
                raise self._diverged(f"{name} is {value}")
        journal.report(self.step, values, self.examples.size * min(self.report_every, self.step - journal.begun))

    def _require_finite(self) -> None:
        for name, p in self.model.named_parameters():
            if not torch.isfinite(p).all():
                raise self._diverged(f"{name} has numbers that are not finite")

    def _diverged(self, what: str) -> ZooError:
        last = checkpoint.latest(self.checkpoints)
        kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        return ZooError(f"the run diverged at step {self.step}: {what}; {kept}; try a lower lr, or clip")
