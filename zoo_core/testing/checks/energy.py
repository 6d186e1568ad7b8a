"""Checks energy-based models: the states of chains, the invariance of p under Gibbs steps, and the energy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.interfaces import Density, EnergyBased, Model, Streams, Values, can
from zoo_core.interfaces.values import finite_rows
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import check, require, skip
from zoo_core.testing.checks.density import FALSE_ALARM, chi_square
from zoo_core.testing.comparing import numbers, same
from zoo_core.testing.states import all_states, index_of, small_variant
from zoo_core.testing.subjects import ModelSubject

CHAINS = 20_000
MOST_STATES = 1024
ENERGY_SLACK = 1e-3
"""Allowed error relative to the largest energy, for float32 sums of thousands of terms."""


@check("model", needs=("EnergyBased",))
def check_chain_states_are_samples(subject: ModelSubject) -> None:
    """The initial state and the states after one and two sweeps are finite, of the model's shape, and valid values.

    A model of black and white images has zeros and ones (or its two bounds), and tokens are integers below the
    vocabulary: a chain that passed means on would have another distribution.
    """
    model = subject.model
    assert isinstance(model, EnergyBased)
    n = 4
    streams, condition = streams_for(model, n), subject.condition(n)
    with torch.inference_mode():
        x = model.initial_state(streams, condition=condition)
        for what in ("initial_state", "gibbs_step", "gibbs_step"):
            _require_states(subject, model, what, x, n)
            x = model.gibbs_step(x, streams, condition=condition)


def _require_states(subject: ModelSubject, model: Model, what: str, x: Values, n: int) -> None:
    space = model.space
    shape = x.shape[1:]
    right = len(x) == n and len(shape) == len(space.shape)
    right = right and all(size in (None, found) for size, found in zip(space.shape, shape, strict=True))
    require(right, f"{subject.name}: {what} gives {tuple(x.shape)}; expected ({n}, {', '.join(map(str, space.shape))})")
    require(bool(finite_rows(x).all()), f"{subject.name}: {what} gives values that are not finite")
    data = numbers(x)
    if model.binarises:
        low, high = (0.0, 1.0) if space.low is None or space.high is None else (space.low, space.high)
        grey = data[(data != low) & (data != high)]
        require(
            not len(grey),
            f"{subject.name}: {what} gives {[*grey[:1].tolist(), 0][0]:.4g}, and the model is of {low:g} and {high:g}; "
            "draw the bits, do not pass their means on",
        )
    if space.kind == "tokens":
        require(
            not data.is_floating_point() and bool(((data >= 0) & (data < (space.vocabulary or 0))).all()),
            f"{subject.name}: {what} gives {data.dtype} from {data.min().item()} to {data.max().item()}; expected "
            f"integers 0 … {(space.vocabulary or 0) - 1}",
        )


@check("model", needs=("EnergyBased",))
def check_chains_do_not_mix(subject: ModelSubject) -> None:
    """A chain depends on its own stream only: alone and in a batch it is the same to the bit."""
    model, n = subject.model, 4
    assert isinstance(model, EnergyBased)

    def run(start: int, count: int) -> Values:
        streams = streams_for(model, count, start=start)
        condition = subject.condition(start + count, start)
        x: Values = model.initial_state(streams, condition=condition)
        return model.gibbs_step(x, streams, condition=condition)

    with torch.inference_mode():
        together, again, last = run(0, n), run(0, n), run(n - 1, 1)
    require(same(together, again), f"{subject.name}: the same streams give two chains; draw from the streams only")
    require(
        same(together[n - 1 :], last),
        f"{subject.name}: a chain is another one among others; let no row of the batch matter to another",
    )


@check("model", needs=("EnergyBased",))
def check_gibbs_step_leaves_the_distribution_invariant(subject: ModelSubject) -> None:
    """Samples x ~ exp(−F)/Z, drawn by enumeration, have this distribution after a sweep too, by a χ² test.

    The test has 20,000 chains.  It finds a bias that is missing in a conditional, an energy with the wrong sign, and
    states that are means.  If there are too many states, the same family with a small shape is checked; the check is
    skipped if the family has none.
    """
    model = small_variant(subject.model)
    states = None if model is None else all_states(model)
    if model is None or states is None or len(states) > MOST_STATES or not isinstance(states, Tensor):
        skip(f"{subject.name}: the states are too many to enumerate, and no small shape of this family can be built")
    assert isinstance(model, EnergyBased)
    one = tiny_data.condition(model, 0, 1)

    def condition(n: int) -> Any:
        return None if one is None else one.rows(torch.zeros(n, dtype=torch.int64))

    with torch.inference_mode():
        energy = model.free_energy(states, condition=condition(len(states))).double()
        p_x = torch.softmax(-energy, 0)
        which = Streams(0, "exact draw", 0, CHAINS).categorical(p_x)
        streams = Streams(1, "invariance", 0, CHAINS, dtype=model.state_dtype)
        after = model.gibbs_step(states[which], streams, condition=condition(CHAINS))
    found = index_of(states, after)
    require(
        bool((found < len(states)).all()),
        f"{subject.name}: gibbs_step leaves the model's states; they are {len(states)} patterns of two values",
    )
    statistic, freedom = chi_square(torch.bincount(found, minlength=len(states)).double(), p_x * CHAINS)
    p = torch.special.gammaincc(torch.tensor(freedom / 2.0), torch.tensor(statistic / 2.0)).item()
    require(
        p >= FALSE_ALARM,
        f"{subject.name}: gibbs_step does not leave exp(−free_energy)/Z as it is: χ² = {statistic:.0f} for {freedom} "
        f"degrees of freedom, p = {p:.1g}; expected at least {FALSE_ALARM:g}: are the biases there, the signs right?",
    )


def _has_both(subject: ModelSubject) -> bool:
    """Says whether the model has a density too; a small model in its place may have one where it has not."""
    return "Density" in subject.capabilities and can(subject.plan, Density)


@check("model", needs=("EnergyBased",), when=_has_both)
def check_energy_and_density_agree(subject: ModelSubject) -> None:
    """F(x) + log p(x) is the same for every x, −log Z, within 0.001 of the largest of the two.

    A conditional model is checked under one condition, since Z depends on it.
    """
    model, n = subject.model, 8
    assert isinstance(model, EnergyBased)
    assert isinstance(model, Density)
    x = tiny_data.batch(model, n).x
    one = tiny_data.condition(model, 0, 1)
    condition = None if one is None else one.rows(torch.zeros(n, dtype=torch.int64))
    with torch.inference_mode():
        energy = model.free_energy(x, condition=condition).double()
        constant = energy + model.log_prob(x, condition=condition, streams=streams_for(model, n)).double()
    require(
        tuple(energy.shape) == (n,), f"{subject.name}: free_energy has shape {tuple(energy.shape)}; expected ({n},)"
    )
    spread = (constant.max() - constant.min()).item()
    allowed = ENERGY_SLACK * max(1.0, energy.abs().max().item())
    require(
        spread <= allowed,
        f"{subject.name}: free_energy + log_prob varies by {spread:.4g} nats over {n} rows (at most {allowed:.2g}); "
        "it is −log Z for every x",
    )
