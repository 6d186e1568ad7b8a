"""Checks that padding of samples of different lengths is never read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from zoo_core.interfaces import Density, EnergyBased, Ragged, StatisticsObjective
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import ConformanceError, check, require
from zoo_core.testing.component_subjects import ObjectiveSubject
from zoo_core.testing.subjects import ModelSubject


def _filled(x: Ragged) -> Ragged:
    """Returns the values with padding that shows if it is read: NaN, or −1 for tokens."""
    return x.padded_with(float("nan") if x.is_floating_point() else -1)


@check("model", when=lambda subject: subject.plan.space.open_axis is not None)
def check_padding_is_never_read(subject: ModelSubject) -> None:
    """Densities and energies are the same to the bit if the padding is NaN, or −1 for tokens.

    The lengths say where rows end; ``x.mask`` is true where there is data.
    """
    model, n = subject.model, 4
    batch = tiny_data.batch(model, n)
    assert isinstance(batch.x, Ragged)
    asked: dict[str, Callable[[Ragged], Tensor]] = {}
    if isinstance(model, Density):
        asked["log_prob"] = lambda x: model.log_prob(x, condition=batch.condition, streams=streams_for(model, n))
    if isinstance(model, EnergyBased):
        asked["free_energy"] = lambda x: model.free_energy(x, condition=batch.condition)
    for name, ask in asked.items():
        with torch.inference_mode():
            plain = ask(batch.x)
            try:
                other = ask(_filled(batch.x))
            except (IndexError, RuntimeError) as err:
                raise ConformanceError(
                    f"{subject.name}: {name} fails where padding is NaN or −1 ({err}); look where x.mask is true"
                ) from err
        require(
            torch.equal(plain, other),
            f"{subject.name}: {name} reads the padding: it is {plain[0].item():.6g}, and with other padding "
            f"{other[0].item():.6g}; use x.lengths or x.mask",
        )


@check("objective", when=lambda subject: subject.is_statistics and subject.model.plan.space.open_axis is not None)
def check_statistics_do_not_read_padding(subject: ObjectiveSubject) -> None:
    """Expected statistics of a batch are the same for any padding."""
    model = subject.model.fresh()
    objective = subject.make()
    assert isinstance(objective, StatisticsObjective)
    objective.initialise(model, tiny_data.examples(model, 32), 0)
    batch = tiny_data.batch(model, 16)
    assert isinstance(batch.x, Ragged)
    plain, other = (objective.statistics(model, replace(batch, x=x)) for x in (batch.x, _filled(batch.x)))
    for name, value in plain.items():
        require(
            torch.equal(value, other[name]),
            f"{subject.name}: the statistic {name!r} depends on the padding; use x.lengths or x.mask",
        )
