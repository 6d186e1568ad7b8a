"""A multilayer perceptron with a time input: the denoiser of two-dimensional data sets."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo_nets.class_embedding import ClassEmbedding
from zoo_nets.time_embedding import SpanEmbedding, TimeEmbedding

__all__ = ["TimeMLP"]


class TimeMLP(nn.Module):
    """A perceptron with SiLU from ``(n, features)`` and a time to ``(n, out_features)``.

    The time embedding is concatenated to the input.

    Args:
        features: number of dimensions of the data.
        out_features: number of dimensions of the output.
        width: number of units of each hidden layer.
        depth: number of hidden layers.
        time_width: width of the time embedding.
        classes: number of labels, whose embedding is added to the time embedding; ``None`` for no labels.
        time_scale: factor of the time before it is embedded.  The fastest wave of the embedding has period 2π, so that
            1 separates neighbouring entries of 1000; 0.03 is more accurate where the output changes slowly with time.
        spans: whether the network has a second time input, a span of time, which has no effect at first.
    """

    def __init__(
        self,
        features: int,
        out_features: int,
        width: int = 128,
        depth: int = 3,
        time_width: int = 32,
        classes: int | None = None,
        time_scale: float = 1.0,
        spans: bool = False,
    ) -> None:
        super().__init__()
        self.time_scale = time_scale
        self.time_embedding = TimeEmbedding(time_width, time_width)
        self.class_embedding = None if classes is None else ClassEmbedding(classes, time_width)
        self.span_embedding = SpanEmbedding(time_width, time_width) if spans else None
        sizes = [features + time_width, *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, out_features)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, span: Tensor | None = None) -> Tensor:
        """Computes the output at times ``t``, labels and spans, each ``(n,)``, or ``(1,)`` for all samples."""
        time = self._embedded(t, label, span).expand(len(x), -1)
        return self.head(self.layers(torch.cat([x, time], dim=1)))

    def with_jacobian(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the output y, and its derivatives ∂y_j/∂x_i as ``(n, features, out_features)``.

        Derivatives are computed in forward mode, layer by layer, in one matrix product for each layer, at the cost of
        ``features + 1`` evaluations; they can be differentiated once more.  Both results have the type of ``x``.
        """
        n, features = x.shape
        dtype = self.head.weight.dtype
        time = self._embedded(t, label)
        # Activations and their derivatives are stacked, (1 + features, n, width), since one large product is quicker.
        state = torch.cat([x.to(dtype), time.expand(n, -1)], dim=1)
        h, tangents = state, state.new_empty(0)
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.Linear) and index == 0:
                h, tangents = layer(state), layer.weight.T[:features, None]
            elif isinstance(layer, nn.Linear):
                both = (state.flatten(0, 1) @ layer.weight.T).view(len(state), n, -1)
                h, tangents = both[0] + layer.bias, both[1:]
            else:  # SiLU: h·s with s = sigmoid(h), whose derivative is s·(1 + h·(1 − s))
                s = torch.sigmoid(h)
                state = torch.cat([(h * s)[None], tangents * (s * (1.0 + h * (1.0 - s)))])
        both = (state.flatten(0, 1) @ self.head.weight.T).view(len(state), n, -1)
        return (both[0] + self.head.bias).to(x.dtype), both[1:].transpose(0, 1).to(x.dtype)

    def _embedded(self, t: Tensor, label: Tensor | None, span: Tensor | None = None) -> Tensor:
        time: Tensor = self.time_embedding(self.time_scale * t)
        if self.class_embedding is not None:
            time = time + self.class_embedding(label, t)
        if self.span_embedding is not None:
            time = time + self.span_embedding(span, t)
        return time
