"""Every sampler against the truth: a mixture of Gaussians, whose denoiser and whose flow are known on every path."""

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Streams
from zoo_core.paths import (
    CosinePath,
    LinearPath,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
)
from zoo_core.samplers.adaptive import AdaptiveODE
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.consistency import Consistency
from zoo_core.samplers.ddim import DDIM
from zoo_core.samplers.dpm_solver import DPMSolver
from zoo_core.samplers.euler_maruyama import EulerMaruyama
from zoo_core.samplers.langevin import AnnealedLangevin, PredictorCorrector
from zoo_core.samplers.runge_kutta import RK, Euler, Heun, Midpoint
from zoo_core.samplers.unipc import UniPC
from zoo_core.sampling import sample
from zoo_core.testing.exact_denoisers import MIXTURE, PATHS, ExactDenoiser

ORDERS = {
    "ddim": (lambda n: DDIM(n, spacing="log-snr"), 1),
    "euler": (lambda n: Euler(n, spacing="log-snr"), 1),
    "euler-angle": (lambda n: Euler(n, "angle", spacing="log-snr"), 1),
    "heun": (lambda n: Heun(n, spacing="log-snr"), 2),
    "heun-sigma": (lambda n: Heun(n, "sigma", spacing="log-snr"), 2),
    "heun-time": (lambda n: Heun(n, "time", spacing="log-snr"), 2),
    "midpoint": (lambda n: Midpoint(n, spacing="log-snr"), 2),
    "rk4": (lambda n: RK(n, spacing="log-snr"), 4),
    "dpm++1": (lambda n: DPMSolver(n, 1, spacing="log-snr"), 1),
    "dpm++2": (lambda n: DPMSolver(n, 2, spacing="log-snr"), 2),
    "dpm++3": (lambda n: DPMSolver(n, 3, spacing="log-snr"), 3),
    "dpm++3 as published": (lambda n: DPMSolver(n, 3, published=True, spacing="log-snr"), 2),
    "unipc1": (lambda n: UniPC(n, 1, spacing="log-snr"), 2),
    "unipc2": (lambda n: UniPC(n, 2, spacing="log-snr"), 3),
    "unipc3": (lambda n: UniPC(n, 3, spacing="log-snr"), 4),
    "unipc2 without corrector": (lambda n: UniPC(n, 2, corrector=False, spacing="log-snr"), 2),
}


def run(sampler, model, x_T):
    streams = Streams(0, "test", 0, len(x_T), dtype=torch.float64)
    return sampler.sample(model, streams, noise=x_T)


def noise(n=8):
    return Streams(3, "noise", 0, n, dtype=torch.float64).normal(2)


@pytest.fixture(scope="module")
def truth():
    """Where the flow goes from the first to the last time of the log-snr grid, by 600 steps of order 4."""
    model = ExactDenoiser(VariancePreserving(), **MIXTURE)
    return model, run(RK(600, spacing="log-snr"), model, noise())


@pytest.mark.parametrize(("make", "order"), ORDERS.values(), ids=ORDERS)
def test_converges_at_its_order(truth, make, order):
    """The error falls as steps^(−order): the slope between doublings, less what is still to come of the asymptotics.

    The grid is the same for all: what it leaves out at its ends is in the reference too.
    """
    model, exact = truth
    counts = (80, 160, 320) if order >= 3 else (40, 80, 160)
    errors = [(run(make(n), model, noise()) - exact).abs().max().item() for n in counts]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert errors[-1] < 10.0 ** (-order)
    assert order - 0.35 < slopes[-1] < order + 0.5, slopes


def test_methods_that_are_one():
    """DDIM = DPM-Solver++ 1 = Euler in σ/α = UniPC 1 without its corrector; ancestral = DDIM with η = 1."""
    model = ExactDenoiser(CosinePath(), **MIXTURE)
    x_T = noise()
    ddim = run(DDIM(7), model, x_T)
    others = [DPMSolver(7, 1), UniPC(7, 1, corrector=False)]
    assert all((run(other, model, x_T) - ddim).abs().max() < 1e-12 for other in others)
    karras = run(DDIM(7, spacing="karras"), model, x_T)
    assert (run(Euler(7, "sigma", spacing="karras"), model, x_T) - karras).abs().max() < 1e-12
    vp = ExactDenoiser(VariancePreserving(), **MIXTURE)
    assert (run(DDIM(7, eta=1.0), vp, x_T) - run(Ancestral(7, "fixed_small"), vp, x_T)).abs().max() < 1e-12
    assert (run(DPMSolver(7, 1, sde=True), vp, x_T) - run(DDIM(7, eta=1.0), vp, x_T)).abs().max() < 1e-12


@pytest.mark.parametrize(
    "make",
    [
        lambda: DDIM(9, spacing="log-snr"),
        lambda: DPMSolver(9, 3, spacing="log-snr"),
        lambda: UniPC(9, 3, spacing="log-snr"),
        lambda: Heun(9, "sigma", spacing="log-snr"),
        lambda: RK(9, "angle", spacing="log-snr"),
    ],
    ids=["ddim", "dpm++3", "unipc3", "heun", "rk4"],
)
def test_the_path_disappears(make):
    """On one grid of σ/α the same noise goes to the same point on every path, to rounding."""
    ends = {}
    for name, path in PATHS.items():
        if name not in ("ve", "discrete", "vp", "subvp"):  # these reach σ/α = 80
            first = make().times(ExactDenoiser(path))[0]
            scale = math.hypot(path.alpha(first), path.sigma(first))
            ends[name] = run(make(), ExactDenoiser(path, **MIXTURE), scale * noise())
    assert (ends["linear"] - ends["cosine"]).abs().max() < 1e-10
    low, high = VariancePreserving(), SubVariancePreserving()
    a, b = (ExactDenoiser(path, **MIXTURE) for path in (low, high))
    grid = [low.time_of_log_snr(v) for v in (-8.0, -4.0, -1.0, 1.0, 4.0)] + [0.0]
    other = [high.time_of_log_snr(low.log_snr(t)) if t else 0.0 for t in grid]
    sampler, twin = make(), make()
    sampler.times, twin.times = lambda model: grid, lambda model: other
    start = [math.hypot(p.alpha(g[0]), p.sigma(g[0])) for p, g in ((low, grid), (high, other))]
    assert (run(sampler, a, start[0] * noise()) - run(twin, b, start[1] * noise())).abs().max() < 1e-10


@pytest.mark.parametrize("currency", ["data", "noise", "v", "score", "velocity"])
def test_the_currency_does_not_matter(currency):
    path = VariancePreserving()
    x_T = noise()
    plain = run(DPMSolver(12, 2), ExactDenoiser(path, **MIXTURE), x_T)
    other = run(DPMSolver(12, 2), ExactDenoiser(path, **MIXTURE, prediction=currency), x_T)
    assert (plain - other).abs().max() < 1e-9


STOCHASTIC = {
    "ancestral": Ancestral(100, "fixed_small", spacing="log-snr"),
    "sde-dpm++2": DPMSolver(40, 2, sde=True, spacing="log-snr"),
    "euler-maruyama": EulerMaruyama(300),
    "predictor-corrector": PredictorCorrector(150, snr=0.05),
    "annealed-langevin": AnnealedLangevin(60, repeats=12, eta=0.1),
    "dpm++2": DPMSolver(30, 2, spacing="log-snr"),
    "ode": AdaptiveODE(),
}


@pytest.mark.long
@pytest.mark.parametrize("path", ["linear", "subvp", "ve"])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_samples_have_the_moments_of_the_data(name, path):
    """Mean, covariance and a third moment of 800 samples of the mixture: within 5 standard errors and 3 % for the
    discretisation, which these numbers of steps are chosen for."""
    model = ExactDenoiser(PATHS[path], **MIXTURE)
    x = sample(model, 800, sampler=STOCHASTIC[name], batch_size=800)
    means, w, s2 = model.means, model.log_weights.exp(), model.scale**2
    mean = (w[:, None] * means).sum(0)
    centred = means - mean
    second = (w[:, None, None] * centred[:, :, None] * centred[:, None, :]).sum(0) + s2 * torch.eye(2)
    assert x.dtype == torch.float64
    features = {"mean": x, "cross": ((x - mean)[:, :, None] * (x - mean)[:, None, :]).flatten(1)}
    for key, exact in (("mean", mean), ("cross", second.flatten())):
        value = features[key]
        error = value.std(0) / math.sqrt(len(value))
        assert ((value.mean(0) - exact).abs() < 5 * error + 0.03 * second.max()).all(), key
    third = (w * (centred[:, 0] ** 3 + 3 * s2 * centred[:, 0])).sum()
    cubes = (x[:, 0] - mean[0]) ** 3
    assert (cubes.mean() - third).abs() < 5 * cubes.std() / math.sqrt(len(x)) + 0.05


def test_the_forward_equation_has_the_marginals_of_the_path():
    """dm = f·m dt, dv = (2f·v + g²) dt from t_min: α and σ² come out, on every path (RK4, 2,000 steps: 1e-6)."""
    for name, path in PATHS.items():
        if name == "discrete":
            continue  # piecewise: its rates jump
        t, end, n = 0.05, 0.95, 2000
        h, m, v = (end - t) / n, path.alpha(t), path.sigma(t) ** 2
        for i in range(n):
            u = t + i * h

            def rate(u, m, v, path=path):
                f = path.drift(u)
                return f * m, 2 * f * v + path.diffusion_squared(u)

            k1 = rate(u, m, v)
            k2 = rate(u + h / 2, m + h / 2 * k1[0], v + h / 2 * k1[1])
            k3 = rate(u + h / 2, m + h / 2 * k2[0], v + h / 2 * k2[1])
            k4 = rate(u + h, m + h * k3[0], v + h * k3[1])
            m += h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
            v += h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
        assert m == pytest.approx(path.alpha(end), rel=1e-6)
        assert v == pytest.approx(path.sigma(end) ** 2, rel=1e-6)


EVERY = {
    **{name: make(6) for name, (make, _) in ORDERS.items()},
    "ancestral": Ancestral(6),
    "ode": AdaptiveODE(),
    "euler-maruyama": EulerMaruyama(6),
    "predictor-corrector": PredictorCorrector(6),
    "annealed-langevin": AnnealedLangevin(6),
    "consistency": Consistency(3),
    "sde-dpm++2": DPMSolver(6, 2, sde=True),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", EVERY)
def test_few_steps_stay_finite_and_each_sample_is_its_own(name, path):
    """At six steps on every path nothing is divided by zero, and company changes a sample by rounding only.

    Six steps are too few for explicit steps of an SDE, which grow there, and for Langevin: finite is all that is asked.
    """
    model = ExactDenoiser(PATHS[path], **MIXTURE)
    together = sample(model, 5, sampler=EVERY[name], seed=4)
    assert together.isfinite().all()
    if name not in ("euler-maruyama", "predictor-corrector", "annealed-langevin"):
        assert together.abs().max() < 20.0
    alone = sample(model, 2, sampler=EVERY[name], seed=4, first=3, batch_size=1)
    assert (together[3:] - alone).abs().max() < 1e-9


@pytest.mark.parametrize("spacing", ["trailing", "leading", "quadratic", "log-snr", "karras"])
@pytest.mark.parametrize("path", PATHS)
def test_time_grids(path, spacing):
    its = PATHS[path]
    for steps in (1, 2, 7, 50):
        times = its.times(steps, spacing)
        assert len(times) == steps + 1
        assert times[-1] == 0.0
        assert all(a > b for a, b in pairwise(times))
        assert times[0] <= its.t_max
        assert times[-2] >= min(its.t_min, times[0]) * (1 - 1e-9)
    if spacing == "log-snr" and path != "discrete":
        values = [its.log_snr(t) for t in its.times(9, spacing)[:-1]]
        assert max(b - a for a, b in pairwise(values)) == pytest.approx(
            min(b - a for a, b in pairwise(values)), rel=1e-6
        )


def test_langevin_rests_where_it_should():
    """On N(0, s²) at one level the chain of step η has variance v/(1 − η/4) with v = s² + σ̂²: stated in the module."""
    eta = 0.4
    path = VarianceExploding(0.5, 0.5001)
    model = ExactDenoiser(path, means=((0.0,),), scale=0.0)
    sampler = AnnealedLangevin(1, repeats=200, eta=eta)
    frames = []
    sampler.sample(
        model, Streams(0, "test", 0, 4000, dtype=torch.float64), observer=lambda frame: frames.append(frame.state)
    )
    v = frames[-2].square().mean().item()
    expected = 0.25 / (1 - eta / 4)
    assert abs(v - expected) < 5 * expected * math.sqrt(2 / 4000)


def test_what_does_not_fit_says_why():
    coupled = ExactDenoiser(LinearPath(independent=False), **MIXTURE)
    for sampler in (Ancestral(), DDIM(eta=0.5), EulerMaruyama(), PredictorCorrector(), AnnealedLangevin(),
                    DPMSolver(sde=True), Consistency(2)):  # fmt: skip
        with pytest.raises(IncompatibleError, match="couples noise and data"):
            sampler.check(coupled)
    for sampler in (DDIM(), Euler(), Heun(), DPMSolver(), UniPC(), AdaptiveODE(), Consistency(1)):
        sampler.check(coupled)
    linear = ExactDenoiser(LinearPath(), **MIXTURE)
    with pytest.raises(IncompatibleError, match="no bounds"):
        DDIM(clip=True).check(linear)
    with pytest.raises(IncompatibleError, match="cannot begin at t = 1, where α = 0"):
        sample(linear, 2, sampler=Heun(coordinate="sigma"))
    with pytest.raises(IncompatibleError, match="cannot begin at t = 1, where α = 0"):
        sample(linear, 2, sampler=EulerMaruyama(spacing="trailing"))
    for sampler in (AnnealedLangevin(spacing="quadratic"), PredictorCorrector(spacing="trailing")):
        with pytest.raises(IncompatibleError, match="cannot begin at t = 1, where α = 0 on this path;"):
            sampler.check(linear)
    for currency in ("noise", "score"):
        blind = ExactDenoiser(LinearPath(), **MIXTURE, prediction=currency)
        for sampler in (DDIM(), UniPC(), Ancestral(), AdaptiveODE(), Consistency()):
            with pytest.raises(IncompatibleError, match=f"a {currency} prediction says nothing of the data at t = 1"):
                sampler.check(blind)
        assert sample(blind, 3, sampler=DDIM(8, spacing="karras")).isfinite().all()
        Euler(spacing="leading").check(blind)
    for make in (lambda: Heun(coordinate="polar"), lambda: DPMSolver(order=4), lambda: DPMSolver(order=3, sde=True),
                 lambda: UniPC(order=0), lambda: AnnealedLangevin(eta=4.0), lambda: PredictorCorrector(snr=0.0),
                 lambda: AdaptiveODE(atol=0.0)):  # fmt: skip
        with pytest.raises(IncompatibleError, match="expected"):
            make()
