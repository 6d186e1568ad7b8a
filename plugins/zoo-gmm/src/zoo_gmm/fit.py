"""Runs EM to convergence, from several starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

__all__ = ["fit"]


def fit(
    model: GaussianMixture,
    data: Tensor,
    objective: ExpectationMaximisation,
    *,
    restarts: int = 1,
    tolerance: float = 1e-4,
    iterations: int = 100,
    seed: int = 0,
    progress: Callable[[int, int, float], None] = lambda restart, iteration, log_likelihood: None,
) -> list[float]:
    """Fits a mixture and leaves the best of the restarts in it.

    Args:
        model: its parameters are replaced.
        data: on the model's side, ``(n, *shape)``.
        objective: EM with its regularisation.
        restarts: starts, each from its own k-means++.
        tolerance: stop when the mean log-likelihood grows by less, in nats.
        iterations: at most so many per restart.
        seed: of the starts.
        progress: is told ``(restart, iteration, mean log-likelihood)``.

    Returns:
        The mean log-likelihood before each iteration of the best restart, in nats; with ``shrinkage = 0`` it never
        falls (but for what ``reg`` costs).

    Raises:
        ZooError: no restart gave positive definite covariances.
    """
    best: tuple[float, dict[str, Tensor], list[float]] | None = None
    failure: ZooError | None = None
    for restart in range(restarts):
        try:
            objective.initialise(model, data, seed + restart)
            history = _run(model, data, objective, tolerance, iterations, partial(progress, restart))
        except ZooError as err:
            failure = err
            continue
        if best is None or history[-1] > best[0]:
            best = (history[-1], {k: v.clone() for k, v in model.state_dict().items()}, history)
    if best is None:
        raise failure or ZooError(f"restarts = {restarts}; at least 1 is needed")
    model.load_state_dict(best[1])
    return best[2]


def _run(
    model: GaussianMixture,
    data: Tensor,
    objective: ExpectationMaximisation,
    tolerance: float,
    iterations: int,
    progress: Callable[[int, float], None],
) -> list[float]:
    history: list[float] = []
    for i in range(iterations):
        statistics = objective.statistics(model, Batch(data))
        history.append((statistics["log_likelihood"] / statistics["count"]).item())
        progress(i, history[-1])
        if i > 0 and abs(history[-1] - history[-2]) < tolerance:
            break
        objective.maximise(model, statistics)
    return history
