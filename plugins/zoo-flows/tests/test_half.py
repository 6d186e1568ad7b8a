"""Flows in half precision: the parameters are rounded, and all else is as exact as ever."""

from __future__ import annotations

import pytest
import torch

from zoo_core.interfaces import Condition, Streams
from zoo_flows.autoregressive_flows import IAF, MAF
from zoo_flows.glow import Glow
from zoo_flows.nsf import NSF
from zoo_flows.plots import bent_grids
from zoo_flows.realnvp import RealNVP
from zoo_flows.resampled import ResampledGlow

FLOWS = {
    "maf": lambda: MAF([3], layers=2, hidden=[16]),
    "maf-linear": lambda: MAF([3], layers=2, hidden=[16], mixing="linear", classes=2),
    "iaf": lambda: IAF([3], layers=2, hidden=[16]),
    "nsf": lambda: NSF([3], layers=2, hidden=[16], classes=2),
    "nsf-turns": lambda: NSF([3], layers=2, hidden=[16], linear=False),
    "nsf-ar": lambda: NSF([3], layers=2, hidden=[16], autoregressive=True),
    "realnvp": lambda: RealNVP([3], layers=4, hidden=[16]),
    "realnvp-images": lambda: RealNVP([1, 4, 4], layers=2, levels=1, width=8, blocks=1, base="logistic"),
    "glow": lambda: Glow([1, 4, 4], levels=2, steps=1, width=16, blocks=1, attention=[0], classes=2),
    "glow-plain": lambda: Glow([1, 4, 4], levels=1, steps=2, width=8, lu=False, dequantisation={"levels": 17}),
    "resampled-glow": lambda: ResampledGlow([1, 4, 4], tries=3, levels=1, steps=1, width=8),
}


def made(name):
    """With parameters that are not those of the identity."""
    model = FLOWS[name]().eval().requires_grad_(False)
    for p in model.parameters():
        p += 0.1 * torch.randn(p.shape)
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("name", FLOWS)
def test_flows_in_half_precision(name, dtype):
    """Samples and densities are float32, those of the model in float32 as near as its parameters, and invertible.

    log p of 3 to 16 numbers whose parameters are right to 2⁻⁹ (2⁻¹²): within 0.5 (0.1) nats.  There and back to 1e-3 in
    nine rows of ten: the networks round what passes a coupling layer, which is the same number both ways but for
    float32's own rounding; where that makes it the next half number, the row is off by as much as the network, 5 %.
    """
    model = made(name)
    count = 20
    condition = None if model.classes is None else Condition(label=torch.arange(count) % model.classes)
    x = model.draw(Streams(0, "x", 0, count), condition=condition)
    if model.dequantiser is not None:
        x = (x.clamp(0.0, 1.0) * 16).round() / 16
    exact = model.log_prob(x, condition=condition)
    half = model.to(dtype)
    found = half.log_prob(x, condition=condition)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < (0.5 if dtype == torch.bfloat16 else 0.1)
    assert torch.allclose(half.log_prob(x.double(), condition=condition), found.double(), atol=0.1)
    z = half.draw_latent(Streams(1, "z", 0, count))
    drawn = half.decode(z, condition=condition)
    assert z.dtype == drawn.dtype == torch.float32
    gap = (half.encode(drawn, condition=condition) - z).abs().amax(1)
    assert (gap > 1e-3).sum() <= count // 10
    assert gap.max() < 5e-2
    rounded = half.decode(half.draw_latent(Streams(1, "z", 0, count, dtype=dtype)), condition=condition)
    assert rounded.dtype == torch.float32


def test_a_bent_grid_in_half_precision():
    model = NSF([2], layers=2, hidden=[8]).to(torch.bfloat16)
    assert all(torch.isfinite(grid).all() for grid in bent_grids(model))
