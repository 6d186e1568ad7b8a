"""Embeds labels as vectors that are added to the time embedding (Dhariwal & Nichol 2021; Ho & Salimans 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ClassEmbedding"]


class ClassEmbedding(nn.Embedding):
    """An embedding with one row per label and a last row, the *null class*, for "no label given".

    All rows are zero at first, so that a network with classes begins as the unconditional network, and can start from
    its weights.

    Args:
        classes: number of labels, at least 1.
        width: width of the time embedding.

    Raises:
        ValueError: fewer than one class.
    """

    def __init__(self, classes: int, width: int) -> None:
        if classes < 1:
            raise ValueError(f"classes = {classes}; expected at least 1, or none at all")
        super().__init__(classes + 1, width)
        nn.init.zeros_(self.weight)

    @property
    def null(self) -> int:
        """The row number of the null class, which is the number of labels."""
        return self.num_embeddings - 1

    def forward(self, label: Tensor | None, like: Tensor) -> Tensor:  # type: ignore[override]
        """Returns the rows of labels in 0 … classes, where ``classes`` and ``None`` mean the null class.

        Args:
            label: labels, ``(n,)``, or ``(1,)`` for all samples; ``None`` for no label.
            like: tensor whose device the result has where ``label`` is ``None``.

        Returns:
            embeddings, ``(n, width)`` or ``(1, width)``.
        """
        if label is None:
            label = torch.full((1,), self.null, device=like.device)
        return super().forward(label)
