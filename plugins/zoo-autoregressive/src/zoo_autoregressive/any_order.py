r"""Training of an autoregressive model in any order of its columns (Uria et al. 2014; Hoogeboom et al. 2022, eq. 5).

Of the m cells that a row has, t known ones are drawn, with t uniform in 0 … m − 1, and the others are predicted:

    L = E_t E_S [ m/(m − t) Σ_{j ∉ S} −log q(x_j | x_S) ],        |S| = t,

which is the mean of −log p over all orders.  In a share of the rows S is the first t cells of the columns' own order,
the one in which samples are drawn and log p is computed; for these L is the mean of log p in that order.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_autoregressive.table import AutoregressiveTable
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Examples, GradientObjective, Loss, Streams

__all__ = ["AnyOrder"]


class AnyOrder(GradientObjective[AutoregressiveTable, Tensor]):
    """Minimises the mean of −log p over the orders of the columns.

    Args:
        in_order: share of the rows whose known cells are the first ones, in [0, 1].

    Raises:
        IncompatibleError: the share is out of its range.
    """

    def __init__(self, in_order: float = 0.5) -> None:
        if not 0.0 <= in_order <= 1.0:
            raise IncompatibleError(f"in_order = {in_order}; expected a share in [0, 1]")
        self.in_order = in_order

    def initialise(self, model: AutoregressiveTable, data: Examples, seed: int) -> None:
        """Learns the distribution of every column by itself, which is where training begins."""
        model.learn_scales(torch.cat([batch.x for batch in data.batches(4096)]).to(model.last.weight.dtype))

    def losses(self, model: AutoregressiveTable, batch: Batch[Tensor], streams: Streams) -> Iterator[Loss]:
        x = batch.x
        present = ~x.isnan()[:, model.columns.starts]
        known, factor = self.known(present, streams)
        answers = model.last(model.features(model.columns.codes(x), known))
        cells = model.columns.log_prob(x.nan_to_num(0.0), answers)
        each = -factor * torch.where(present & ~known, cells, 0.0).sum(1)
        yield Loss(each.mean() if batch.weights is None else (batch.weights * each).sum() / batch.weights.sum())

    def known(self, present: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """Draws the known cells of each row.

        Args:
            present: cells that a row has, bool ``(n, columns)``.
            streams: random streams, one per row.

        Returns:
            the known cells, bool ``(n, columns)``, and the factors m/(m − t), ``(n,)``.
        """
        columns = present.shape[1]
        key = streams.uniform(columns)
        t, ordered = streams.uniform(2).unbind(1)
        place = torch.arange(columns, device=key.device) / columns
        key = torch.where((ordered < self.in_order)[:, None], place, key).masked_fill(~present, 2.0)
        count = present.sum(1)
        size = (t * count).long()
        rank = key.argsort(1).argsort(1)
        return rank < size[:, None], count / (count - size).clamp(min=1)
