"""Checks gradient objectives on a few generated examples."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch

from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, GradientObjective, Loss, Model, Streams
from zoo_core.randomness import generator
from zoo_core.testing import tiny_data
from zoo_core.testing.check import ConformanceError, check, require
from zoo_core.testing.component_subjects import ObjectiveSubject

ROWS = 16
STEPS, LONGEST = 60, 300
EXAMPLES = 256
FALL = 1e-3
"""Fraction of its size by which a loss must fall.

It may be small because the loss before and after training is measured with the same examples and noise, and must be
small because a clipped critic leaves the generator little to gain.
"""


def _is_gradient(subject: ObjectiveSubject) -> bool:
    return not subject.is_statistics


@check("objective", when=_is_gradient)
def check_losses_are_finite_with_gradients(subject: ObjectiveSubject) -> None:
    """Every player of the model gets losses that are finite scalars, and each of its parameters a finite gradient.

    As in the training loop, a player takes a step after each of its losses.  A parameter without a gradient, and a
    player without a loss, would not be trained.
    """
    model, objective = subject.model.fresh().train(), _gradient(subject)
    unreached = {name: _trainable(model, name) for name in model.players}
    wanting = {name for name, its in unreached.items() if its}
    optimisers = {name: torch.optim.SGD(list(its.values()), lr=1e-4) for name, its in unreached.items() if its}
    batch, streams = _batch(_examples(model), objective, ROWS, 1)
    with torch.random.fork_rng(devices=[]):
        for loss in objective.losses(model, batch, streams):
            _check_loss(subject, model, loss)
            optimisers[loss.player].zero_grad()
            parameters = _trainable(model, loss.player)
            loss.value.backward(inputs=list(parameters.values()))  # type: ignore[no-untyped-call]
            wanting.discard(loss.player)
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    unreached[loss.player].pop(name, None)
                    require(
                        bool(torch.isfinite(parameter.grad).all()),
                        f"{subject.name}: the gradient of {loss.player}'s {name} is not finite; a root of 0?",
                    )
            optimisers[loss.player].step()
    require(not wanting, f"{subject.name}: no loss for {', '.join(sorted(wanting))}; yield a Loss for every player")
    dead = [f"{player}.{name}" for player, its in unreached.items() for name in its]
    require(not dead, f"{subject.name}: no gradient reaches {', '.join(dead)}; is it used, or detached?")


@check("objective", when=_is_gradient)
def check_losses_are_seeded(subject: ObjectiveSubject) -> None:
    """The same batch and streams give the same losses to the bit, and no global generator of torch moved.

    Otherwise a resumed run would differ from an uninterrupted one.  Layers such as dropout draw from torch's generator;
    the training loop seeds it for every step, and so does this check.
    """
    values = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            objective = _gradient(subject)  # a new one: chains or targets of the first call would matter to the second
            model = subject.model.fresh().train()
            torch.manual_seed(0)
            batch, streams = _batch(_examples(model), objective, ROWS, 1)
            before = torch.get_rng_state()
            values.append([loss.value.item() for loss in objective.losses(model, batch, streams)])
            moved = not torch.equal(before, torch.get_rng_state())
    require(values[0] == values[1], f"{subject.name}: the losses of one batch are {values[0]}, then {values[1]}")
    drawing = any(isinstance(m, torch.nn.modules.dropout._DropoutNd) for m in model.modules())
    require(not moved or drawing, f"{subject.name} draws from torch's global generator; draw from the streams")


@check("objective", when=lambda subject: _is_gradient(subject) and subject.smallest, long=True)
def check_training_lowers_the_loss(subject: ObjectiveSubject) -> None:
    """At most 300 steps on 256 generated examples lower the loss of each player, the others held fixed, by 0.1 %.

    Most objectives need 60 steps; a classifier that begins at equal probabilities needs more.  The loss before and
    after training is measured on the same examples with the same noise.  The other players are held fixed because
    nothing is guaranteed about the losses of a game.  The model is the smallest registered one that the objective fits.
    """
    for player in subject.model.fresh().players:
        model = subject.model.fresh().train()
        if _trainable(model, player):
            _check_player_learns(subject, model, player)


def _check_player_learns(subject: ObjectiveSubject, model: Model, player: str) -> None:
    objective, examples = _gradient(subject), _examples(model)
    _descend(
        objective, model, examples, player, 0, None
    )  # without an optimiser, so that what an objective does after a step, such as clipping, is done before `start`
    start = _loss_of(objective, model, examples, player)
    recipe = subject.model.entry.recipe if subject.model.entry else {}
    optimiser = torch.optim.Adam(list(_trainable(model, player).values()), lr=float(recipe.get("lr", 1e-3)))
    end = math.inf
    for begin in range(0, LONGEST, STEPS):
        try:
            for step in range(begin, begin + STEPS):
                _descend(objective, model, examples, player, step, optimiser)
        except ZooError as err:
            raise ConformanceError(f"{subject.name}: training {player} failed: {err}") from err
        end = _loss_of(objective, model, examples, player)
        if not math.isfinite(end) or end < start - FALL * abs(start):
            break
    require(
        math.isfinite(end) and end < start - FALL * abs(start),
        f"{subject.name}: the loss of {player} went from {start:.6g} to {end:.6g} in {LONGEST} steps; it should fall",
    )


def _descend(
    objective: GradientObjective,
    model: Model,
    examples: Batch,
    player: str,
    step: int,
    optimiser: torch.optim.Optimizer | None,
) -> None:
    """Computes the losses of one batch; one player takes its steps, if there is an optimiser."""
    batch, streams = _batch(examples, objective, ROWS, step, drawn=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step)
        for loss in objective.losses(model, batch, streams):
            if loss.player == player and optimiser is not None:
                optimiser.zero_grad()
                loss.value.backward(inputs=list(_trainable(model, player).values()))  # type: ignore[no-untyped-call]
                optimiser.step()


def _loss_of(objective: GradientObjective, model: Model, examples: Batch, player: str) -> float:
    """Returns a player's mean loss over all examples, computed on a copy of the model."""
    still = copy.deepcopy(model)
    batch, streams = _batch(examples, objective, EXAMPLES, STEPS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = [loss.value.item() for loss in objective.losses(still, batch, streams) if loss.player == player]
    return sum(values) / max(len(values), 1)


def _check_loss(subject: ObjectiveSubject, model: Model, loss: Loss) -> None:
    known = list(model.players)
    require(
        loss.player in known,
        f"{subject.name}: a loss is for {loss.player!r}; the model's players are {', '.join(known)}",
    )
    value = loss.value
    require(
        value.ndim == 0 and bool(torch.isfinite(value)),
        f"{subject.name}: {loss.player}'s loss is {value.tolist()}; expected one finite number",
    )
    kept = [name for name, term in loss.terms.items() if term.requires_grad]
    require(
        not kept, f"{subject.name}: the terms {', '.join(kept)} keep their graph alive; detach what is only for the log"
    )


def _trainable(model: Model, player: str) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.players[player].named_parameters() if p.requires_grad}


def _examples(model: Model) -> Batch:
    return tiny_data.batch(model, EXAMPLES)


def _batch(
    examples: Batch, objective: GradientObjective, rows: int, step: int, *, drawn: bool = False
) -> tuple[Batch, Streams]:
    """Takes ``rows`` examples for each of the objective's batches: the first ones, or random ones for every step."""
    count = rows * objective.batches
    order = torch.arange(count) % len(examples)
    if drawn:
        order = torch.randint(len(examples), (count,), generator=generator(0, "order", step))
    return replace(examples.rows(order), step=step), Streams(0, f"train/{step}", step * count if drawn else 0, count)


def _gradient(subject: ObjectiveSubject) -> GradientObjective:
    made = subject.make()
    require(
        isinstance(made, GradientObjective), f"{subject.name}: {subject.component.target} makes no GradientObjective"
    )
    assert isinstance(made, GradientObjective)
    return made
