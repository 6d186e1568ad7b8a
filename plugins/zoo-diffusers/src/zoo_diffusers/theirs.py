"""Builds networks with diffusers' own code, where this package has no counterpart of them.

diffusers is an extra of this package, and is imported when such a network is built.  Which classes are built is decided
here and by no repository; none of them runs code of a repository.  A configuration may be a stranger's: a dry build
bounds what torch allocates, and sizes that numpy would allocate are bounded here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from zoo_core.errors import PluginError, WeightsError

__all__ = ["AUTOENCODERS", "TRANSFORMERS", "build"]

AUTOENCODERS = ("VQModel", "AutoencoderKL")
TRANSFORMERS = ("DiTTransformer2DModel",)
_KNOWN = ("UNet2DModel", *TRANSFORMERS, *AUTOENCODERS)

_LARGEST_TABLE = 1 << 25
"""Largest number of entries of a table of positions, which is made by numpy."""


def build(part: str, config: Mapping[str, Any]) -> nn.Module:
    """Builds a network of diffusers from its configuration.

    Args:
        part: name of the part in the pipeline, for messages.
        config: contents of the part's ``config.json``; keys that the class does not have are left out, as in diffusers.

    Raises:
        WeightsError: the class is none that is known here, or refuses the configuration.
        PluginError: diffusers is not installed.
    """
    kind = str(config.get("_class_name"))
    if kind not in _KNOWN:
        raise WeightsError(f"{part}: _class_name = {kind[:80]!r} has no counterpart here; {', '.join(_KNOWN)} have")
    try:
        import diffusers
    except ImportError as err:
        raise PluginError(
            f"{part}: this {kind} is run by diffusers itself, which cannot be imported; "
            "pip install 'zoo-diffusers[diffusers]'"
        ) from err
    maker = getattr(diffusers, kind)
    known = inspect.signature(maker.__init__).parameters
    arguments = {key: value for key, value in config.items() if key in known}
    if kind in TRANSFORMERS:
        _check_table(part, {key: arguments.get(key, known[key].default) for key in known})
    try:
        made = maker(**arguments)
    except Exception as err:  # diffusers raises anything for a configuration that it does not expect
        if type(err).__module__.startswith("zoo_core"):  # the dry build stops a constructor that asks for too much
            raise
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise WeightsError(f"{part}: diffusers' {kind} refuses this configuration: {reason}") from err
    assert isinstance(made, nn.Module)
    return made


def _check_table(part: str, config: Mapping[str, Any]) -> None:
    sizes = {key: config[key] for key in ("sample_size", "patch_size", "num_attention_heads", "attention_head_dim")}
    if not all(type(size) is int and 0 < size <= 1 << 16 for size in sizes.values()):
        raise WeightsError(f"{part}: {', '.join(f'{k} = {str(v)[:40]}' for k, v in sizes.items())}; expected integers")
    side = sizes["sample_size"] // sizes["patch_size"]
    entries = side * side * sizes["num_attention_heads"] * sizes["attention_head_dim"]
    if entries > _LARGEST_TABLE:
        raise WeightsError(f"{part}: a table of {entries:,} positions; at most {_LARGEST_TABLE:,} are made")
