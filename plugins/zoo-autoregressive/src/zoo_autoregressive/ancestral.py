r"""Draws pixel after pixel from a masked autoencoder, each weight being used once.

A hidden unit of degree m is final as soon as the pixel at position m is known.  With inputs sorted by position and
hidden units by degree, those that are final are the first ones, and after pixel m only the units of degree m are
computed.  All D steps together cost one evaluation of the network, where D evaluations would cost D of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from zoo_autoregressive.made import MADE

__all__ = ["Ancestral"]


class Ancestral:
    """The pixels of n samples that are known so far, and the hidden units that are final.

    Args:
        model: masked autoencoder.
        mask: number of the mask.
        n: number of samples.
        dtype: type of the numbers.

    Attributes:
        step: position of the next pixel.
        values: pixels by position, ``(dimensions, n)``; the first ``step`` are known.
    """

    def __init__(self, model: MADE, mask: int, n: int, dtype: torch.dtype) -> None:
        order, units = model.position[mask].argsort(), model.degree[mask].argsort(stable=True)
        weights = [weight.to(dtype) for weight in model.weights(mask)]
        biases = [bias.to(dtype) for bias in model.biases()]
        count = len(model.layers)
        self.order = order
        self.inner = [weights[0][units][:, order], *(weight[units][:, units] for weight in weights[1:count])]
        self.biases = [bias[units, None] for bias in biases[:count]]
        self.outer, self.outer_bias = weights[count][order][:, units], biases[count][order]
        self.direct = weights[-1][order][:, order] if model.direct is not None else None
        ends = torch.bincount(model.degree[mask], minlength=model.dimensions).cumsum(0)
        self.ends = [0, *ends.tolist()]
        self.step = 0
        self.values = self.outer.new_empty(model.dimensions, n)
        self.hidden = [self.outer.new_empty(len(units), n) for _ in range(count)]

    def logits(self) -> Tensor:
        """Computes the log-odds of the next pixel, ``(n,)``."""
        final = self.ends[self.step]
        odds = self.outer[self.step, :final] @ self.hidden[-1][:final] + self.outer_bias[self.step]
        if self.direct is not None:
            odds = odds + self.direct[self.step, : self.step] @ self.values[: self.step]
        return odds

    def append(self, pixel: Tensor) -> None:
        """Makes the next pixel of every sample known, ``(n,)``, and computes the units that become final."""
        self.values[self.step] = pixel
        self.step += 1
        rows = slice(self.ends[self.step - 1], self.ends[self.step])
        if rows.start == rows.stop:
            return
        below = self.values[: self.step]
        for layer, (weight, bias) in enumerate(zip(self.inner, self.biases, strict=True)):
            found = functional.relu(weight[rows, : len(below)] @ below + bias[rows])
            self.hidden[layer][rows] = found if layer == 0 else self.hidden[layer - 1][rows] + found
            below = self.hidden[layer][: rows.stop]

    def keep(self, which: Tensor) -> None:
        """Replaces the samples by some of them, whose numbers are ``which``, ``(n,)``."""
        self.values = self.values[:, which]
        self.hidden = [units[:, which] for units in self.hidden]

    def through(self, u: Tensor, given: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Draws all pixels.

        Args:
            u: uniform numbers in [0, 1), one for each pixel, ``(n, dimensions)``.
            given: pixels and which of them are known, both ``(n, dimensions)``; nothing is known unless given.

        Returns:
            zeros and ones, ``(n, dimensions)``.
        """
        for pixel in self.order.tolist():
            drawn = (u[:, pixel] < torch.sigmoid(self.logits())).to(u.dtype)
            if given is not None:
                drawn = torch.where(given[1][:, pixel], given[0][:, pixel].to(u.dtype), drawn)
            self.append(drawn)
        return self.pixels()

    def pixels(self) -> Tensor:
        """Returns the pixels in the order of the image, ``(n, dimensions)``."""
        made = torch.empty_like(self.values)
        made[self.order] = self.values
        return made.T.contiguous()
