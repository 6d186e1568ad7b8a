"""``zoo eval``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import batch_size, key_values, placement, sampler_options, solver_steps
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import ZooError

if TYPE_CHECKING:
    from zoo_core.evaluation.measurements import Settings
    from zoo_core.processes import Processes
    from zoo_core.registry.entry import Entry


@click.command("eval", short_help="Measure the likelihood or the sample quality of a model.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Name of a metric; 'zoo metrics --for NAME' lists those that fit; may be repeated.  [default: those that fit "
    "and take minutes]",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=2),
    help="Number of held-out examples, or of samples.  [default: the whole test split; as many samples, but at most "
    "10,000]",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of the samples, the order of the examples, dequantisation and noise.",
)
@click.option(
    "--sampler",
    help="Name of the sampler that draws the samples; 'zoo samplers --for NAME' lists those that fit.  [default: the "
    "model's own]",
)
@solver_steps
@click.option("--nfe", type=click.IntRange(min=1), help="Network evaluations per sample at most, in place of --steps.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="Option of the sampler, such as eta=0.5; may be repeated.")  # fmt: skip
@batch_size("examples handled")
@click.option("--all", "every", is_flag=True, help="Measure all models of the registry that have weights.")
@click.option(
    "--check",
    is_flag=True,
    help="Measure the registry's numbers again; fail if one differs by more than its standard error.",
)
@click.option("--save", is_flag=True, help="Write the numbers into config.json and README.md of the model's ./FOLDER.")
@placement
@json_option
def command(
    name: str | None,
    metrics: tuple[str, ...],
    count: int | None,
    seed: int,
    sampler: str | None,
    steps: int | None,
    nfe: int | None,
    settings: dict[str, Any],
    batch_size: int | None,
    every: bool,
    check: bool,
    save: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Measure the likelihood or the sample quality of a model.

    A likelihood is measured on the test split of the data that the model was trained on; samples are compared with the
    training split.  --sampler, --steps, --nfe and --set choose how samples are drawn.  With --check, every number of
    the registry is measured again under the settings that it was measured with, and must agree within its standard
    error.

    \b
    Examples:
      zoo eval gmm-mnist0 --metric bits-per-dim
      zoo eval ddpm-mnist --metric r-mnist-v1 --metric recall -n 10000 --json
      zoo eval ddpm-mnist --metric r-mnist-v1 --sampler heun --nfe 20
      zoo eval ./runs/ddpm-moons/model --save
      zoo eval --all --check
    """
    from zoo_core import registry
    from zoo_core.evaluation.measurements import Settings
    from zoo_core.fetching.references import entry_of
    from zoo_core.processes import Processes, world_size
    from zoo_core.registry.entry import FromFolder

    if every == (name is not None):
        raise click.UsageError("name a model, or use --all")
    options = sampler_options(settings, steps, nfe)
    if check and (metrics or count or sampler or options or save):
        raise click.UsageError(
            "--check takes its settings from the registry; leave out --metric, -n, --save, --sampler and its options"
        )
    entries = [e for e in registry.load().find() if e.weights] if every else [entry_of(str(name), offline=offline)]
    if save and not all(isinstance(entry.origin, FromFolder) for entry in entries):
        raise click.UsageError("--save writes into a model's folder; name the model as ./FOLDER")
    warn_about_plugins()
    run = _Run(
        {"device": device, "dtype": dtype, "offline": offline, "weights_from": weights_from},
        batch_size,
        Processes(device) if world_size() > 1 else None,
        as_json,
    )
    asked = Settings(count, seed, sampler or "", options.pop("steps", None), options.pop("nfe", None), options)
    rows, failed = [], 0
    for entry in entries:
        label = entry.id if every else str(name)
        try:
            if check:
                found, wrong = run.checked(entry, label)
                failed += wrong
            else:
                found = run.measured(entry, label, list(metrics), asked, save)
        except ZooError as err:
            if not every:
                raise
            click.echo(f"zoo: {label}: {err}", err=True)
            found, failed = [], failed + 1
        rows += found
    if run.processes is not None:
        run.processes.close()
    if as_json and run.speaks:
        print_json(rows)
    if failed:
        if check:
            numbers = "1 number is" if failed == 1 else f"{failed} numbers are"
            raise ZooError(f"{numbers} not as the registry says, or could not be measured; the lines above say which")
        models = "1 model" if failed == 1 else f"{failed} models"
        raise ZooError(f"{models} could not be measured; the lines above say why")


@dataclass(frozen=True)
class _Run:
    """How models are measured in this process, and whether this process prints the results."""

    place: dict[str, Any]
    batch_size: int | None
    processes: Processes | None
    as_json: bool

    @property
    def speaks(self) -> bool:
        return self.processes is None or self.processes.first

    def say(self, text: str) -> None:
        if self.speaks and not self.as_json:
            click.echo(text)

    def shared(self, label: str) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "progress": progress(f"measuring {label}"),
            "processes": self.processes,
        }

    def measured(
        self, entry: Entry, label: str, metrics: list[str], settings: Settings, save: bool
    ) -> list[dict[str, Any]]:
        """Measures a model, prints the numbers, and returns them as JSON values."""
        from zoo_core.evaluation import default_metrics, metric_named
        from zoo_core.evaluation.measurements import measure
        from zoo_core.loading import load
        from zoo_core.saving import snapshot

        for metric in metrics:
            metric_named(metric)  # a misspelt name fails before the model is loaded
        model = load(entry, **self.place)
        found = measure(model, metrics or default_metrics(model), settings, **self.shared(label))
        for one in found:
            result = one.result
            anchors = "".join(f"; {k} {v:.4f}" for k, v in result.anchors.items())
            value = f"{result.value:.4f} ± {result.stderr:.4f} {result.unit}".rstrip()
            about = f"n = {result.n:,}, {one.row.dataset}, {result.protocol}{anchors}"
            self.say(f"{one.row.metric}: {value} ({about})")
        if save and self.speaks:
            snapshot.record(entry, [one.row for one in found])
        return [one.as_json(label) for one in found]

    def checked(self, entry: Entry, label: str) -> tuple[list[dict[str, Any]], int]:
        """Measures an entry's numbers again; returns old and new numbers as JSON values, and how many disagree."""
        from zoo_core.evaluation.measurements import check
        from zoo_core.loading import load

        if not entry.evaluations:
            return [], 0
        rows, wrong = [], 0
        for one in check(entry, load(entry, **self.place), **self.shared(label)):
            wrong += not one.agrees
            committed, again = one.committed, one.measured
            verdict = "as committed" if one.agrees else "NOT as committed"
            self.say(f"{entry.id} {committed.metric}: {committed.text()}; now {again.text()}: {verdict}")
            rows.append(
                {
                    "model": entry.id,
                    "agrees": one.agrees,
                    "command": committed.command(label),
                    "committed": committed.table(),
                    "measured": again.table(),
                }
            )
        return rows, wrong
