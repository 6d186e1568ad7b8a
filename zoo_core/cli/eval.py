"""``zoo eval``."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.load import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins
from zoo_core.cli.sample import key_values
from zoo_core.errors import ZooError

if TYPE_CHECKING:
    from zoo_core.entry import Entry, Evaluation
    from zoo_core.interfaces import Model, Result
    from zoo_core.interfaces.dataset import DataSet
    from zoo_core.processes import Processes

Placement = dict[str, Any]


@click.command("eval", short_help="Measure a model on held-out data.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option(
    "--metric", "metrics", multiple=True, help="See 'zoo metrics --for NAME'; may be repeated.  [default: what fits]"
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=2),
    help="How many examples or samples  [default: the whole test split; as many samples, 10,000 at most]",
)
@click.option("--seed", default=0, show_default=True, help="Of the samples, the order, dequantisation and noise.")
@click.option("--sampler", help="What draws the samples; see 'zoo samplers --for NAME'.")
@click.option("--steps", type=click.IntRange(min=1), help="Network evaluations, for an iterative sampler.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="An option of the sampler (eta=0.5).")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=100, show_default=True, help="Examples at once.")
@click.option("--all", "every", is_flag=True, help="All models that have weights.")
@click.option("--check", is_flag=True, help="Measure again what the registry says; fail where it is not so.")
@placement
@json_option
def command(
    name: str | None,
    metrics: tuple[str, ...],
    count: int | None,
    seed: int,
    sampler: str | None,
    steps: int | None,
    settings: dict[str, Any],
    batch_size: int,
    every: bool,
    check: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    source: str,
    as_json: bool,
) -> None:
    """Measure a model: its likelihood on the test split of what it was trained on, its samples against that data.

    Without --metric, by all that fit the model and take minutes.  With --check, every number of the registry is
    measured again by its own command, and must be within its standard error.

    \b
    Examples:
      zoo eval gmm-mnist0 --metric bits-per-dim
      zoo eval ddpm-mnist --metric r-mnist-v1 --metric recall -n 10000 --json
      zoo eval --all --check
    """
    from zoo_core import registry
    from zoo_core.processes import Processes, world_size
    from zoo_core.references import entry_of

    if every == (name is not None):
        raise click.UsageError("name a model, or say --all")
    if check and (metrics or count or sampler or steps or settings):
        raise click.UsageError("--check measures what the registry says; it takes no metric, count or sampler")
    entries = [e for e in registry.load().find() if e.weights] if every else [entry_of(str(name), offline=offline)]
    warn_about_plugins()
    processes = Processes(device) if world_size() > 1 else None
    place: Placement = {"device": device, "dtype": dtype, "offline": offline, "source": source}
    rows, failed = [], 0
    for entry in entries:
        label = entry.id if every else str(name)
        try:
            if check:
                found, wrong = _check(entry, label, place, batch_size, processes, as_json)
                failed += wrong
            else:
                options: Placement = {"metrics": metrics, "count": count, "seed": seed}
                options |= {"sampler": sampler, "steps": steps, "settings": settings}
                found = _measure(label, options, place, batch_size, processes, as_json)
        except ZooError as err:
            if not every:
                raise
            click.echo(f"zoo: {label}: {err}", err=True)
            found, failed = [], failed + 1
        rows += found
    if processes is not None:
        processes.close()
    if as_json and (processes is None or processes.first):
        print_json(rows)
    if failed:
        raise ZooError(f"{failed} of what was to be measured {'is' if failed == 1 else 'are'} not as the registry says")


def _measure(
    name: str, options: Placement, place: Placement, batch_size: int, processes: Processes | None, as_json: bool
) -> list[dict[str, Any]]:
    """Measures, prints, and gives the rows."""
    from zoo_core.evaluation import fitting, metric_named
    from zoo_core.loading import load

    model = load(name, **place)
    metrics = list(options["metrics"]) or fitting(model)
    for metric in metrics:
        metric_named(metric)
    rows = []
    for metric, result, row in _results(model, name, metrics, options, batch_size, processes):
        rows.append(
            {"metric": metric, **result.as_json(), **{k: asdict(row)[k] for k in ("dataset", "seed", "command")}}
        )
        if not as_json and (processes is None or processes.first):
            anchors = "".join(f"; {k} {v:.4f}" for k, v in result.anchors.items())
            value = f"{result.value:.4f} ± {result.stderr:.4f} {result.unit}".rstrip()
            click.echo(f"{metric}: {value} (n = {result.n:,}, {row.dataset}, {result.protocol}{anchors})")
    return rows


def _results(
    model: Model,
    name: str,
    metrics: list[str],
    options: Placement,
    batch_size: int,
    processes: Processes | None,
) -> list[tuple[str, Result, Evaluation]]:
    """Results with the rows that the registry holds."""
    from zoo_core.evaluation import data_for, evaluate_all, metric_named, row
    from zoo_core.sampling import make_sampler

    count, seed, sampler, steps, settings = (options[k] for k in ("count", "seed", "sampler", "steps", "settings"))
    given = settings | ({} if steps is None else {"steps": steps})
    chosen = make_sampler(model, sampler, **given) if sampler or given else None
    results = evaluate_all(
        model,
        metrics,
        n=count,
        seed=seed,
        batch_size=batch_size,
        sampler=chosen,
        progress=progress(f"measuring {name}"),
        processes=processes,
    )
    rows = []
    data: dict[str, DataSet] = {}
    for metric, result in zip(metrics, results, strict=True):
        kind = metric_named(metric)
        if kind.uses not in data:
            data[kind.uses] = data_for(model, kind)
        words = [f"zoo eval {name} --metric {metric}"]
        words += [f"-n {count}"] if count else []
        if kind.uses == "samples":
            words += [f"--sampler {sampler}"] if sampler else []
            words += [f"--steps {steps}"] if steps else []
            words += [f"--set {key}={json.dumps(value)}" for key, value in settings.items()]
        text = " ".join([*words, f"--seed {seed}"])
        rows.append((metric, result, row(metric, result, data[kind.uses], seed, text)))
    return rows


def _check(
    entry: Entry, name: str, place: Placement, batch_size: int, processes: Processes | None, as_json: bool
) -> tuple[list[dict[str, Any]], int]:
    """Measures the entry's rows again; the rows with what was found, and how many are wrong."""
    from zoo_core.evaluation import agrees
    from zoo_core.loading import load

    if not entry.evaluations:
        return [], 0
    model = load(name, **place)
    groups: dict[str, list[Evaluation]] = {}
    for row in entry.evaluations:
        groups.setdefault(repr(_options(row)), []).append(row)
    rows, wrong = [], 0
    for members in groups.values():
        options = _options(members[0])
        metrics = [row.metric for row in members]
        found = _results(model, name, metrics, options, batch_size, processes)
        for row, (_, result, again) in zip(members, found, strict=True):
            right = agrees(row, result)
            wrong += not right
            rows.append({"model": entry.id, "agrees": right, "committed": asdict(row), "measured": asdict(again)})
            if not as_json and (processes is None or processes.first):
                verdict = "as committed" if right else "NOT as committed"
                click.echo(f"{entry.id} {row.metric}: {row.text()}; now {again.text()}: {verdict}")
    return rows, wrong


def _options(row: Evaluation) -> Placement:
    """What the row's own command was told, metric aside: rows that agree in this share their samples."""
    words = shlex.split(row.command)
    try:
        parsed = command.make_context("zoo eval", words[2:]).params
    except click.ClickException as err:
        raise ZooError(
            f"the command of {row.metric} is not understood: {row.command!r}: {err.format_message()}"
        ) from err
    return {key: parsed[key] for key in ("count", "seed", "sampler", "steps", "settings")}
