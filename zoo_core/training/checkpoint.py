"""Checkpoints of a run: folders of safetensors and JSON that are complete or absent, even after a crash.

    checkpoints/step-00000500/{tensors.safetensors, state.json}

A checkpoint is written to a temporary folder, which is then renamed; the last two are kept.  Tensors are checked when
they are read, like any weights file.  No pickle is used.
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
    """Writes the checkpoint of a step, and deletes all but the last two.

    Args:
        folder: folder of all checkpoints of the run.
        step: number of finished steps.
        tensors: tensors of the run's state, by name.
        state: other values of the run's state, which are JSON values.
    """
    place = folder / f"step-{step:08d}"
    content = weights_file.serialise(tensors)
    text = json.dumps({"step": step, **state}, indent=2).encode()
    write_folder(place, {"tensors.safetensors": content, "state.json": text})
    for old in _finished(folder)[:-KEEP]:
        remove_folder(old)
    for left in folder.glob(".step-*"):  # left by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    return place


def latest(folder: Path) -> Path | None:
    """Returns the folder of the newest checkpoint; ``None`` where there is none."""
    found = _finished(folder)
    return found[-1] if found else None


def read(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors and the state of a checkpoint.

    Raises:
        WeightsError: the checkpoint was changed, or is incomplete.
    """
    try:
        content = (place / "tensors.safetensors").read_bytes()
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise WeightsError(
            f"the checkpoint {place} cannot be read ({err}); delete it to resume from the previous one"
        ) from err
    return weights_file.parse(content, name=str(place / "tensors.safetensors")), state


def require_same(place: Path, state: Mapping[str, Any], facts: Facts) -> None:
    """Makes sure that a checkpoint belongs to this run: to its recipe, config and data.

    Args:
        place: folder of the checkpoint.
        state: state of the checkpoint, whose ``facts`` describe the run that wrote it.
        facts: recipe, config and data of this run, by key.

    Raises:
        WeightsError: a fact differs; the message names it, with both values.
    """
    made = state.get("facts", {})
    for key in differences(made, facts):
        raise WeightsError(
            f"{place} was made with {shown(made, key)}, and this run has {shown(facts, key)}; choose another --out, "
            "or delete it"
        )


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Returns an optimiser's state as named tensors; all of :mod:`recipe`'s optimisers keep only tensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"{prefix}.{i}.{key}": value for i, slots in state.items() for key, value in slots.items() if value is not None
    }


def load_optimiser(optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Restores the state that :func:`optimiser_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            i, key = name.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(i), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _finished(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if (p / "state.json").is_file())
