"""Labels as vectors that are added to the embedding of time (Dhariwal & Nichol 2021; Ho & Salimans 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ClassEmbedding"]


class ClassEmbedding(nn.Embedding):
    """One row per label, and a last one, the *null class*, for "no label given".

    All rows begin at zero: a network with classes is at first the unconditional one, whose weights it can start from.

    Args:
        classes: the number of labels, at least 1.
        width: of the time embedding.

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
        """The row of the null class: the number of labels."""
        return self.num_embeddings - 1

    def forward(self, label: Tensor | None, like: Tensor) -> Tensor:  # type: ignore[override]
        """The rows of labels ``(n,)`` in 0 … classes, the last being the null class, as is ``None``.

        Args:
            label: ``(n,)``, ``(1,)`` for all alike, or ``None``.
            like: a tensor on the device where ``None`` is to be answered.

        Returns:
            ``(n, width)`` or ``(1, width)``.
        """
        if label is None:
            label = torch.full((1,), self.null, device=like.device)
        return super().forward(label)
