r"""Metrics by a classifier of samples, which is the data set's extractor.

The Inception Score (Salimans et al. 2016), here with the data set's own classifier in place of Inception,

    IS = exp E KL( p(y | x) ‖ p(y) ) = exp ( H(E p(y | x)) − E H(p(y | x)) ),

is at most the number of classes, and depends only on predicted classes.  *Class accuracy* is the share of samples that
are classified as the requested class, or, for an unconditional model, as one of the classes in its training data.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import real
from zoo_metrics.extractor import extractor_for

__all__ = ["ClassAccuracy", "Classified", "InceptionScore", "inception_score"]

BLOCKS = 10


@dataclass(frozen=True)
class Classified:
    """Sums over samples, in blocks by index modulo ten.

    Attributes:
        data: data set that the samples are compared with.
        n: numbers of samples, ``(10,)``.
        probabilities: sums Σ p(y | x), ``(10, classes)``.
        negentropy: sums Σ Σ_y p log p, ``(10,)``.
        right: numbers of samples that are classified as requested, ``(10,)``.
    """

    data: DataSet
    n: Tensor
    probabilities: Tensor
    negentropy: Tensor
    right: Tensor


def inception_score(n: float, probabilities: Tensor, negentropy: float) -> float:
    """Computes exp of the mutual information of class and sample, from sums over n samples."""
    marginal = probabilities / n
    return math.exp(negentropy / n - torch.special.xlogy(marginal, marginal).sum().item())


class ClassifierMetric(Metric[Classified]):
    """The base of both metrics, which share one pass of the classifier."""

    uses = "samples"

    def shares(self) -> Hashable:
        return "classified"

    def size(self, data: DataSet) -> int:
        return real.size(data)

    def check(self, model: Model, data: DataSet) -> None:
        extractor_for(data)
        real.check(model, data)

    def init(self, model: Model, data: DataSet) -> Classified:
        self.check(model, data)
        zeros = torch.zeros(BLOCKS, dtype=torch.float64)
        return Classified(data, zeros, torch.zeros(BLOCKS, 10, dtype=torch.float64), zeros, zeros)

    def update(self, state: Classified, model: Model, batch: Batch, streams: Streams) -> Classified:
        log_p = extractor_for(state.data)(batch.x)[1].double()
        p, guess = log_p.exp(), log_p.argmax(1)
        if batch.condition is not None and "label" in batch.condition:
            right = guess == batch.condition["label"].cpu()
        else:
            assert state.data.y is not None
            right = torch.isin(guess, torch.unique(state.data.y))
        block_of = torch.arange(streams.start, streams.start + len(batch)) % BLOCKS
        to_block = torch.nn.functional.one_hot(block_of, BLOCKS).double().mT
        new = Classified(
            state.data, to_block.sum(1), to_block @ p, to_block @ (p * log_p).sum(1), to_block @ right.double()
        )
        return self.merge(state, new)

    def merge(self, a: Classified, b: Classified) -> Classified:
        return replace(
            a,
            n=a.n + b.n,
            probabilities=a.probabilities + b.probabilities,
            negentropy=a.negentropy + b.negentropy,
            right=a.right + b.right,
        )

    def protocol(self, state: Classified) -> str:
        """Describes the classifier, for the settings of a result."""
        return f"classifier {extractor_for(state.data).name}, {state.data.levels} levels"


class InceptionScore(ClassifierMetric):
    """The Inception Score by the data set's own classifier, with a jackknife error over ten blocks."""

    def compute(self, state: Classified) -> Result:
        n = int(state.n.sum())
        real.check_count(n)
        p, negentropy = state.probabilities.sum(0), state.negentropy.sum()
        left_out = [
            inception_score(
                n - state.n[b].item(), p - state.probabilities[b], (negentropy - state.negentropy[b]).item()
            )
            for b in range(BLOCKS)
        ]
        variance = torch.tensor(left_out, dtype=torch.float64).var(correction=0).item()

        def scores(log_p: Tensor) -> dict[str, float]:
            q = log_p.double().exp()
            return {"is": inception_score(len(q), q.sum(0), (q * log_p.double()).sum().item())}

        anchors = real.anchors(scores, real.log_probabilities, state.data, n).get("is", {})
        value = inception_score(n, p, negentropy.item())
        return Result(value, math.sqrt((BLOCKS - 1) * variance), n, "", "higher", anchors, self.protocol(state))


class ClassAccuracy(ClassifierMetric):
    """The share of samples that are classified as the requested class."""

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if data.y is None or (len(torch.unique(data.y)) == 10 and "label" not in model.conditions):
            raise IncompatibleError(
                f"every class of {data.name} would be correct for an unconditional model of all classes"
            )

    def compute(self, state: Classified) -> Result:
        n = int(state.n.sum())
        real.check_count(n)
        share = state.right.sum().item() / n
        stderr = math.sqrt(share * (1 - share) / n)
        return Result(share, stderr, n, "", "higher", self.anchors(state), self.protocol(state))

    def anchors(self, state: Classified) -> dict[str, float]:
        """Measures the classifier's accuracy on real test images, the baseline."""
        test = real.test_split(state.data) if state.data.split == "train" else None
        if test is None or test.y is None:
            return {}
        guess = real.log_probabilities(test).argmax(1)
        return {real.FLOOR: (guess == test.y).double().mean().item()}
