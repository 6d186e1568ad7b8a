r"""Dequantisation: adds noise to the levels v in 0 … m − 1 of an image, which a density of real numbers needs.

Uniform (Theis et al. 2016): x = (v + u)/m with u ~ U[0, 1).  The zoo does it before a flow sees the data, and

    log P(v) ≥ E_u log p(x) − D·log m.

Variational (Ho et al. 2019, eq. 7): u ~ q(u | v), a second flow that is conditioned on the image,

    log P(v) ≥ E_q [log p(x) − D·log m − log q(u | v)],      u = σ(g(ε; v)),  ε ~ N(0, I),

with log q(u | v) = log N(ε; 0, I) − log |det ∂u/∂ε|.  Uniform noise is one choice of q, so
the best q is at least as good.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_flows.coupling import Coupling
from zoo_flows.networks import ConvConditioner
from zoo_flows.squeeze import Squeeze
from zoo_flows.transform import Compose, Transform
from zoo_flows.univariate import Affine

__all__ = ["VariationalDequantisation"]

NORMAL_TO_UNIFORM = 1.702
"""Factor a for which σ(a·ε) is within 0.01 of the normal distribution function, so that q begins nearly uniform."""


class _WithImage(nn.Module):
    """A conditioner that sees the context, an image, together with its input."""

    def __init__(self, network: ConvConditioner) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.network(torch.cat([x, context], 1))


class VariationalDequantisation(nn.Module):
    """The conditional flow q(u | v) of variational dequantisation.

    Args:
        channels: number of channels of the images, whose height and width are even.
        levels: number m of grey levels, at least 2.
        width: channels of the networks.
        layers: number of coupling layers, at least 1.

    Raises:
        ValueError: fewer than two levels, or no layer.
    """

    def __init__(self, channels: int, levels: int = 256, width: int = 32, layers: int = 4) -> None:
        super().__init__()
        if levels < 2 or layers < 1:
            raise ValueError(f"levels = {levels} and layers = {layers}; expected at least 2 and 1")
        self.levels = levels
        self.squeeze = Squeeze()
        half = 2 * channels
        steps: list[Transform] = []
        for index in range(layers):
            network = _WithImage(ConvConditioner(half + 4 * channels, 2 * half, width))
            steps.append(Coupling(2 * half, half, network, Affine(), swap=index % 2 == 1))
        self.flow = Compose(steps)

    def forward(self, v: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Returns x = (v + u)/m, and log q(u | v) + D·log m ``(n,)``, which must be subtracted from log p(x).

        Args:
            v: levels as floats, ``(n, c, h, w)``.
            noise: noise ε, in the shape of ``v``.
        """
        image = self.squeeze(2.0 * v / (self.levels - 1) - 1.0)[0]
        warped, log_det = self.flow(self.squeeze(noise)[0], image)
        y = NORMAL_TO_UNIFORM * self.squeeze.inverse(warped)
        log_slope = math.log(NORMAL_TO_UNIFORM) - F.softplus(-y) - F.softplus(y)
        log_noise = (-0.5 * noise.square() - 0.5 * math.log(2.0 * math.pi)).flatten(1).sum(1)
        log_q = log_noise - log_det - log_slope.flatten(1).sum(1)
        return (v + torch.sigmoid(y)) / self.levels, log_q + math.prod(v.shape[1:]) * math.log(self.levels)
