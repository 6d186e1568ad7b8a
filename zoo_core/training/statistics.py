"""The training loop of statistics objectives: sums statistics over the data and the processes, then maximises.

The loop stops when the mean log-likelihood grows by less than the tolerance, and keeps the best restart.  An
iteration is a function of the parameters and the data alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.datasets.prepared import WEIGHT, Prepared
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import Model, StatisticsObjective
from zoo_core.processes import Processes
from zoo_core.training import checkpoint
from zoo_core.training.identity import Facts

__all__ = ["fit"]

Progress = Callable[[int, int, float], None]


def fit(
    model: Model,
    data: Prepared,
    objective: StatisticsObjective[Any, Any],
    *,
    batch: int | None = None,
    restarts: int = 1,
    tolerance: float = 1e-4,
    iterations: int = 100,
    stop: int | None = None,
    seed: int = 0,
    processes: Processes | None = None,
    folder: Path | None = None,
    facts: Facts | None = None,
    progress: Progress = lambda restart, iteration, log_likelihood: None,
) -> list[float]:
    """Fits a model, and leaves the parameters of the best restart in it.

    Args:
        model: model whose parameters are replaced.
        data: all examples, on the model's side.
        objective: statistics objective, such as EM.
        batch: number of examples that the objective is given at once; each process's whole share unless given.
        restarts: number of starts, at least 1, each from its own seed.
        tolerance: growth of the mean log-likelihood at which to stop, in nats.
        iterations: greatest number of iterations per restart.
        stop: number of iterations at which the run is interrupted, in the first restart that reaches it.
        seed: integer that the starts depend on.
        processes: process group whose members share the data.
        folder: folder for checkpoints, one after every iteration; none are written unless given.
        facts: recipe, config and data by key; a checkpoint with other facts is refused.
        progress: function that is called with ``(restart, iteration, mean log-likelihood)``.

    Returns:
        The mean log-likelihood before each iteration of the best restart, in nats.

    Raises:
        IncompatibleError: the examples have weights, and the objective does not use them.
        ZooError: every restart failed.
        WeightsError: the checkpoint belongs to another run.
    """
    if data.weights is not None and not objective.weighs:
        raise IncompatibleError(
            f"{data.data.name} has a column {WEIGHT!r}, and {type(objective).__name__} uses no weights; leave it out"
        )
    run = _Run(model, folder, processes, facts or {})
    part = processes.part(len(data)) if processes else range(len(data))
    size = batch or max(len(part), 1)
    spans = [torch.arange(start, min(start + size, part.stop)) for start in range(part.start, part.stop, size)]
    share = [data.rows(span).to(model.device) for span in spans[:1]] if len(spans) == 1 else None

    def summed() -> dict[str, Tensor]:
        """Returns sums the statistics of this process's share, batch by batch; a single batch is read once and kept."""
        total: dict[str, Tensor] = {}
        for one in share or (data.rows(span).to(model.device) for span in spans):
            for name, value in objective.statistics(model, one).items():
                total[name] = total[name] + value if name in total else value
        return total

    failure: ZooError | None = None
    for restart in range(run.restart, restarts):
        try:
            if not run.history:
                objective.initialise(model, data, seed + restart)
            while not (run.converged(tolerance) or len(run.history) >= iterations):
                if stop is not None and len(run.history) >= stop:
                    break
                statistics = summed()
                statistics = processes.sum(statistics) if processes else statistics
                run.history.append((statistics["log_likelihood"] / statistics["count"]).item())
                progress(restart, len(run.history) - 1, run.history[-1])
                if not run.converged(tolerance):
                    objective.maximise(model, statistics)
                run.save(restart)
            run.keep()
            if stop is not None and stop < iterations and not run.converged(tolerance):
                break
        except ZooError as err:
            failure = err
        run.history = []
        run.save(restart + 1)
    if not run.best:
        raise failure or ZooError(f"restarts = {restarts}; expected at least 1")
    model.load_state_dict(run.best)
    return run.best_history


SAME = 1e-6
"""Difference of mean log-likelihoods, in nats, below which two restarts are taken to have found one optimum."""


class _Run:
    """The state of a fit: the history of the current restart, and the best restart so far."""

    def __init__(self, model: Model, folder: Path | None, processes: Processes | None, facts: Facts) -> None:
        self.model, self.folder, self.facts = model, folder, facts
        self.writes = folder is not None and (processes is None or processes.first)
        self.restart, self.saves = 0, 0
        self.history: list[float] = []
        self.best: dict[str, Tensor] = {}
        self.best_history: list[float] = []
        place = checkpoint.latest(folder) if folder is not None else None
        if place is not None:
            tensors, state = checkpoint.read(place)
            checkpoint.require_same(place, state, facts)
            model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
            self.best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
            self.restart, self.history, self.best_history = state["restart"], state["history"], state["best_history"]
            self.saves = state["step"]

    def converged(self, tolerance: float) -> bool:
        """Returns whether the likelihood has stopped growing."""
        return len(self.history) >= 2 and abs(self.history[-1] - self.history[-2]) < tolerance

    def keep(self) -> None:
        """Keeps this restart's parameters if they are better than the best so far by more than rounding.

        Restarts often find one optimum with its components in another order; the first of them is kept, so that the
        choice does not depend on the order of floating-point sums.
        """
        if not self.best or self.history[-1] > self.best_history[-1] + SAME:
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
            self.best_history = self.history

    def save(self, restart: int) -> None:
        """Writes a checkpoint."""
        self.saves += 1
        if self.writes and self.folder is not None:
            tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
            tensors |= {f"best.{k}": v for k, v in self.best.items()}
            so_far = {"restart": restart, "history": self.history, "best_history": self.best_history}
            checkpoint.write(self.folder, self.saves, tensors, {**so_far, "facts": dict(self.facts)})
