"""``zoo eval``."""

from __future__ import annotations

import click

from zoo_core.cli.load import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins


@click.command("eval", short_help="Measure a model on held-out data.")
@click.argument("name", shell_complete=complete_model)
@click.option(
    "--metric", "metrics", multiple=True, required=True, help="See 'zoo metrics --for NAME'; may be repeated."
)
@click.option("-n", "count", type=click.IntRange(min=2), help="How many examples  [default: the whole test split]")
@click.option("--seed", default=0, show_default=True, help="Of the order, dequantisation and noise.")
@click.option("--batch-size", type=click.IntRange(min=1), default=100, show_default=True, help="Examples at once.")
@placement
@json_option
def command(
    name: str,
    metrics: tuple[str, ...],
    count: int | None,
    seed: int,
    batch_size: int,
    device: str,
    dtype: str | None,
    offline: bool | None,
    source: str,
    as_json: bool,
) -> None:
    """Measure a model on held-out data: the test split of what it was trained on.

    \b
    Examples:
      zoo eval gmm-mnist0 --metric bits-per-dim
      zoo eval ddpm-mnist --metric bits-per-dim -n 100 --json
    """
    from zoo_core.evaluation import evaluate, held_out
    from zoo_core.loading import load

    model = load(name, device=device, dtype=dtype, offline=offline, source=source)
    warn_about_plugins()
    data = held_out(model)
    rows = []
    for metric in metrics:
        result = evaluate(
            model, metric, data=data, n=count, seed=seed, batch_size=batch_size, progress=progress(metric)
        )
        command_line = f"zoo eval {name} --metric {metric}{f' -n {count}' if count else ''} --seed {seed}"
        row = {
            "metric": metric,
            **result.as_json(),
            "dataset": f"{data.name}/{data.split}",
            "seed": seed,
            "command": command_line,
        }
        rows.append(row)
        if not as_json:
            anchors = "".join(f"; {k} {v:.4f}" for k, v in result.anchors.items())
            value = f"{result.value:.4f} ± {result.stderr:.4f} {result.unit}"
            click.echo(f"{metric}: {value} (n = {result.n:,}, {row['dataset']}, {result.protocol}{anchors})")
    if as_json:
        print_json(rows)
