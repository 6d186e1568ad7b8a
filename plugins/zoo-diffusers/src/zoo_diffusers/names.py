"""The names of attention's parameters in files from before diffusers 0.15."""

from __future__ import annotations

__all__ = ["name_in_file"]

_OLD = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))


def name_in_file(name: str, old: bool) -> str:
    """Converts the name of a parameter to its name in a file, which has the old names if ``old``."""
    if old:
        for new, before in _OLD:
            name = name.replace(f".{new}.", f".{before}.")
    return name
