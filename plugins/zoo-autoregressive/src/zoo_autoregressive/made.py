r"""Masked autoencoders of black and white images (MADE; Germain et al. 2015, arXiv:1502.03509).

One network computes the odds of every pixel given the pixels before it, because its weights are masked
(:mod:`zoo_autoregressive.orders`):

    log p_m(x) = Σ_i log Bernoulli(x_i; σ(a_i(x_{<i}; m))),
    h¹ = r(b¹ + (W¹ ∘ M¹) x),    h^l = h^{l−1} + r(b^l + (W^l ∘ M^l) h^{l−1}),    a = c + (V ∘ M^V) h^L + (U ∘ M^U) x,

with r(z) = max(z, 0).  All hidden layers have the same degrees, so that the sum with the layer before is allowed.  The
same weights serve k masks, whose orders or degrees differ, and the model is the mixture of all of them,

    p(x) = (1/k) Σ_m p_m(x),

which is exact, and which samples have: a mask is drawn, and then one pixel after the other.

**Completion.**  Where the known pixels are the first ones in the order of every mask, the others are drawn given them:
the mask with probability ∝ p_m(x_known), then pixel by pixel.  Other sets of known pixels are completed by the sampler
``particles``, exactly in the limit of many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.ancestral import Ancestral
from zoo_autoregressive.orders import Order, degrees, positions
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Completer, Condition, Density, DirectSampler, Model, SampleSpace, Streams

__all__ = ["MADE"]


class MADE(Model, Density, DirectSampler, Completer):
    """A masked autoencoder of bits.

    Args:
        shape: shape of a sample; three axes are an image.
        hidden: units of the hidden layers: as many in each, and at least one layer.
        masks: number k of masks that share the weights.
        order: order of the pixels, ``raster`` (row by row; the masks differ in the degrees of hidden units) or
            ``random`` (another order for each mask).
        direct: whether outputs see the inputs directly too.

    Raises:
        IncompatibleError: an argument is out of its range.
    """

    discrete = binarises = True
    position: Tensor
    degree: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (500, 500),
        masks: int = 1,
        order: Order = "raster",
        direct: bool = True,
    ) -> None:
        super().__init__()
        self.dimensions = d = math.prod(shape)
        if d < 1 or masks < 1 or not hidden or min(hidden) < 1 or len(set(hidden)) != 1:
            raise IncompatibleError(
                f"shape = {list(shape)}, hidden = {list(hidden)}, masks = {masks}; expected at least one pixel, one "
                "mask and one hidden layer, and as many units in every layer"
            )
        if order not in get_args(Order):
            raise IncompatibleError(f"order = {order!r}; expected {' or '.join(get_args(Order))}")
        self.space = SampleSpace.of(shape, 0.0, 1.0)
        self.layers = nn.ModuleList(nn.Linear(below, hidden[0]) for below in [d, *hidden[1:]])
        self.last = nn.Linear(hidden[0], d)
        self.direct = nn.Parameter(torch.zeros(d, d)) if direct else None
        self.register_buffer("position", positions(d, masks, order), persistent=False)
        self.register_buffer("degree", degrees(hidden[0], d, masks), persistent=False)

    @property
    def masks(self) -> int:
        """The number of masks."""
        return len(self.position)

    def weights(self, mask: int) -> list[Tensor]:
        """Returns the masked weights W¹ … W^L, V and, where there is one, U."""
        position, degree = self.position[mask], self.degree[mask]
        seen = [position <= degree[:, None], *[degree <= degree[:, None]] * (len(self.layers) - 1)]
        seen.append(degree < position[:, None])
        found = [layer.weight * m for layer, m in zip([*self.layers, self.last], seen, strict=True)]
        return found if self.direct is None else [*found, self.direct * (position < position[:, None])]

    def biases(self) -> list[Tensor]:
        """Returns the biases b¹ … b^L and c."""
        return [layer.bias for layer in [*self.layers, self.last]]

    def logits(self, x: Tensor, mask: int = 0) -> Tensor:
        """Computes the log-odds a of every pixel given those before it.

        Args:
            x: zeros and ones, ``(n, *shape)`` or ``(n, dimensions)``.
            mask: number of the mask.

        Returns:
            log-odds, ``(n, dimensions)``.
        """
        x = x.flatten(1).to(self.last.weight.dtype)
        weights, biases = self.weights(mask), self.biases()
        h = functional.relu(functional.linear(x, weights[0], biases[0]))
        for weight, bias in zip(weights[1 : len(self.layers)], biases[1:], strict=False):
            h = h + functional.relu(functional.linear(h, weight, bias))
        answer = functional.linear(h, weights[len(self.layers)], biases[-1])
        return answer if self.direct is None else answer + functional.linear(x, weights[-1])

    def pixel_log_prob(self, x: Tensor, mask: int = 0) -> Tensor:
        """Computes log p_m of each pixel given those before it, ``(n, dimensions)``."""
        logits = self.logits(x, mask)
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        return -functional.binary_cross_entropy_with_logits(logits, x.flatten(1).to(logits.dtype), reduction="none")

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        each = torch.stack([self.pixel_log_prob(x, mask).sum(1) for mask in range(self.masks)])
        return each.logsumexp(0) - math.log(self.masks)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        which = streams.integers(self.masks)
        return self._ancestral(which, streams, None, None)

    def completes(self, known: Tensor) -> str | None:
        flat = known.flatten(1)
        for position in torch.unique(self.position, dim=0):
            ordered = flat[:, position.argsort().to(flat.device)]
            if bool((ordered[:, 1:] & ~ordered[:, :-1]).any()):
                return "draws pixels in its own order, and what is known is not the beginning of it"
        return None

    def complete(self, x: Tensor, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws the unknown pixels given the known ones, which are the first of every mask's order."""
        clean = x.masked_fill(~known, 0.0)
        evidence = [
            self.pixel_log_prob(clean, mask).masked_fill(~known.flatten(1), 0.0).sum(1) for mask in range(self.masks)
        ]
        which = streams.categorical(torch.stack(evidence, 1).double().softmax(1))
        return torch.where(known, x, self._ancestral(which, streams, clean, known).to(x.dtype))

    def _ancestral(self, which: Tensor, streams: Streams, x: Tensor | None, known: Tensor | None) -> Tensor:
        """Draws pixel by pixel by the mask of each row, ``which``; known pixels are those of ``x``."""
        u = streams.uniform(self.dimensions)
        made = u.new_empty(len(u), self.dimensions)
        for mask in torch.unique(which).tolist():
            rows = (which == mask).nonzero().squeeze(1)
            run = Ancestral(self, mask, len(rows), u.dtype)
            given = None if x is None or known is None else (x.flatten(1)[rows], known.flatten(1)[rows])
            made[rows] = run.through(u[rows], given)
        return made.view(len(u), *self.space.sizes)
