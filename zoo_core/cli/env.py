"""``zoo env``."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from zoo_core import __version__, fetching, registry
from zoo_core import plugins as loader
from zoo_core.cli.output import json_option, print_json
from zoo_core.plugins import hookspecs

_PACKAGES = ("torch", "numpy", "safetensors", "huggingface-hub", "pluggy", "click", "diffusers", "scikit-learn")
VARIABLES = {
    "ZOO_DATA": "a folder that has data sets already: `mnist/`, `fashion-mnist/`",
    "ZOO_CACHE": "where downloaded data sets are kept",
    "ZOO_OFFLINE": "`1`: make no request",
    "ZOO_REGISTRY": "a registry file of your own, read last; its entries replace others",
    "ZOO_DISABLE_PLUGINS": "plugins not to load: names by commas, or `all`",
    "ZOO_STRICT_PLUGINS": "`1`: a plugin that does not load is an error",
    "HF_HOME": "where the Hub's files are kept",
    "HF_ENDPOINT": "the Hub to ask",
    "HF_HUB_OFFLINE": "`1`: make no request",
    "HF_TOKEN": "who you are on the Hub; needed to publish, and for private models",
    "XDG_CONFIG_HOME": "your own `zoo/registry.toml` is in it [`~/.config`]",
}
"""The settings and what they mean; docs/reference.md has them from here."""
_SECRET = {"HF_TOKEN"}


@click.command("env")
@json_option
def command(as_json: bool) -> None:
    """Show versions, folders and settings.

    It is what a bug report should begin with.

    \b
    Examples:
      zoo env --json
    """
    facts = {
        "zoo": __version__,
        "ZOO_API": ".".join(map(str, hookspecs.ZOO_API)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in _PACKAGES},
        "registry": str(registry.central_file()),
        "models": len(registry.load().entries),
        "plugins": ", ".join(f"{r.name} ({r.status})" for r in loader.load().records),
        "weights cache": str(fetching.cache_dir()),
        **{name: "set" if name in _SECRET else os.environ[name] for name in VARIABLES if name in os.environ},
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:<20} {value}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
