"""Comparisons of two sets of rows, each against another implementation and against what must hold."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from zoo_metrics.kernels import cubic, gaussian, median_distance, unbiased_mmd
from zoo_metrics.neighbours import fidelity_and_diversity, nearest_accuracy
from zoo_metrics.transport import sliced_wasserstein, wasserstein


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kernel", [cubic, gaussian(1.5)], ids=["cubic", "gaussian"])
def test_mmd_is_the_double_sum(kernel, monkeypatch):
    monkeypatch.setattr("zoo_metrics.kernels.CHUNK", 7)
    x, y = normal(30, 3), normal(20, 3, seed=1) + 0.5
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    expected = (xx.sum() - xx.trace()) / (30 * 29) + (yy.sum() - yy.trace()) / (20 * 19) - 2 * xy.mean()
    assert unbiased_mmd(x, y, kernel) == pytest.approx(expected.item(), rel=1e-12)


def test_the_gaussian_kernel_and_its_bandwidth():
    x = normal(40, 3)
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    assert np.allclose(gaussian(2.0)(x, x).numpy(), pairwise.rbf_kernel(x.numpy(), gamma=1 / 8))
    distance = importlib.import_module("scipy.spatial.distance")
    assert median_distance(x) == pytest.approx(np.median(distance.pdist(x.numpy())), rel=0.01)


def test_mmd_is_zero_on_average_for_one_distribution_and_shift_squared_for_a_linear_kernel():
    values = [unbiased_mmd(normal(50, 4, seed=2 * i), normal(50, 4, seed=2 * i + 1), cubic) for i in range(100)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 10
    x, y = normal(2000, 4), normal(2000, 4, seed=1) + 1.0
    assert unbiased_mmd(x, y, lambda a, b: a @ b.mT) == pytest.approx(4.0, abs=0.5)


def test_kid_agrees_with_torchmetrics():
    """One subset of everything is the whole U-statistic."""
    pytest.importorskip("torchmetrics")
    kid = importlib.import_module("torchmetrics.image.kid")
    x, y = normal(60, 8), normal(60, 8, seed=1) * 1.2
    theirs = kid.poly_mmd(x, y, degree=3, gamma=None, coef=1.0)
    assert unbiased_mmd(x, y, cubic) == pytest.approx(theirs.item(), rel=1e-10)


@pytest.mark.parametrize("seed", [0, 1])
def test_fidelity_and_diversity_agree_with_prdc(seed):
    prdc = pytest.importorskip("prdc")
    true, fake = normal(300, 6, seed=seed), normal(260, 6, seed=seed + 10) * 0.9 + 0.2
    theirs = prdc.compute_prdc(true.numpy(), fake.numpy(), nearest_k=5)
    ours = fidelity_and_diversity(fake, true, 5)
    assert ours == pytest.approx({k: float(v) for k, v in theirs.items()}, abs=1e-12)


def test_fidelity_and_diversity_by_hand(monkeypatch):
    """On a line, k = 1: real 0, 1, 3 (radii 1, 1, 2); samples 0.5, 0.6, 9 (radii 0.1, 0.1, 8.4)."""
    monkeypatch.setattr("zoo_metrics.neighbours.CHUNK", 2)
    true, fake = (torch.tensor(v, dtype=torch.float64)[:, None] for v in ([0.0, 1.0, 3.0], [0.5, 0.6, 9.0]))
    found = fidelity_and_diversity(fake, true, 1)
    # 0.5 and 0.6 are in the balls of 0 and 1; 9 in none.  The ball of 9 holds 1 and 3, those of the others nothing.
    assert found == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "density": 4 / 3, "coverage": 2 / 3})


def test_lost_modes_lower_recall_and_noise_lowers_precision():
    centres = 10.0 * torch.eye(4, dtype=torch.float64)
    true = centres.repeat_interleave(100, 0) + normal(400, 4)
    half = centres[:2].repeat_interleave(200, 0) + normal(400, 4, seed=1)
    noisy = true + 3.0 * normal(400, 4, seed=2)
    same = centres.repeat_interleave(100, 0) + normal(400, 4, seed=3)
    lost, wide, good = (fidelity_and_diversity(fake, true) for fake in (half, noisy, same))
    assert lost["recall"] < 0.55 < 0.8 < lost["precision"]
    assert wide["precision"] < 0.5
    assert min(good["precision"], good["recall"], good["coverage"]) > 0.85


def test_nearest_accuracy_agrees_with_scikit_learn():
    neighbours = pytest.importorskip("sklearn.neighbors")
    x, y = normal(80, 3), normal(80, 3, seed=1) + 0.7
    rows, labels = torch.cat([x, y]).numpy(), np.repeat([0, 1], 80)
    nearest = neighbours.NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows, return_distance=False)[:, 1]
    assert nearest_accuracy(x, y) == pytest.approx((labels[nearest] == labels).mean())


def test_nearest_accuracy_is_chance_for_one_distribution_and_one_for_two():
    assert nearest_accuracy(normal(1000, 3), normal(1000, 3, seed=1)) == pytest.approx(0.5, abs=0.05)
    assert nearest_accuracy(normal(100, 3), normal(100, 3, seed=1) + 50.0) == 1.0


@pytest.mark.parametrize("p", [1, 2])
def test_wasserstein_on_a_line_agrees_with_scipy_and_pot(p):
    x, y = normal(500, 1), 2.0 * normal(500, 1, seed=1) + 1.0
    if p == 1:
        stats = pytest.importorskip("scipy.stats")
        theirs = stats.wasserstein_distance(x.flatten().numpy(), y.flatten().numpy())
    else:
        ot = pytest.importorskip("ot")
        theirs = math.sqrt(ot.wasserstein_1d(x.flatten().numpy(), y.flatten().numpy(), p=2))
    assert wasserstein(x, y, p) == pytest.approx(float(theirs), rel=1e-10)


def test_wasserstein_in_the_plane_agrees_with_pot():
    ot = pytest.importorskip("ot")
    x, y = normal(200, 2), normal(200, 2, seed=1) * torch.tensor([1.0, 3.0]) + 1.0
    cost = ot.dist(x.numpy(), y.numpy(), metric="sqeuclidean")
    theirs = math.sqrt(ot.emd2(np.full(200, 1 / 200), np.full(200, 1 / 200), cost))
    assert wasserstein(x, y) == pytest.approx(theirs, rel=1e-9)


def test_a_shift_costs_its_length():
    """Exactly; and sliced in d dimensions its length over √d, as the directions' mean has it."""
    pytest.importorskip("scipy")
    x, shift = normal(300, 2), torch.tensor([3.0, 4.0]).double()
    assert wasserstein(x, x + shift) == pytest.approx(5.0, rel=1e-12)
    assert wasserstein(x[:, :1], x[:, :1] + 2.0) == pytest.approx(2.0, rel=1e-12)
    assert sliced_wasserstein(x, x + shift, generator(), 4096) == pytest.approx(5 / math.sqrt(2), rel=0.03)


def test_sliced_wasserstein_agrees_with_pot_along_the_same_directions():
    ot = pytest.importorskip("ot")
    x, y = normal(200, 5), 0.5 * normal(200, 5, seed=1) + 0.3
    along = torch.randn(100, 5, dtype=torch.float64, generator=generator(3))
    along = along / along.norm(dim=1, keepdim=True)
    theirs = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=along.numpy().T, p=2)
    assert sliced_wasserstein(x, y, generator(3), 100) == pytest.approx(float(theirs), rel=1e-9)


def test_median_distance_of_equal_rows_is_not_zero():
    """Throws of a coin: most pairs of one side are equal, so that the median of all distances is 0."""
    throws = torch.tensor([0.0] * 90 + [1.0] * 10)[:, None]
    assert median_distance(throws) == 1.0
    assert median_distance(torch.full((5, 2), 7.0)) == 1.0
    assert median_distance(3.0 * throws) == 3.0
    assert median_distance(torch.tensor([[0.0], [1.0], [3.0]])) == 2.0
