r"""Masked autoregressive layers: z_i = τ(x_i; θ_i(x_1, …, x_{i−1})) (Papamakarios et al. 2017; Kingma et al. 2016).

One network computes all θ_i (MADE; Germain et al. 2015): every hidden unit has a *degree* m in 1 … d − 1 and sees only
units of degree ≤ m, input i has degree i, and θ_i sees only units of degree < i.  The density costs one evaluation.

**The incremental inverse.**  x_i = τ⁻¹(z_i; θ_i(x_1 … x_{i−1})) is found for one i after the other.  With d
evaluations of the whole network, sampling would be 50 times as expensive as the density.  However, a unit of degree m
is final as soon as x_m is known.  The units are therefore sorted by degree, and after x_m only those of degree m are
computed, from final units of degree ≤ m:

    h^l_{(m)} = a(W^l_{(m), (≤m)} h^{l−1}_{(≤m)} + b^l_{(m)}),

Every weight is used once, so all d steps together cost one evaluation, less the masked weights.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_flows.networks import check_hidden, zeroed
from zoo_flows.transform import Transform
from zoo_flows.univariate import Univariate

__all__ = ["MADE", "MaskedAutoregressive", "MaskedLinear"]


class MaskedLinear(nn.Linear):
    """A linear layer whose weights are masked by the degrees of inputs and outputs.

    Args:
        degree_in: degrees of the inputs, ``(a,)``.
        degree_out: degrees of the outputs, ``(b,)``.
        strict: whether the input's degree must be less than the output's, and not only at most equal.
    """

    def __init__(self, degree_in: Tensor, degree_out: Tensor, *, strict: bool = False) -> None:
        super().__init__(len(degree_in), len(degree_out))
        seen = degree_in < degree_out[:, None] if strict else degree_in <= degree_out[:, None]
        self.mask: Tensor
        self.register_buffer("mask", seen, persistent=False)

    def masked(self) -> Tensor:
        """Returns the weights W with zeros where they are masked."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        # The types are those of the incremental inverse, so that both give equal results.
        return F.linear(x, self.masked().to(x.dtype), self.bias.to(x.dtype))


class MADE(nn.Module):
    """A network ``(n, features)`` to θ ``(n, features·parameters)``, where θ_i depends only on inputs before i.

    Args:
        features: number d of features.
        parameters: number of parameters per feature.
        hidden: units of the hidden layers, whose degrees are spread evenly over 1 … d − 1.
        context: width of the context, which every unit sees; 0 for none.
    """

    def __init__(self, features: int, parameters: int, hidden: Sequence[int], context: int = 0) -> None:
        super().__init__()
        check_hidden(hidden)
        self.features, self.parameters_per_feature = features, parameters
        degree = torch.arange(1, features + 1)
        degrees = [degree, *(_spread(width, features) for width in hidden)]
        self.layers = nn.ModuleList(MaskedLinear(a, b) for a, b in pairwise(degrees))
        self.of_context = zeroed(nn.Linear(context, hidden[0], bias=False)) if context else None
        self.last = MaskedLinear(degrees[-1], degree.repeat_interleave(parameters), strict=True)
        self.widths = [features, *hidden]
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def masked_layers(self) -> list[MaskedLinear]:
        """Returns all masked layers, including the last."""
        return [layer for layer in [*self.layers, self.last] if isinstance(layer, MaskedLinear)]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = x
        for index, layer in enumerate(self.layers):
            h = layer(h)
            if index == 0 and self.of_context is not None:
                h = h + self.of_context(context).to(h.dtype)
            h = F.relu(h)
        return self.last(h)


class MaskedAutoregressive(Transform):
    """A masked autoregressive layer.

    Args:
        features: number d of features.
        univariate: univariate map τ.
        hidden: units of the network's hidden layers.
        context: width of the context; 0 for none.
    """

    def __init__(self, features: int, univariate: Univariate, hidden: Sequence[int], context: int = 0) -> None:
        super().__init__()
        self.univariate = univariate
        self.network = MADE(features, univariate.parameters, hidden, context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.univariate.forward(x, self._theta(x, context))
        return z, x.new_zeros(len(x)) if log_slope is None else log_slope.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return _Incremental(self.network, z, context).run(self.univariate)

    def naive_inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes the inverse by d evaluations of the whole network, as a reference in tests of :meth:`inverse`."""
        x = torch.zeros_like(z)
        for i in range(z.shape[1]):
            found = self.univariate.inverse(z, self._theta(x, context))
            x = torch.cat([x[:, :i], found[:, i : i + 1], x[:, i + 1 :]], 1)
        return x

    def _theta(self, x: Tensor, context: Tensor | None) -> Tensor:
        answer = self.network(x, context).to(x.dtype)
        return answer.unflatten(1, (x.shape[1], self.univariate.parameters)).movedim(2, 0)


class _Incremental:
    """The incremental inverse.  Activations are ``(units, n)``, so that the units known so far are contiguous."""

    def __init__(self, network: MADE, z: Tensor, context: Tensor | None) -> None:
        self.network, self.z = network, z
        self.weights = [layer.masked().to(z.dtype) for layer in network.masked_layers()]
        self.biases = [layer.bias.to(z.dtype) for layer in network.masked_layers()]
        self.extra = network.of_context(context).to(z.dtype).T if network.of_context is not None else None
        self.known = [_Rows(z, width) for width in network.widths]
        self.ends = [_ends(width, network.features) for width in network.widths]

    def run(self, univariate: Univariate) -> Tensor:
        P = univariate.parameters
        for i in range(self.network.features):
            units = self.known[-1].rows
            rows = slice(i * P, (i + 1) * P)
            theta = self.weights[-1][rows, : len(units)] @ units + self.biases[-1][rows, None]
            x_i = univariate.inverse(self.z[:, i : i + 1], theta.unsqueeze(2))
            self.known[0].append(x_i.T)
            self._finish(i + 1)
        return self.known[0].rows.T.contiguous()

    def _finish(self, degree: int) -> None:
        """Computes the units of a degree, layer by layer."""
        for layer in range(len(self.known) - 1):
            rows = slice(self.ends[layer + 1][degree - 1], self.ends[layer + 1][degree])
            if rows.start == rows.stop:
                continue
            inputs = self.known[layer].rows
            h = self.weights[layer][rows, : len(inputs)] @ inputs + self.biases[layer][rows, None]
            if layer == 0 and self.extra is not None:
                h = h + self.extra[rows]
            self.known[layer + 1].append(F.relu(h))


class _Rows:
    """Rows that are computed one after the other: written in place, or concatenated where gradients are needed."""

    def __init__(self, like: Tensor, most: int) -> None:
        self.in_place = not torch.is_grad_enabled()
        self.store = like.new_empty(most if self.in_place else 0, len(like))
        self.count = 0

    @property
    def rows(self) -> Tensor:
        return self.store[: self.count]

    def append(self, rows: Tensor) -> None:
        if self.in_place:
            self.store[self.count : self.count + len(rows)] = rows
        else:
            self.store = torch.cat([self.store, rows])
        self.count += len(rows)


def _spread(width: int, features: int) -> Tensor:
    """Returns the sorted degrees of hidden units, spread evenly over 1 … features − 1."""
    most = max(features - 1, 1)
    return 1 + torch.arange(width) * most // width


def _ends(width: int, features: int) -> list[int]:
    """Counts the units of a layer with a degree ≤ m, for m = 0 … features."""
    degrees = [1 + unit * max(features - 1, 1) // width for unit in range(width)]
    return [bisect_right(degrees, m) for m in range(features + 1)]
