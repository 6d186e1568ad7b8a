"""``zoo env``."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from zoo_core import __version__, hookspecs, hub, registry
from zoo_core import plugins as loader
from zoo_core.cli.output import json_option, print_json

_PACKAGES = ("torch", "numpy", "safetensors", "huggingface-hub", "pluggy", "click", "diffusers", "scikit-learn")
_SETTINGS = ("DATA", "CACHE", "OFFLINE", "REGISTRY", "DISABLE_PLUGINS", "STRICT_PLUGINS")
_VARIABLES = (*(f"ZOO_{name}" for name in _SETTINGS), "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")


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
        "weights cache": str(hub.cache_dir()),
        **{name: os.environ[name] for name in _VARIABLES if name in os.environ},
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
