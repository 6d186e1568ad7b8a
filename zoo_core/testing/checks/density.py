r"""Checks log-probabilities.

Integrals over the whole line or plane are computed by :mod:`zoo_core.testing.quadrature`, with errors below 1e-4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Density, Model, Streams
from zoo_core.testing import quadrature, tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import check, require
from zoo_core.testing.quadrature import Cells
from zoo_core.testing.subjects import ModelSubject

INTEGRAL_SLACK = 2e-3
"""Allowed error of an integral: the quadrature has less than 1e-4, float32 densities of narrow modes have 1e-3."""

SAMPLES = 4000
REGIONS = 48
FALSE_ALARM = 1e-6
"""Probability that a correct model fails a χ² test.  Seeds are fixed, so a model that passes once always passes."""

BOUND_POINTS = 500
BOUND_DRAWS = 4
BOUND_SLACK = 0.05
"""Allowed excess of a bound's integral: with few noise draws the bound is random, and its correction approximate."""


def _integrates(subject: ModelSubject) -> bool:
    model = subject.plan
    return isinstance(model, Density) and model.log_prob_is == "exact" and not model.discrete and subject.is_planar


def _bounds(subject: ModelSubject) -> bool:
    model = subject.plan
    return isinstance(model, Density) and model.log_prob_is == "bound" and not model.discrete and subject.is_planar


@check(
    "model",
    needs=("Density",),
    when=lambda subject: not subject.is_spoken_for,
    slow=lambda subject: subject.is_slow_density and (subject.plan.many_passes or not subject.is_small),
    long=True,
)
def check_log_prob_is_of_each_sample_alone(subject: ModelSubject) -> None:
    """``log_prob(x)`` is ``(n,)``, finite for data and reproducible; a row does not depend on the others.

    Without ``streams`` a fixed seed is used.  If a density takes many passes through an image network, the check runs
    on one of the models with the same code and data set.  Rows may differ by 1e-4 of their size, since matrix products
    of other shapes add in another order.
    """
    model, n = subject.model, 3
    assert isinstance(model, Density)
    batch = tiny_data.batch(model, n)
    with torch.inference_mode():
        whole = model.log_prob(batch.x, condition=batch.condition, streams=streams_for(model, n))
        require(tuple(whole.shape) == (n,), f"{subject.name}: log_prob has shape {tuple(whole.shape)}; expected ({n},)")
        require(bool(torch.isfinite(whole).all()), f"{subject.name}: log_prob of data is {whole.tolist()}; not finite")
        last = model.log_prob(
            batch.x[n - 1 :], condition=tiny_data.condition(model, n - 1, n), streams=streams_for(model, 1, start=n - 1)
        )
        one, two = (model.log_prob(batch.x[:1], condition=tiny_data.condition(model, 0, 1)) for _ in range(2))
    slack = 1e-4 * max(1.0, whole.abs().max().item())
    gap = (whole[-1:] - last).abs().max().item()
    require(gap <= slack, f"{subject.name}: log_prob of a row differs by {gap:.3g} alone and among others")
    require(torch.equal(one, two), f"{subject.name}: log_prob without streams gives {one.item()}, then {two.item()}")


@check("model", needs=("Density",), when=_integrates, slow=lambda subject: subject.plan.many_passes, long=True)
def check_log_prob_integrates_to_one(subject: ModelSubject) -> None:
    """∫ exp(log_prob(x)) dx = 1 ± 0.002 over the whole line or plane, for exact densities in one or two dimensions.

    A conditional model is integrated under one condition.  The check finds a missing constant, a wrong log-determinant,
    and a mixture whose weights do not sum to one.
    """
    cells = _cells(subject)
    require(
        abs(cells.total - 1) <= INTEGRAL_SLACK + cells.error,
        f"{subject.name}: exp(log_prob) integrates to {cells.total:.5f} ± {cells.error:.1g}; "
        f"expected 1 ± {INTEGRAL_SLACK}",
    )


@check(
    "model",
    needs=("Density",),
    when=lambda subject: _integrates(subject) and subject.can_be_drawn,
    slow=lambda subject: subject.plan.many_passes,
    long=True,
)
def check_samples_agree_with_log_prob(subject: ModelSubject) -> None:
    """4,000 samples fall into 48 regions as often as ``log_prob`` says, by a χ² test, in one or two dimensions.

    The regions have nearly equal mass, known by quadrature, so the test compares with exact probabilities, which is
    stronger than a test of two samples.  A correct model fails it with probability one in a million.
    """
    model, cells = subject.model, _cells(subject)
    region, share = cells.regions(REGIONS)
    with torch.inference_mode():
        x = subject.draw(SAMPLES, steps=None, batch_size=SAMPLES, condition=_one_condition(model, SAMPLES))
    observed = torch.bincount(region[cells.locate(x.flatten(1))], minlength=REGIONS).double()
    statistic, freedom = chi_square(observed, share * SAMPLES)
    p = torch.special.gammaincc(torch.tensor(freedom / 2.0), torch.tensor(statistic / 2.0)).item()
    require(
        p >= FALSE_ALARM,
        f"{subject.name}: samples do not have the density of log_prob: χ² = {statistic:.0f} for {freedom} degrees of "
        f"freedom, p = {p:.1g}; expected at least {FALSE_ALARM:g}",
    )


def chi_square(observed: Tensor, expected: Tensor) -> tuple[float, int]:
    """Returns Pearson's statistic and its degrees of freedom; regions with an expectation below 5 are merged."""
    rare = expected < 5
    if rare.any():
        observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
        expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    there = expected > 0
    if bool((observed[~there] > 0).any()):
        return math.inf, max(len(expected) - 1, 1)
    observed, expected = observed[there], expected[there]
    return ((observed - expected).square() / expected).sum().item(), max(len(expected) - 1, 1)


@check("model", needs=("Density",), when=_bounds, slow=lambda subject: "Denoiser" in subject.capabilities)
def check_bound_integrates_to_at_most_one(subject: ModelSubject) -> None:
    """∫ exp(bound(x)) dx ≤ 1 in one or two dimensions, by 500 importance samples and within five standard errors.

    A lower bound of a log-density integrates, after exp, to at most one; a term with the wrong sign or a missing
    constant can raise it above.  With few noise draws a bound L̂ is random, and e^L̂ is on average e^{L + v/2}: the check
    averages four draws, corrects for their variance, and allows an excess of 0.05.
    """
    model = subject.model
    assert isinstance(model, Density)
    centres = tiny_data.batch(model, 400).x.flatten(1).double()
    if subject.can_be_drawn:
        centres = torch.cat([centres, subject.draw(400, steps=20, batch_size=400).flatten(1).double()])
    x, log_q = _proposals(centres, BOUND_POINTS)
    x = x.view(-1, *tiny_data.shape_of(model.space)).to(tiny_data.batch(model, 1).x.dtype)
    condition = tiny_data.condition(model, 0, len(x))
    with torch.inference_mode():
        draws = torch.stack(
            [
                model.log_prob(x, condition=condition, streams=streams_for(model, BOUND_POINTS, seed=seed)).double()
                for seed in range(BOUND_DRAWS)
            ]
        )
    bound = draws.mean(0) - draws.var(0) / (2 * BOUND_DRAWS)
    ratio = (bound - log_q).exp()
    total, stderr = ratio.mean().item(), ratio.std().item() / math.sqrt(len(ratio))
    require(
        total - 5 * stderr <= 1 + BOUND_SLACK,
        f"{subject.name}: exp(bound) integrates to {total:.3f} ± {stderr:.2g}; a lower bound's integral is at most 1",
    )


def _proposals(centres: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Draws points from a narrow (0.8) and a wide (0.2) Gaussian around known ones; returns their log-density too."""
    d = centres.shape[1]
    spread = centres.std(0).clamp_min(1e-3)
    widths = torch.stack([0.15 * spread, 1.5 * spread])
    streams = Streams(0, "proposal", 0, n, dtype=torch.float64)
    which, wide = streams.integers(len(centres)), streams.categorical(torch.tensor([0.8, 0.2]))
    x = centres[which] + widths[wide] * streams.normal(d)
    terms = []
    for width, weight in zip(widths, (0.8, 0.2), strict=True):
        squared = ((x[:, None] - centres) / width).square().sum(2)
        log_kernel = -0.5 * squared - width.log().sum() - 0.5 * d * math.log(2 * math.pi)
        terms.append(torch.logsumexp(log_kernel, 1) - math.log(len(centres)) + math.log(weight))
    return x, torch.logsumexp(torch.stack(terms), 0)


def _cells(subject: ModelSubject) -> Cells:
    """Returns the integral over the whole space, which is computed once per model."""
    kept: dict[str, Cells] = subject.__dict__.setdefault("_kept", {})
    if "cells" not in kept:
        kept["cells"] = _integral(subject)
    return kept["cells"]


def _integral(subject: ModelSubject) -> Cells:
    model = subject.model
    assert isinstance(model, Density)
    batch = tiny_data.batch(model, 1000)
    points = [batch.x.flatten(1)]
    if subject.can_be_drawn:
        x = subject.draw(1000, batch_size=1000, condition=_one_condition(model, 1000))
        points.append(x.flatten(1).to(batch.x.dtype))

    def log_prob(x: Tensor) -> Tensor:
        own = x.view(-1, *tiny_data.shape_of(model.space)).to(batch.x.dtype)
        return model.log_prob(own, condition=_one_condition(model, len(own)))

    with torch.inference_mode():
        return quadrature.integrate(log_prob, torch.cat(points))


def _one_condition(model: Model, n: int) -> Condition | None:
    """Returns one valid condition for all samples, since a conditional model has a density for each condition."""
    one = tiny_data.condition(model, 0, 1)
    if one is None:
        return None
    return one.rows(torch.zeros(n, dtype=torch.int64))
