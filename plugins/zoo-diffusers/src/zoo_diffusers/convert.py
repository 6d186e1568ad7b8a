"""Converts a pipeline with pickled weights to one with safetensors: ``python -m zoo_diffusers.convert SOURCE FOLDER``.

A pickle can run code when it is read, so the zoo never reads one by itself; this command is the user's decision to do
so.  torch's ``weights_only`` reader is used, which builds tensors and plain containers and refuses everything else.
Nothing but the pipeline's JSON files and these tensors is written.
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo_core.errors import WeightsError, ZooError
from zoo_core.fetching.references import repository_of
from zoo_core.fetching.repository_formats import Repository
from zoo_core.files.folders import whole_folder
from zoo_diffusers.files import PICKLES, WEIGHTS, read_json
from zoo_diffusers.layout import AUTOENCODERS, NETWORKS

__all__ = ["convert"]

PARTS = ("", *NETWORKS, *AUTOENCODERS)
"""Folders of a pipeline that may have weights; the first is the top level."""

SETTINGS = ("model_index.json", "scheduler_config.json", "scheduler/scheduler_config.json")
_LARGEST_INDEX = 1000


def convert(source: str, folder: Path) -> list[str]:
    """Writes a pipeline with safetensors weights.

    Args:
        source: reference to the pipeline, ``hf:org/repo[@revision]`` or a folder.
        folder: folder to write, which must not exist.

    Returns:
        The names of the files that were written.

    Raises:
        WeightsError: there are no pickled weights, or they have other things than tensors.
        ZooError: the folder exists or cannot be written.
    """
    repository = repository_of(source if source.startswith("hf:") else f"local-dir:{source}")
    if folder.exists():
        raise ZooError(f"{folder} is there already; choose another folder")
    written, copied = [], list(SETTINGS)
    with whole_folder(folder, replace=False) as beside:
        for part in PARTS:
            home = f"{part}/" if part else ""
            copied.append(f"{home}config.json")
            whole = f"{home}{WEIGHTS}.safetensors"
            if repository.exists(whole):
                copied.append(whole)
            elif (state := _state(repository, home)) is not None:
                (beside / part).mkdir(exist_ok=True)
                save_file(state, beside / whole, metadata={"format": "pt"})
                written.append(whole)
        if not written:
            raise WeightsError(
                f"{source} has no pickled weights such as unet/{PICKLES[0]}; there is nothing to convert"
            )
        for file in copied:
            found = repository.find(file)
            if found is not None:
                (beside / file).parent.mkdir(exist_ok=True)
                shutil.copyfile(found, beside / file)
                written.append(file)
    return written


def _state(repository: Repository, home: str) -> dict[str, Tensor] | None:
    """Reads the pickled weights of a part; ``None`` if it has none."""
    name = next((name for name in PICKLES if repository.exists(f"{home}{name}")), None)
    if name is None:
        return None
    if not name.endswith(".json"):
        return _tensors(repository.fetch(f"{home}{name}"))
    table = read_json(repository, f"{home}{name}").get("weight_map")
    shards = sorted({str(shard) for shard in table.values()}) if isinstance(table, dict) else []
    if not 0 < len(shards) <= _LARGEST_INDEX or any("/" in shard or "\\" in shard for shard in shards):
        raise WeightsError(f"{home}{name}: weight_map names {len(shards)} files; expected files beside it")
    state: dict[str, Tensor] = {}
    for shard in shards:
        state |= _tensors(repository.fetch(f"{home}{shard}"))
    return state


def _tensors(path: Path) -> dict[str, Tensor]:
    """Reads a file of tensors by name, without running code of it."""
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as err:
        reason = " ".join(str(err).split())[:160]
        raise WeightsError(f"{path.name} holds other things than tensors, and is not read: {reason}") from err
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path.name} is no table of tensors by name; it cannot be converted")
    return {str(name): value.detach().contiguous().clone() for name, value in found.items()}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo_diffusers.convert")
    parser.description = "Converts a pipeline with pickled weights to one with safetensors."
    parser.add_argument("source", help="hf:ORG/REPO[@REVISION], or a folder")
    parser.add_argument("folder", type=Path, help="folder to write, which must not exist")
    chosen = parser.parse_args(arguments)
    try:
        written = convert(chosen.source, chosen.folder)
    except ZooError as err:
        print(f"zoo: {err}", file=sys.stderr)
        sys.exit(err.exit_code)
    weights = sum(name.endswith(".safetensors") for name in written)
    print(f"{chosen.folder}: weights of {weights} part{'s' if weights > 1 else ''}; zoo load local-dir:{chosen.folder}")


if __name__ == "__main__":
    main()
