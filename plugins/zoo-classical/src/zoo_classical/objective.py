"""Maximum likelihood, and the mode of the posterior, from sums over the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo_classical.estimation import Estimated
from zoo_core.interfaces import Batch, Examples, StatisticsObjective

__all__ = ["ClosedForm"]


class ClosedForm(StatisticsObjective[Estimated, Tensor]):
    """Maximises the likelihood, or likelihood times prior, from sums over the data.

    One pass is enough for all families but logistic regression, whose passes are Newton steps.  A weight of an example
    counts it as often.

    Args:
        prior: parameters of the family's conjugate prior (``{"alpha": 2, "beta": 2}`` of a probability); what is left
            out is flat, so that without a prior the estimate is that of maximum likelihood.

    Raises:
        ValueError: ``prior`` is no table.
    """

    weighs = True

    def __init__(self, prior: Mapping[str, Any] | None = None) -> None:
        if not isinstance(prior, Mapping | None):
            raise ValueError(f"prior = {prior!r}; expected a table, such as prior.alpha = 2")
        self.prior = dict(prior or {})

    def initialise(self, model: Estimated, data: Examples, seed: int) -> None:
        model.begin(data.first())

    def statistics(self, model: Estimated, batch: Batch[Tensor]) -> dict[str, Tensor]:
        return model.statistics(batch)

    def maximise(self, model: Estimated, statistics: Mapping[str, Tensor]) -> None:
        model.maximise(statistics, self.prior)
