"""The common language: conversions between predictions, and the ends of a path."""

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.paths import (
    CosinePath,
    DiscretePath,
    GaussianPath,
    LinearPath,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    to_prediction,
)


class Linear(GaussianPath):
    """α = 1 − t, σ = t: flow matching's."""

    def alpha(self, t):
        return 1.0 - t

    def sigma(self, t):
        return t


class Trigonometric(GaussianPath):
    """α = cos, σ = sin: variance preserving."""

    def alpha(self, t):
        return math.cos(t * math.pi / 2)

    def sigma(self, t):
        return math.sin(t * math.pi / 2)


class SubVP(GaussianPath):
    """α² + σ² ≠ 1."""

    def alpha(self, t):
        return math.exp(-2.0 * t)

    def sigma(self, t):
        return 1.0 - math.exp(-4.0 * t)


PATHS = [Linear(), Trigonometric(), SubVP(), DiscretePath([0.9**k for k in range(1, 101)])]


def outputs(path, x, noise, t):
    """What a perfect network would answer in each currency."""
    alpha, sigma = path.coefficients(t, like=x)
    shape = (-1, *[1] * (x.ndim - 1))
    dot = [[f(u) for u in t.tolist()] for f in (path.alpha_dot, path.sigma_dot)]
    alpha_dot, sigma_dot = (torch.tensor(d, dtype=x.dtype).view(shape) for d in dot)
    return {
        "noise": noise,
        "data": x,
        "v": alpha * noise - sigma * x,
        "velocity": alpha_dot * x + sigma_dot * noise,
        "score": -noise / sigma,
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("kind", ["noise", "data", "v", "velocity", "score"])
@pytest.mark.parametrize("shape", [(3,), (1, 4, 4)])
def test_a_perfect_answer_is_a_perfect_prediction(path, kind, shape):
    """1e-9: float64, and the central difference of α′ and σ′ is used on both sides."""
    source = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(5, *shape, dtype=torch.float64, generator=source) for _ in range(2))
    t = torch.tensor([0.03, 0.2, 0.5, 0.77, 0.9], dtype=torch.float64)
    x_t = path.diffuse(x, noise, t)
    prediction = to_prediction(path, kind, x_t, t, outputs(path, x, noise, t)[kind])
    assert torch.allclose(prediction.data, x, atol=1e-9)
    assert torch.allclose(prediction.noise, noise, atol=1e-9)


def test_one_time_for_all_is_the_same_as_one_each():
    source = torch.Generator().manual_seed(0)
    x, o = (torch.randn(4, 2, dtype=torch.float64, generator=source) for _ in range(2))
    for kind in ("noise", "data", "v", "velocity", "score"):
        one = to_prediction(Trigonometric(), kind, x, 0.3, o)
        each = to_prediction(Trigonometric(), kind, x, torch.full((4,), 0.3, dtype=torch.float64), o)
        assert torch.allclose(one.data, each.data, atol=1e-12)
        assert torch.allclose(one.noise, each.noise, atol=1e-12)


def test_velocity_and_v_exist_at_pure_noise():
    x, o = torch.ones(1, 2, dtype=torch.float64), torch.full((1, 2), 0.5, dtype=torch.float64)
    assert torch.isfinite(to_prediction(Linear(), "velocity", x, 1.0, o).data).all()
    assert torch.isfinite(to_prediction(Linear(), "v", x, 1.0, o).data).all()


def test_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="expected one of noise, data, v, velocity, score"):
        to_prediction(Linear(), "flow", torch.ones(1, 1), 0.5, torch.ones(1, 1))  # type: ignore[arg-type]


def test_discrete_path_is_its_table_and_log_linear_between():
    table = [0.9, 0.5, 0.1]
    path = DiscretePath(table)
    assert [path.alpha_bar(path.time(k)) for k in (-1, 0, 1, 2)] == [1.0, *table]
    assert path.alpha_bar(1.5 / 3) == pytest.approx(math.sqrt(0.9 * 0.5))
    assert path.index(path.time(1)) == 1
    assert path.index(0.5) == pytest.approx(0.5)
    assert path.log_snr(0.0) == math.inf
    assert path.t_min == pytest.approx(1 / 3)


@pytest.mark.parametrize("table", [[], [0.5, 0.5], [0.5, 0.6], [1.0], [0.5, 0.0], [float("nan")]])
def test_no_table_is_refused(table):
    with pytest.raises(ValueError, match="strictly decreasing"):
        DiscretePath(table)


def test_time_grids():
    path = DiscretePath([0.99**k for k in range(1, 1001)])
    trailing = [round(path.index(t)) for t in path.times(10)]
    assert trailing == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99, -1]
    leading = [round(path.index(t)) for t in path.times(10, "leading")]
    assert leading == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0, -1]
    assert path.times(1) == [1.0, 0.0]
    assert len(path.times(1000)) == 1001
    with pytest.raises(IncompatibleError, match="steps = 1001"):
        path.times(1001)
    with pytest.raises(IncompatibleError, match="expected one of trailing, leading"):
        Linear().times(10, "random")  # type: ignore[arg-type]


CLOSED = [
    LinearPath(),
    CosinePath(),
    VariancePreserving(),
    VariancePreserving(1.0, 1.0),
    SubVariancePreserving(),
    VarianceExploding(),
]
NAMES = [type(path).__name__ for path in CLOSED]


@pytest.mark.parametrize("path", CLOSED, ids=NAMES)
def test_closed_forms(path):
    """Rates against central differences (error h²·third derivative/6: 1e-6 relative is ample), inverses, the ends."""
    h = 1e-5
    for t in (0.02, 0.1, 0.37, 0.5, 0.83, 0.99):
        for value, rate in ((path.alpha, path.alpha_dot), (path.sigma, path.sigma_dot)):
            numeric = (value(t + h) - value(t - h)) / (2 * h)
            assert rate(t) == pytest.approx(numeric, rel=1e-6, abs=1e-8)
        assert path.time_of_log_snr(path.log_snr(t)) == pytest.approx(t, abs=1e-12)
        assert GaussianPath.time_of_log_snr(path, path.log_snr(t)) == pytest.approx(t, abs=1e-12)
    assert path.alpha(0.0) == 1.0
    assert path.sigma(0.0) == 0.0
    assert path.log_snr(0.0) == math.inf
    assert path.time_of_log_snr(1e6) == pytest.approx(0.0, abs=1e-300)
    assert path.time_of_log_snr(-1e6) == pytest.approx(1.0, abs=1e-12)
    assert all(path.log_snr(a) > path.log_snr(b) for a, b in pairwise([i / 50 for i in range(51)]))


def test_published_equations():
    """f and g² of Song et al. (2021), table 1 and eqs. 31–34, from α and σ alone."""
    vp, sub, ve = VariancePreserving(), SubVariancePreserving(), VarianceExploding()
    for t in (0.01, 0.3, 0.9):
        beta = 0.1 + 19.9 * t
        assert vp.drift(t) == pytest.approx(-0.5 * beta, rel=1e-14)
        assert sub.drift(t) == pytest.approx(-0.5 * beta, rel=1e-14)
        assert ve.drift(t) == 0.0
        assert vp.diffusion_squared(t) == pytest.approx(beta, rel=1e-12)
        full = 1.0 - math.exp(-2.0 * (0.1 * t + 9.95 * t * t))
        assert sub.diffusion_squared(t) == pytest.approx(beta * full, rel=1e-12)
        assert ve.diffusion_squared(t) == pytest.approx(2.0 * math.log(5000.0) * ve.sigma(t) ** 2, rel=1e-14)
        linear = LinearPath()
        assert linear.diffusion_squared(t) == pytest.approx(2.0 * t / (1.0 - t), rel=1e-14)
    assert LinearPath().diffusion_squared(1.0) == math.inf
    assert CosinePath().alpha(1.0) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VariancePreserving(0.0, 1.0), "beta_min"),
        (lambda: SubVariancePreserving(2.0, 1.0), "beta_min"),
        (lambda: VarianceExploding(0.0, 1.0), "sigma_min"),
    ],
)
def test_impossible_ends(make, message):
    with pytest.raises(ValueError, match=message):
        make()
