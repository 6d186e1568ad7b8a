"""``zoo load``."""

from __future__ import annotations

import click

from zoo_core.cli.info import measured
from zoo_core.cli.options import placement
from zoo_core.cli.output import complete_model, json_option, print_json, size_of, warn_about_plugins
from zoo_core.errors import WeightsError


@click.command("load", short_help="Load a model, draw one sample as a test, and describe it.")
@click.argument("name", shell_complete=complete_model)
@placement
@json_option
def command(name: str, device: str, dtype: str | None, offline: bool | None, weights_from: str, as_json: bool) -> None:
    """Load a model, draw one sample as a test, and describe it.

    The weights are fetched if need be, and verified.  NAME is a model of the registry, hf:ORG/REPO[@REVISION] or
    ./FOLDER.

    \b
    Examples:
      zoo load ddpm-mnist
      zoo load ddpm-mnist --dtype bfloat16 --offline
      zoo load ./runs/my-model
    """
    from zoo_core import plugins, registry
    from zoo_core.fetching import pins
    from zoo_core.files.formats import default_target
    from zoo_core.interfaces.values import finite_rows
    from zoo_core.loading import describe, load_with_weights
    from zoo_core.lookup.compatibility import fitting
    from zoo_core.sampling import plain_condition, quick_sampler, sample

    model, fetched = load_with_weights(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    entry = model.entry
    assert entry is not None
    # One sample with two solver steps shows that the model runs; a good sample could take minutes.
    x = sample(model, 1, sampler=quick_sampler(model, 2), condition=plain_condition(model))
    if not finite_rows(x).all():
        raise WeightsError(f"{entry.id} loaded, but its samples are not finite; try --dtype float32")
    facts = describe(model)
    if as_json:
        weights = {
            "from": fetched.came_from,
            "path": str(fetched.path),
            "sha256": fetched.sha256,
            "size": fetched.size,
            "revision": fetched.revision,
        }
        if fetched.more:
            weights["more"] = [{"path": str(f.path), "sha256": f.sha256, "size": f.size} for f in fetched.more]
        rows = [row.table() | {"command": row.command(name)} for row in entry.evaluations]
        print_json(
            {
                "id": entry.id,
                "family": entry.family,
                "summary": entry.summary,
                **facts,
                "weights": weights,
                "evaluations": rows,
            }
        )
        return
    family = plugins.family_of(entry)
    fits = [c for c, why in fitting(entry, plugins.load().catalogue.all("sampler")) if why is None]
    default = f" (default {entry.sampler.name})" if entry.sampler else ""
    pin = f"@{fetched.revision[:12]}" if fetched.revision else ""
    size = f"{sum(f.size for f in fetched.files):,} bytes" + (f" in {len(fetched.files)} files" if fetched.more else "")
    click.echo(f"{entry.id}: {entry.summary}")
    for label, value in (
        ("family", f"{entry.family}: {family.summary}"),
        (
            "parameters",
            f"{size_of(facts['parameters'])} ({facts['parameters']:,}), {facts['dtype']} on {facts['device']}",
        ),
        ("samples", f"{model.space.words()}; one drawn, finite"),
        ("weights", f"{fetched.came_from}{pin}, {size}, verified"),
        *(("sha256", f.sha256) for f in fetched.files),
        *(("pinned", str(pins.file_of(link.source))) for link in (registry.load().links.get(name),) if link),
        ("can", ", ".join(facts["capabilities"])),
        ("samplers", ", ".join(c.name for c in fits) + default),
        *(("measured", measured(row)) for row in entry.evaluations),
    ):
        click.echo(f"  {label:<11} {value}")
    click.echo(f"\nNext: zoo sample {name} -n 64 --seed 0 --out {default_target(model.space.kind, 'samples', 64)}")
