"""``zoo families | samplers | objectives | metrics | datasets``."""

from __future__ import annotations

import click

from zoo_core import plugins
from zoo_core.cli import VERBS
from zoo_core.cli.output import complete_model, json_option, print_json, table, warn_about_plugins
from zoo_core.fetching.references import described
from zoo_core.lookup.compatibility import fitting
from zoo_core.plugins.catalogue import Component

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
        pairs: list[tuple[Component, str | None]] = [(c, None) for c in found]
        if model:
            entry = described(model)
            if kind == "dataset":
                name = entry.recipe.get("data", {}).get("name", entry.dataset)
                pairs = [(c, None if c.name == name else f"it was trained on {name}") for c in found]
            elif kind == "family":
                pairs = [(c, None if c.name == entry.family else f"it is a {entry.family}") for c in found]
            else:
                pairs = fitting(entry, found)
        warn_about_plugins()
        if as_json:
            keys = ("name", "summary", "target", "plugin", "needs", "requires", "families", "capabilities")
            rows = [{k: getattr(c, k) for k in keys} | {"fits": why is None, "why_not": why or ""} for c, why in pairs]
            print_json(
                rows if model else [{k: v for k, v in row.items() if k not in ("fits", "why_not")} for row in rows]
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
        "--for",
        "model",
        metavar="NAME",
        shell_complete=complete_model,
        help="Name of a model; only components that fit it are listed, and the others with the reason on stderr.",
    )(show)
    example = f"  zoo {plural} --json\n  zoo {plural} --for ddpm-mnist"
    show.help = f"{VERBS[plural][1]}\n\n\b\nExamples:\n{example}"
    return show


families, samplers, objectives, metrics, datasets = map(_verb, _PLURALS)
