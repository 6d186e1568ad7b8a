"""Maximum likelihood of masked autoencoders, one mask after the other."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from zoo_autoregressive.made import MADE
from zoo_core.interfaces import Batch, Examples, GradientObjective, Loss, Streams

__all__ = ["MaskedLikelihood"]


class MaskedLikelihood(GradientObjective[MADE, torch.Tensor]):
    """Minimises −log p_m(x) of one mask m in every step, taking the masks in turn (Germain et al. 2015, §4.2).

    The mean over the masks is an upper bound of −log p(x), by Jensen's inequality, and equal to it for a single mask.
    """

    def initialise(self, model: MADE, data: Examples, seed: int) -> None:
        """Sets the outputs' biases to the log-odds of each pixel among the first examples."""
        white = data.first().x.flatten(1)
        with torch.no_grad():
            model.last.bias.copy_(torch.logit((white.sum(0) + 0.5) / (len(white) + 1)))

    def losses(self, model: MADE, batch: Batch[torch.Tensor], streams: Streams) -> Iterator[Loss]:
        log_p = model.pixel_log_prob(batch.x, (batch.step or 0) % model.masks).sum(1)
        if batch.weights is None:
            yield Loss(-log_p.mean())
        else:
            yield Loss(-(batch.weights * log_p).sum() / batch.weights.sum())
