"""Checks samplers on toy models with known densities."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.interfaces import Density, Frame, Sampler, Streams
from zoo_core.testing import quadrature, tiny_data
from zoo_core.testing.check import check, require, skip
from zoo_core.testing.checks.density import FALSE_ALARM, chi_square
from zoo_core.testing.component_subjects import SamplerSubject
from zoo_core.testing.subjects import ModelSubject

SLACK = 1e-4
"""Allowed difference between batch sizes, relative to the largest value, since sums are rounded in another order."""

DRAWS = 600
REGIONS = 24


@check("sampler")
def check_sampler_draws_what_is_asked(subject: SamplerSubject) -> None:
    """One finite sample per stream, of the model's shape and the streams' type; an observer is shown every step.

    Frames are numbered from 1 to the number of steps, and the last one's state is the sample.
    """
    candidate, sampler = _tried(subject)
    frames: list[Frame] = []
    x = _draw(candidate, sampler, 3, observer=frames.append)
    expected = (3, *tiny_data.shape_of(candidate.model.space))
    require(tuple(x.shape) == expected, f"sampler {subject.name!r} gives {tuple(x.shape)}; expected {expected}")
    require(x.dtype == torch.float32, f"sampler {subject.name!r} gives {x.dtype} from streams of float32")
    require(bool(torch.isfinite(x).all()), f"sampler {subject.name!r} gives samples that are not finite")
    if frames:
        numbers = [frame.step for frame in frames]
        require(
            numbers == list(range(1, frames[-1].steps + 1)),
            f"sampler {subject.name!r} shows steps {numbers[:3]} … {numbers[-1]} of {frames[-1].steps}; expected all",
        )
        require(torch.equal(frames[-1].state, x), f"sampler {subject.name!r}: the last frame is not the sample")


@check("sampler", long=True)
def check_sampler_is_seeded_by_its_streams(subject: SamplerSubject) -> None:
    """The same streams give the same samples to the bit, others give others; torch's global generator is unused.

    Others of up to three models, since one step from pure noise may give the mean of the data whatever the noise.
    """
    candidate, sampler = _tried(subject)
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        one, two = (_draw(candidate, sampler, 3, seed=1) for _ in range(2))
        moved = not torch.equal(before, torch.get_rng_state())
    require(torch.equal(one, two), f"sampler {subject.name!r} gives other samples for the same streams")
    pairs = ([_draw(each, sampler, 3, seed=seed) for seed in (1, 2)] for each in subject.models[:3])
    differ = any(not torch.equal(*pair) for pair in pairs)
    require(differ, f"sampler {subject.name!r} gives the same samples for other streams")
    require(not moved, f"sampler {subject.name!r} draws from torch's global generator; draw from the streams")


@check("sampler", long=True)
def check_sampler_lets_no_batch_mate_matter(subject: SamplerSubject) -> None:
    """Sample i is the same alone and among others, within 1e-4 of the largest value."""
    candidate, sampler = _tried(subject)
    whole = _draw(candidate, sampler, 4)
    alone = torch.cat([_draw(candidate, sampler, 1, start=i) for i in range(4)])
    gap, slack = (whole - alone).abs().max().item(), SLACK * max(1.0, whole.abs().max().item())
    require(gap <= slack, f"sampler {subject.name!r}: samples differ by {gap:.3g} alone and among others")


@check("sampler", long=True)
def check_sampler_draws_the_right_distribution(subject: SamplerSubject) -> None:
    """With an exact model and its default settings 600 samples have the model's density: χ² over 24 regions.

    The denoiser and the density are known in closed form, so only the sampler can be wrong.  A correct sampler fails
    the test with probability one in a million; the test does not detect discretisation errors of a few per cent.  It is
    skipped for samplers that need capabilities of which the kit has no exact model.
    """
    candidate, sampler = _tried(subject)
    model = candidate.model
    if candidate.entry is not None or not isinstance(model, Density) or not candidate.is_planar:
        skip(f"sampler {subject.name!r}: the kit has no exact model with what it needs")
    points = tiny_data.batch(model, 1000).x
    with torch.inference_mode():
        cells = quadrature.integrate(lambda x: model.log_prob(x), points)
    region, share = cells.regions(REGIONS)
    x = _draw(candidate, sampler, DRAWS)
    observed = torch.bincount(region[cells.locate(x)], minlength=REGIONS).double()
    statistic, freedom = chi_square(observed, share * DRAWS)
    p = torch.special.gammaincc(torch.tensor(freedom / 2.0), torch.tensor(statistic / 2.0)).item()
    require(
        p >= FALSE_ALARM,
        f"sampler {subject.name!r} draws another distribution than the model's: χ² = {statistic:.0f} for {freedom} "
        f"degrees of freedom, p = {p:.1g}; expected at least {FALSE_ALARM:g}",
    )


def _tried(subject: SamplerSubject) -> tuple[ModelSubject, Sampler]:
    """Returns the first model that the sampler fits, and the sampler."""
    if not subject.models:
        skip(f"sampler {subject.name!r}: no model here has {' and '.join(subject.component.needs)}")
    candidate, sampler = subject.models[0], subject.make()
    sampler.check(candidate.model)
    return candidate, sampler


def _draw(
    candidate: ModelSubject, sampler: Sampler, n: int, *, seed: int = 0, start: int = 0, observer: object = None
) -> Tensor:
    streams = Streams(seed, "check", start, n)
    with torch.inference_mode():
        drawn: Tensor = sampler.sample(
            candidate.model, streams, condition=candidate.condition(start + n, start), observer=observer
        )
    return drawn
