r"""The objective of mean flows (Geng et al. 2025, eqs. 6–11 and §4.3), in angles.

Differentiating (θ − φ)·U = ∫ w along the trajectory gives the identity that U is trained to satisfy,

    U(y_θ, φ, θ) = w − (θ − φ)·dU/dθ,        dU/dθ = w·∂_y U + ∂_θ U,

with the conditional velocity w = cos θ·ε − sin θ·x in place of the marginal one, and no gradient through the right
side.  The total derivative is a central difference along the trajectory, of h = 0.005 rad,

    dU/dθ ≈ (U(y + h·w, φ, θ + h) − U(y − h·w, φ, θ − h))/2h,

whose error h²/6·U‴ is far below the noise of w.  It costs two evaluations without gradients, and no derivative of the
network forwards, which attention and recorded graphs do not have.  Angles are uniform in [0, π/2], so that the longest
jumps are seen as often as others; of two draws the greater is θ, and for a share of the examples φ = θ, which is flow
matching.

The squared error of each example is divided by itself, (‖Δ‖² + c)^p without gradient: examples whose target is noisier
count less (p = 1 in the paper).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Streams
from zoo_core.paths import broadcast
from zoo_flow_matching.mean_flow import MeanFlow

__all__ = ["MeanFlowLoss", "total_derivative"]

H = 0.005
"""Half of the distance of the central difference, in radians: rounding, 1e-6/h, and error, h², are both below 1e-3."""


class MeanFlowLoss(GradientObjective[MeanFlow]):
    """The identity of mean flows, as a regression.

    Args:
        same: share of the examples with φ = θ, in [0, 1].
        power: exponent p of the weight 1/(‖Δ‖² + c)^p, at least 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, same: float = 0.5, power: float = 1.0) -> None:
        if not 0.0 <= same <= 1.0 or power < 0.0:
            raise ValueError(f"same = {same} and power = {power}; expected same in [0, 1], power ≥ 0")
        self.same, self.power = same, power

    def losses(self, model: MeanFlow, batch: Batch, streams: Streams) -> Iterator[Loss]:
        theta, span = self.times(streams)
        x, noise = batch.x, streams.normal(*batch.x.shape[1:])
        cos, sin, wide = (broadcast(a.to(x.dtype), x) for a in (theta.cos(), theta.sin(), span))
        y, w = cos * x + sin * noise, cos * noise - sin * x
        said = model.average(y, theta, span, condition=batch.condition)
        target = w - wide * total_derivative(model, y, w, theta, span, batch.condition)
        squared = (said - target).square().flatten(1).mean(1)
        weight = (squared.detach() + 1e-3) ** -self.power
        yield Loss((weight * squared).mean(), terms={"squared": squared.detach().mean()})

    def times(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """Draws θ and the span θ − φ of every stream, ``(n,)`` each, in float32."""
        angles = 0.5 * math.pi * streams.uniform(2)
        low, high = angles.amin(1), angles.amax(1)
        same = streams.uniform(1).squeeze(1) < self.same
        return high, torch.where(same, 0.0, high - low)


@torch.no_grad()
def total_derivative(
    model: MeanFlow, y: Tensor, w: Tensor, theta: Tensor, span: Tensor, condition: Condition | None = None
) -> Tensor:
    """Computes dU/dθ along the direction (w, 1) of (y, θ) at a fixed φ, by a central difference.

    The angle θ is moved inwards where θ ± h would leave [0, π/2], which changes dU/dθ by no more than its own error.
    """
    mid = theta.clamp(H, 0.5 * math.pi - H)
    span = (span + mid - theta).clamp_min(0.0)
    h = torch.tensor(H, dtype=y.dtype, device=y.device)
    ahead = model.average(y + h * w, mid + H, span + H, condition=condition)
    behind = model.average(y - h * w, mid - H, (span - H).clamp_min(0.0), condition=condition)
    return (ahead - behind) / (2.0 * h)
