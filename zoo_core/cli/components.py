"""``zoo families | samplers | objectives | metrics | datasets``."""

from __future__ import annotations

import click

from zoo_core import lookup, plugins
from zoo_core.cli import VERBS
from zoo_core.cli.output import complete_model, json_option, print_json, table, warn_about_plugins

_PLURALS = {
    "family": "families",
    "sampler": "samplers",
    "objective": "objectives",
    "metric": "metrics",
    "dataset": "datasets",
}


def _verb(kind: str) -> click.Command:
    plural = _PLURALS[kind]

    @click.command(plural)
    @json_option
    def show(as_json: bool, model: str | None = None) -> None:
        found = plugins.load().catalogue.all(kind)
        family = lookup.family_of(model) if model else None
        if model and kind == "dataset":
            trained_on = lookup.info(model)["dataset"]
            pairs = [(c, None if c.name == trained_on else f"it was trained on {trained_on}") for c in found]
        elif family and kind == "family":
            pairs = [(c, None if c == family else f"it is a {family.name}") for c in found]
        elif model and family and kind == "sampler":
            from zoo_core.references import entry_of

            pairs = lookup.samplers_of(entry_of(model), family, found)
        else:
            pairs = lookup.fitting(kind, family, found) if family else [(c, None) for c in found]
        warn_about_plugins()
        if as_json:
            keys = ("name", "summary", "target", "plugin", "needs", "families", "capabilities")
            rows = [{k: getattr(c, k) for k in keys} | {"fits": why is None, "why_not": why or ""} for c, why in pairs]
            print_json(
                rows if family else [{k: v for k, v in row.items() if k not in ("fits", "why_not")} for row in rows]
            )
            return
        extra = "can" if kind == "family" else "needs"
        has = [
            [c.name, c.plugin, ", ".join(c.capabilities or c.needs or c.families), c.summary]
            for c, why in pairs
            if why is None
        ]
        if kind == "dataset":
            table([[name, plugin, summary] for name, plugin, _, summary in has], ["dataset", "from", "what it is"])
        else:
            table(has, [kind, "from", extra, "what it is"])
        for component, why in pairs:
            if why is not None:
                click.echo(f"zoo: {component.name} does not fit {model}: {why}", err=True)

    show = click.option(
        "--for", "model", metavar="NAME", shell_complete=complete_model, help="Those that fit this model."
    )(show)
    example = f"  zoo {plural} --json\n  zoo {plural} --for ddpm-mnist"
    show.help = f"{VERBS[plural][1]}\n\n\b\nExamples:\n{example}"
    return show


families, samplers, objectives, metrics, datasets = map(_verb, _PLURALS)
