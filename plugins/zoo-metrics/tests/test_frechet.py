"""The Fréchet distance: closed forms, SciPy and torchmetrics, and states that merge."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from zoo_metrics.extractor import Statistics
from zoo_metrics.frechet import Blocks, FrechetDistance, frechet_distance, root_of
from zoo_metrics.moments import Moments


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def statistics(x: torch.Tensor) -> Statistics:
    return Statistics(len(x), x.mean(0), root_of(x.mT.cov()))


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return frechet_distance(statistics(x), y.mean(0), y.mT.cov())


def test_commuting_covariances_have_a_closed_form():
    """‖Δμ‖² + Σ (√a − √b)² for diagonal covariances, in any basis."""
    a, b, shift = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([9.0, 4.0, 0.0]).double(), normal(3)
    basis, _ = torch.linalg.qr(normal(3, 3, seed=1))
    reference = Statistics(1, torch.zeros(3, dtype=torch.float64), root_of(basis @ a.diag() @ basis.mT))
    expected = shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    # the root of a zero eigenvalue is that of a rounding error: eight digits, not sixteen
    assert frechet_distance(reference, shift, basis @ b.diag() @ basis.mT) == pytest.approx(expected.item(), abs=1e-6)


def test_the_distance_to_oneself_is_zero_and_symmetric():
    x, y = normal(200, 8), normal(300, 8, seed=1) @ normal(8, 8, seed=2) + 1.0
    assert distance(x, x) == pytest.approx(0.0, abs=1e-9)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-10)


def test_agrees_with_the_matrix_root_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    x, y = normal(500, 16), normal(400, 16, seed=1) @ normal(16, 16, seed=2)
    s, t = np.cov(x.numpy().T), np.cov(y.numpy().T)
    theirs = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(linalg.sqrtm(s @ t).real)
    assert distance(x, y) == pytest.approx(float(theirs), rel=1e-10)


def test_fewer_samples_than_dimensions():
    """tr (Σ₁Σ₂)^½ of rank-deficient covariances is a nuclear norm, which needs no eigenvalues near zero."""
    x, y = normal(20, 64), normal(30, 64, seed=1)
    xc, yc = x - x.mean(0), y - y.mean(0)
    nuclear = torch.linalg.svdvals(xc @ yc.mT).sum() / (19 * 29) ** 0.5
    expected = (x.mean(0) - y.mean(0)).square().sum() + xc.square().sum() / 19 + yc.square().sum() / 29 - 2 * nuclear
    assert distance(x, y) == pytest.approx(expected.item(), rel=1e-6)


def test_agrees_with_torchmetrics_on_the_same_features():
    """Features that are the flat pixels, through its public interface."""
    pytest.importorskip("torchmetrics")
    fid = importlib.import_module("torchmetrics.image.fid")

    class Flat(torch.nn.Module):
        num_features = 16

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).double()

    x, y = normal(300, 1, 4, 4), 0.5 * normal(250, 1, 4, 4, seed=3) + 0.2
    metric = fid.FrechetInceptionDistance(feature=Flat())
    metric.set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    assert distance(x.flatten(1), y.flatten(1)) == pytest.approx(metric.compute().item(), rel=1e-6)


def test_moments_merge_and_part():
    x = normal(90, 5) + 3.0
    whole, a, b = Moments.of(x), Moments.of(x[:40]), Moments.of(x[40:])
    for left, right in ((a.merge(b), whole), (b.merge(Moments.empty(5)).merge(a), whole), (whole.without(b), a)):
        assert left.n == right.n
        assert torch.allclose(left.covariance(), right.covariance(), atol=1e-12)
        assert torch.allclose(left.mean(), right.mean(), atol=1e-12)
    assert torch.allclose(whole.covariance(), x.mT.cov(), atol=1e-12)


def test_the_jackknife_error_is_that_of_repeated_draws():
    """Against the spread of the distance over 60 independent sets: within a factor of 1.6."""
    reference = statistics(normal(5000, 4))
    values, errors = [], []
    for seed in range(60):
        x = normal(1000, 4, seed=seed + 1) + 0.3
        blocks = [Moments.of(x[b::10]) for b in range(10)]
        whole = Moments.of(x)
        values.append(frechet_distance(reference, whole.mean(), whole.covariance()))
        left = [whole.without(b) for b in blocks]
        each = torch.tensor([frechet_distance(reference, m.mean(), m.covariance()) for m in left])
        errors.append((9 * each.double().var(correction=0)).sqrt().item())
    spread = float(np.std(values))
    assert 1 / 1.6 < float(np.mean(errors)) / spread < 1.6


def test_blocks_merge():
    metric = FrechetDistance("digits-v1")
    empty = Moments.empty(3)
    a = Blocks(None, tuple(Moments.of(normal(4, 3, seed=b)) for b in range(10)))  # type: ignore[arg-type]
    merged = metric.merge(a, Blocks(None, (empty,) * 10))  # type: ignore[arg-type]
    assert all(torch.equal(x.outer, y.outer) for x, y in zip(merged.blocks, a.blocks, strict=True))
