"""The loop of statistics objectives: sum expected statistics over the data and the processes, then maximise.

It stops when the mean log-likelihood grows by less than the tolerance, and keeps the best of some restarts.  An
iteration is a function of the parameters and the data alone, so a run goes on from a checkpoint as if nothing had
happened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import ZooError
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
    """Fits a model and leaves the best of the restarts in it.

    Args:
        model: its parameters are replaced.
        data: all examples, on the model's side.
        objective: closed-form maximum likelihood, EM, Baum–Welch.
        batch: number of examples that the objective is given at once; each process's whole share unless given.
        restarts: starts, each from its own seed.
        tolerance: stop when the mean log-likelihood grows by less, in nats.
        iterations: at most so many per restart.
        stop: number of iterations after which the first restart that gets there is left as it is, to be gone on with.
        seed: of the starts.
        processes: each takes its share of the data.
        folder: for checkpoints, one after every iteration; none are written unless given.
        facts: what the run is; a checkpoint that was written with others is refused.
        progress: is told ``(restart, iteration, mean log-likelihood)``.

    Returns:
        The mean log-likelihood before each iteration of the best restart, in nats.

    Raises:
        ZooError: no restart could be fitted.
        WeightsError: the checkpoint belongs to another run.
    """
    run = _Run(model, folder, processes, facts or {})
    part = processes.part(len(data)) if processes else range(len(data))
    size = batch or max(len(part), 1)
    spans = [torch.arange(start, min(start + size, part.stop)) for start in range(part.start, part.stop, size)]
    share = [data.rows(span).to(model.device) for span in spans[:1]] if len(spans) == 1 else None

    def summed() -> dict[str, Tensor]:
        """The statistics of this process's share, batch by batch; one batch is read once and kept."""
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
        raise failure or ZooError(f"restarts = {restarts}; at least 1 is needed")
    model.load_state_dict(run.best)
    return run.best_history


SAME = 1e-6
"""Mean log-likelihoods that differ by less, in nats, are of the same optimum."""


class _Run:
    """Where a fit stands: the history of this restart, and the best one so far."""

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
        """Whether the likelihood has stopped growing."""
        return len(self.history) >= 2 and abs(self.history[-1] - self.history[-2]) < tolerance

    def keep(self) -> None:
        """Keeps this restart's parameters if they are the best so far, by more than rounding.

        Restarts often end at one optimum, in another order of the components: the first of them stays, whatever the
        order in which machines add.
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
