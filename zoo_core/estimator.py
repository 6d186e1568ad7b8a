"""A scikit-learn estimator over any family of the zoo: ``fit``, ``sample``, ``score_samples``.

>>> from zoo_core.estimator import ZooEstimator
>>> estimator = ZooEstimator("nsf", recipe={"steps": 500}).fit(X)  # doctest: +SKIP
>>> estimator.score_samples(X)  # doctest: +SKIP

It needs scikit-learn: ``pip install 'zoo-core[datasets]'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Density, can
from zoo_core.sampling import sample
from zoo_core.training.fit import fit

__all__ = ["ZooEstimator"]


class ZooEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Learns the distribution of the rows of an array with a family of the zoo.

    Args:
        family: name of a family that learns points, such as ``"gmm"``, ``"nsf"`` or ``"flow-matching"``.
        config: values of the family's config that differ from its recipe's.
        recipe: values of the recipe that differ, such as ``{"steps": 500}``.
        minutes: time to train in; the recipe's steps unless given.
        random_state: seed of all random numbers, an integer.

    Attributes:
        model_: trained model.
        n_features_in_: number of columns that were seen.
    """

    def __init__(
        self,
        family: str = "gmm",
        *,
        config: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
        minutes: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.family = family
        self.config = config
        self.recipe = recipe
        self.minutes = minutes
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ZooEstimator:
        """Trains the family on all rows.

        Args:
            X: numbers, ``(n, d)``, n at least 2.
            y: not used; here for pipelines.
        """
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.model_ = fit(
            self.family,
            rows,
            held_out=0.0,
            minutes=self.minutes,
            seed=int(self.random_state),
            config=dict(self.config or {}),
            **dict(self.recipe or {}),
        )
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Computes the log-density of each row, ``(n,)``, in nats and in the units of ``X``.

        Raises:
            IncompatibleError: the family has no density.
        """
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        model: Any = self.model_
        if not can(model, Density):
            raise IncompatibleError(f"{self.family} has no density; choose a family that is a Density (zoo families)")
        space = model.space
        inside = space.from_user(torch.from_numpy(rows))
        with torch.inference_mode():
            log_p = model.log_prob(inside.to(model.state_dtype))
        volume = 0.0 if space.encoding is None else space.encoding.log_volume
        return np.asarray(log_p.double().numpy() - volume)

    def score(self, X: Any, y: Any = None) -> float:
        """Computes the mean log-density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, seed: int = 0) -> np.ndarray:
        """Draws rows, ``(n_samples, d)``; row i depends on the seed and on i only."""
        check_is_fitted(self, "model_")
        drawn = sample(self.model_, n_samples, seed=seed)
        return np.asarray(drawn.double().numpy())
