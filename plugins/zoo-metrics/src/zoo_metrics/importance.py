r"""Bounds of the log-likelihood by importance sampling.

    log p̂_k(x) = log (1/k) Σ_i p(x, z_i)/q(z_i | x),    z_i ~ q(z | x)          (Burda, Grosse & Salakhutdinov 2016)

E log p̂_k is a lower bound of log p(x): k = 1 is the ELBO, and the bound grows with k towards
log p(x).
"""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Model, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics.likelihood import BitsPerDimension, NegativeLogLikelihood

__all__ = ["ImportanceBits", "ImportanceNats"]


class ImportanceNats(NegativeLogLikelihood):
    """The importance-weighted bound −E log p̂_k(x), in nats per sample.

    Args:
        k: number of codes per example, at least 1.
    """

    def __init__(self, k: int) -> None:
        self.k = k

    def source(self) -> Hashable:
        return ("importance", self.k)

    def check(self, model: Model, data: DataSet) -> None:
        if not hasattr(model, "importance_log_prob"):
            raise IncompatibleError(
                f"{type(model).__name__} has no method importance_log_prob(x, k, streams); measure nll"
            )

    def by_default(self, model: Model) -> bool:
        return self.k == 1

    def log_likelihood(self, model: Model, batch: Batch, streams: Streams) -> Tensor:
        answer: Tensor = model.importance_log_prob(batch.x, self.k, streams)  # type: ignore[operator]
        return answer

    def words(self, model: Model) -> str:
        words = "ELBO, one code" if self.k == 1 else f"IWAE, {self.k:,} importance samples"
        return f"{words} per example"


class ImportanceBits(ImportanceNats, BitsPerDimension):
    """The importance-weighted bound in bits per dimension, for data with discrete levels."""

    def check(self, model: Model, data: DataSet) -> None:
        ImportanceNats.check(self, model, data)
        BitsPerDimension.check(self, model, data)

    def by_default(self, model: Model) -> bool:
        return False


def elbo() -> ImportanceNats:
    return ImportanceNats(1)


def elbo_bits() -> ImportanceBits:
    return ImportanceBits(1)


def iwae_5000() -> ImportanceNats:
    return ImportanceNats(5000)


def iwae_5000_bits() -> ImportanceBits:
    return ImportanceBits(5000)
