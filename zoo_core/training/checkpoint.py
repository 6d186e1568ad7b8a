"""A run's state as a folder of safetensors and JSON: whole or not there, whatever happens while it is written.

    checkpoints/step-00000500/{tensors.safetensors, state.json}

A checkpoint is written beside its place and moved there in one step; the last two are kept.  What is read is checked
like any weights file.  There is no pickle.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import WeightsError
from zoo_core.files.folders import remove_folder, write_folder
from zoo_core.loading import weights_file
from zoo_core.training.identity import Facts, differences, shown

__all__ = ["latest", "load_optimiser", "optimiser_tensors", "read", "require_same", "write"]

KEEP = 2


def write(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Writes the checkpoint of a step and forgets all but the last two.

    Args:
        folder: of all checkpoints of the run.
        step: how many steps are done.
        tensors: everything that is a tensor.
        state: everything else, JSON values.
    """
    place = folder / f"step-{step:08d}"
    content = weights_file.serialise(tensors)
    text = json.dumps({"step": step, **state}, indent=2).encode()
    write_folder(place, {"tensors.safetensors": content, "state.json": text})
    for old in _finished(folder)[:-KEEP]:
        remove_folder(old)
    for left in folder.glob(".step-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    return place


def latest(folder: Path) -> Path | None:
    """The newest checkpoint; ``None`` where there is none."""
    found = _finished(folder)
    return found[-1] if found else None


def read(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state of a checkpoint.

    Raises:
        WeightsError: it was changed or is not whole.
    """
    try:
        content = (place / "tensors.safetensors").read_bytes()
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise WeightsError(
            f"the checkpoint {place} cannot be read ({err}); delete it to go on from the one before"
        ) from err
    return weights_file.parse(content, name=str(place / "tensors.safetensors")), state


def require_same(place: Path, state: Mapping[str, Any], facts: Facts) -> None:
    """Makes sure that a checkpoint is of this run: of its recipe, its config and its data.

    Args:
        place: the checkpoint.
        state: its state; what was written as ``facts`` is what its run was.
        facts: what this run is.

    Raises:
        WeightsError: a value differs; the message names it, with both values.
    """
    made = state.get("facts", {})
    for key in differences(made, facts):
        raise WeightsError(
            f"{place} was made with {shown(made, key)}, and this run has {shown(facts, key)}; choose another --out, "
            "or delete it"
        )


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimiser's state as named tensors (all of ours keep tensors only)."""
    state = optimiser.state_dict()["state"]
    return {
        f"{prefix}.{i}.{key}": value for i, slots in state.items() for key, value in slots.items() if value is not None
    }


def load_optimiser(optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what :func:`optimiser_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            i, key = name.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(i), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _finished(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if (p / "state.json").is_file())
