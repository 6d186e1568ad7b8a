"""Measures in a process of its own how long a plugin's module takes to import and register, and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["StartUp", "start_up"]

_CODE = """
import importlib, sys, time
from zoo_core import plugins
from zoo_core.plugins.catalogue import Catalogue
begun = time.perf_counter()
plugins.call_hooks(importlib.import_module(sys.argv[1]), Catalogue())
print(f"{time.perf_counter() - begun:.3f}", *[m for m in ("torch", "numpy") if m in sys.modules])
"""


@dataclass(frozen=True)
class StartUp:
    """The result of importing a plugin's module.

    Attributes:
        seconds: time of importing the module and calling its hooks, in seconds.
        heavy: names of those of torch and numpy that it imported.
        error: last line of the error; empty if there was none.
    """

    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    error: str = ""


def start_up(module: str) -> StartUp:
    """Imports a plugin's module in a new process and calls its hooks."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _CODE, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    except subprocess.TimeoutExpired:
        return StartUp(60.0)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return StartUp(error=(done.stderr.strip().splitlines() or ["it ended the process without a message"])[-1])
    seconds, *heavy = lines[-1].split()
    return StartUp(float(seconds), tuple(heavy))
