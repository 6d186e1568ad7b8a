"""Explains an error that loading a plugin raised: the cause in one line, and the next step in another."""

from __future__ import annotations

import inspect
from pathlib import Path

import pluggy

from zoo_core.errors import PluginError
from zoo_core.plugins import hookspecs

__all__ = ["explain"]

_OURS = {Path(__file__).parent.parent, Path(pluggy.__file__).parent}


def explain(err: BaseException, module: str, distribution: str) -> tuple[str, str]:
    """Returns the cause of an error and the next step.

    Args:
        err: error that was raised when the plugin's module was imported or its hooks were called.
        module: value of the plugin's entry point.
        distribution: name of the plugin's distribution.
    """
    module = module.partition(":")[0]
    reason = f"{type(err).__name__}: {' '.join(str(err).split()) or 'no message'}"
    at = _place(err) or f"the module {module}"
    if isinstance(err, ModuleNotFoundError) and err.name and f"{module}.".startswith(f"{err.name}."):
        where = '[project.entry-points."zoo.plugins"]'
        return f"its entry point names {module}, and there is no {err.name}", f"correct {where}, and install it again"
    if isinstance(err, ModuleNotFoundError):
        return (
            f"missing dependency {err.name!r}",
            f"pip install it, or reinstall {distribution}, which should require it",
        )
    if isinstance(err, SyntaxError):
        return reason, f"correct line {err.lineno} of {err.filename}"
    if isinstance(err, SystemExit):
        return reason, f"a plugin's module may only register names; remove the call that ends the program at {at}"
    if isinstance(err, pluggy.PluginValidationError):
        return reason, f"hooks take these arguments or fewer: {_hooks()}"
    if isinstance(err, PluginError):
        return str(err), f"correct it in {at}"
    return reason, f"correct {at}"


def _place(err: BaseException) -> str:
    """Returns the last line of the traceback that is outside zoo-core and pluggy; empty if there is none."""
    import traceback

    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not _OURS.intersection(path.parents):
            return f"line {frame.lineno} of {frame.filename}"
    return ""


def _hooks() -> str:
    """Lists the hooks with their arguments."""
    specs = [f for name, f in vars(hookspecs).items() if name.startswith("zoo_")]
    return ", ".join(f"{f.__name__}({', '.join(inspect.signature(f).parameters)})" for f in specs)
