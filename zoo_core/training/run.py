"""Trains a model by the recipe of its registry entry, and writes a folder that ``zoo load`` reads.

    OUT/recipe.toml   OUT/checkpoints/   OUT/log.jsonl   OUT/tensorboard/   OUT/samples/   OUT/model/

``OUT/model`` is a snapshot: ``zoo load ./OUT/model``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_core import datasets
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError, WeightsError
from zoo_core.interfaces import DataSet, GradientObjective, Model, Ragged, StatisticsObjective
from zoo_core.loading import build, fill, load
from zoo_core.lookup.model_facts import read_facts
from zoo_core.processes import Processes
from zoo_core.registry.entry import Entry
from zoo_core.sampling import quick_sampler, sample
from zoo_core.saving import snapshot
from zoo_core.saving.samples import save_samples
from zoo_core.training import checkpoint, identity
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.gradient import GradientRun
from zoo_core.training.recipe import Recipe, objective
from zoo_core.training.recipe_file import write_recipe
from zoo_core.training.replay import replayed
from zoo_core.training.starting import adapted
from zoo_core.training.statistics import fit

__all__ = ["Options", "train"]

_FINGERPRINTED = 64 * 2**20
"""Greatest size, in bytes, of a data set whose contents are hashed when a run begins (a tenth of a second)."""


@dataclass(frozen=True)
class Options:
    """Options of a run that are no part of its recipe.

    Attributes:
        device: device to train on, ``cpu``, ``cuda``, ``mps`` or ``auto``.
        max_steps: step at which to stop early, with the learning-rate schedule of the whole recipe; ``None`` for none.
        checkpoint_every: number of steps between checkpoints.
        samples_every: number of steps between pictures of samples, drawn at checkpoints only; 0 for no pictures.
        fast: whether networks are replayed from CUDA graphs on a GPU; see :mod:`zoo_core.training.replay`.
        quiet: whether nothing is said about the progress.
    """

    device: str = "cpu"
    max_steps: int | None = None
    checkpoint_every: int = 500
    samples_every: int = 1000
    fast: bool = False
    quiet: bool = False


def train(entry: Entry, out: Path, options: Options | None = None, data: DataSet | None = None) -> Model:
    """Runs an entry's recipe, or resumes an interrupted run.

    Args:
        entry: registry entry with a recipe, whose plugin is installed.
        out: folder of the run, made if it does not exist.
        options: device, checkpoints and pictures; see :class:`Options`.
        data: examples to train on; those that the recipe names unless given.

    Returns:
        The trained model in evaluation mode, with EMA weights where the recipe has ``ema``.

    Raises:
        IncompatibleError: the recipe has a mistake or does not fit the data.
        ZooError: the run diverged; the message names the last good checkpoint.
    """
    options = options or Options()
    recipe = Recipe.of(entry.recipe)
    goal = objective(recipe)
    begun = checkpoint.latest(out / "checkpoints") is not None
    said: list[str] = []
    model = begin(entry, recipe, said.append)
    if isinstance(goal, GradientObjective) and (reason := goal.fits(model)) is not None:
        raise IncompatibleError(f"objective {recipe.objective!r} {reason}")
    data = data or datasets.load(**recipe.data)
    processes = Processes(options.device, recipe.precision)  # type: ignore[arg-type]
    try:
        out.mkdir(parents=True, exist_ok=True)
        model.to(processes.device)
        if recipe.start is not None and processes.first and not begun and not options.quiet:
            for line in (f"{entry.id} starts from the weights of {recipe.start}", *said):
                print(f"zoo: {line}", file=sys.stderr)
        if processes.first and not begun:
            write_recipe(out, entry)
        facts = {**identity.facts(entry), **_contents(data)}
        loop: Any = _descend if isinstance(goal, GradientObjective) else _fit
        trained, stopped = loop(model, data, goal, recipe, processes, out, options, facts)
        if processes.first:
            snapshot.save(out / "model", _made(entry, trained, stopped), trained.state_dict())
        processes.wait()
    finally:
        processes.close()
    return trained.eval().requires_grad_(False)


def begin(entry: Entry, recipe: Recipe, say: Callable[[str], None] = lambda line: None) -> Model:
    """Builds the model before its first step: fresh, or with the verified weights that the recipe starts from.

    Args:
        entry: entry of the model.
        recipe: its recipe.
        say: function that is called with a line for each thing that was adapted, where the weights do not fit as they
            are.

    Raises:
        WeightsError: the weights of ``start`` do not fit this entry's config, and cannot be adapted to it.
    """
    model = build(entry, recipe.seed)
    if recipe.start is not None:
        state = model.started_from(load(recipe.start).state_dict())
        try:
            fill(model, state, f"start = {recipe.start!r}")
        except WeightsError:
            start = adapted(build(entry, recipe.seed).state_dict(), state, recipe.start)
            fill(model, start.state, f"start = {recipe.start!r}")
            for line in start.lines():
                say(line)
    return model


def _descend(
    model: Model,
    data: DataSet,
    goal: GradientObjective[Any, Any],
    recipe: Recipe,
    processes: Processes,
    out: Path,
    options: Options,
    facts: identity.Facts,
) -> tuple[Model, int | None]:
    """Trains by gradients; returns the model, and the step at which the run was stopped early, if it was."""
    size = (recipe.batch or 64) * goal.batches
    if size % processes.size:
        raise IncompatibleError(
            f"batch = {recipe.batch} cannot be shared equally by {processes.size} processes; choose a multiple"
        )

    def show(step: int, average: Model) -> None:
        if options.samples_every and step % options.samples_every == 0:
            picture(average, out / "samples" / f"step-{step:08d}.png")

    run = GradientRun(
        model,
        goal,
        recipe,
        TrainingBatches(model, data, recipe.seed, size, recipe.augment),
        processes,
        out,
        facts,
        options.checkpoint_every,
        show=show,
        quiet=options.quiet,
    )
    run.resume()
    until = _last(recipe.steps, recipe, options)
    with replayed(model, processes.device) if options.fast else nullcontext() as chosen:
        if chosen and processes.first and not options.quiet:
            print(f"zoo: {chosen}", file=sys.stderr)
        trained = run.run(until)
    goal.finish(trained, recipe.seed)
    return trained, run.step if run.step < recipe.steps else None


def _fit(
    model: Model,
    data: DataSet,
    goal: StatisticsObjective[Any, Any],
    recipe: Recipe,
    processes: Processes,
    out: Path,
    options: Options,
    facts: identity.Facts,
) -> tuple[Model, int | None]:
    """Fits by statistics; returns the model, and the iteration at which the run was stopped early, if it was."""

    def report(restart: int, iteration: int, log_likelihood: float) -> None:
        if processes.first and not options.quiet:
            print(f"restart {restart} iteration {iteration}: {log_likelihood:.6f} nats", file=sys.stderr, flush=True)

    stop = _last(recipe.iterations, recipe, options)
    history = fit(
        model,
        Prepared(model, data, recipe.seed),
        goal,
        batch=recipe.batch,
        restarts=recipe.restarts,
        tolerance=recipe.tolerance,
        iterations=recipe.iterations,
        stop=stop,
        seed=recipe.seed,
        processes=processes,
        folder=out / "checkpoints",
        facts=facts,
        progress=report,
    )
    if processes.first:
        lines = [json.dumps({"step": i, "log_likelihood": value}) for i, value in enumerate(history)]
        (out / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return model, stop if stop < recipe.iterations and len(history) >= stop else None


def _last(whole: int, recipe: Recipe, options: Options) -> int:
    """Returns the step or iteration to end with: the recipe's last, or ``max_steps`` where that is earlier."""
    return min(whole, recipe.stopped or whole, options.max_steps or whole)


def _made(entry: Entry, model: Model, stopped: int | None) -> Entry:
    """Returns the entry of the trained model, without numbers and sentences that describe other weights."""
    recipe = {key: value for key, value in entry.recipe.items() if key not in ("how", "stopped")}
    return dataclasses.replace(
        entry,
        parameters=sum(t.numel() for t in model.state_dict().values()),
        facts=read_facts(model),
        recipe=recipe if stopped is None else {**recipe, "stopped": stopped},
        evaluations=(),
    )


def _contents(data: DataSet) -> dict[str, Any]:
    """Returns the fingerprint of a small data set, as a fact of the run; large ones are known by name only."""
    x = data.x.data if isinstance(data.x, Ragged) else data.x
    if not isinstance(x, Tensor) or x.numel() * x.element_size() > _FINGERPRINTED:
        return {}
    return {"data.sha256": data.fingerprint[:16]}


def picture(model: Model, path: Path) -> None:
    """Draws 36 images or 1,000 points in at most 50 steps; says so where they cannot be drawn."""
    path.parent.mkdir(exist_ok=True)
    training = model.training
    count = 36 if model.space.kind == "image" else 1000
    try:
        x = sample(model.eval(), count, sampler=quick_sampler(model, 50), batch_size=count)
        save_samples(x, str(path), model.space)
    except IncompatibleError as err:
        print(f"zoo: no picture at this step: {err}", file=sys.stderr)
    finally:
        model.train(training)
