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
    "ZOO_DATA": "folder with data sets that were downloaded already: `mnist/`, `fashion-mnist/`",
    "ZOO_CACHE": "folder for data sets that the zoo downloads",
    "ZOO_OFFLINE": "`1` forbids network requests",
    "ZOO_REGISTRY": "registry file of the user's own, which is read last; its entries replace others of the same id",
    "ZOO_DISABLE_PLUGINS": "plugins that are not loaded: names separated by commas, or `all`",
    "ZOO_STRICT_PLUGINS": "`1` makes a plugin that does not load an error",
    "HF_HOME": "folder for the Hub's cache and token",
    "HF_ENDPOINT": "address of the Hub [`https://huggingface.co`]",
    "HF_HUB_OFFLINE": "`1` forbids network requests, as `ZOO_OFFLINE` does",
    "HF_TOKEN": "access token of the Hub, needed to publish and to load private models",
    "XDG_CONFIG_HOME": "folder of the user's registry `zoo/registry.toml` and pins `zoo/pins` [`~/.config`]",
}
"""The environment variables that are read, with their meanings; docs/reference.md lists them from here."""
_SECRET = {"HF_TOKEN"}


@click.command("env")
@json_option
def command(as_json: bool) -> None:
    """Show versions, folders and settings.

    Please begin a bug report with this output.

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
