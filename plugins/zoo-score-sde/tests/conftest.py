"""Score models whose every answer is known."""

from __future__ import annotations

import pytest
import torch

from zoo_core.interfaces import Prediction
from zoo_score_sde.model import ScoreSDE

MLP = {"kind": "mlp", "width": 16, "depth": 2}


class GaussianScore(ScoreSDE):
    """The exact score of data N(m, s² I): ε̂ = σ·(x_t − α·m)/(α²s² + σ²), times ``bend`` to be wrong on purpose."""

    mean, scale, bend = 0.7, 0.5, 1.0

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        alpha, sigma = self.path.coefficients(t, like=x_t)
        noise = self.bend * sigma * (x_t - alpha * self.mean) / (alpha**2 * self.scale**2 + sigma**2)
        return Prediction((x_t - sigma * noise) / alpha, noise)


@pytest.fixture
def exact():
    """The exact score model of N(0.7, 0.5² I) for an SDE."""

    def make(sde: str = "vp", bend: float = 1.0) -> GaussianScore:
        made = GaussianScore([2], MLP, sde).double()
        made.bend = bend
        return made

    return make


@pytest.fixture
def draws():
    """20,000 draws of the data, the noise, and a time for each in [0.05, 0.95]."""
    source = torch.Generator().manual_seed(0)
    x = 0.7 + 0.5 * torch.randn(20_000, 2, dtype=torch.float64, generator=source)
    noise = torch.randn(20_000, 2, dtype=torch.float64, generator=source)
    t = 0.05 + 0.9 * torch.rand(20_000, dtype=torch.float64, generator=source)
    return x, noise, t
