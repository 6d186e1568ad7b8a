"""Finds and reads the files of one part of a pipeline: its configuration, and its weights, whole or in shards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.fetching.repository_formats import Repository

__all__ = ["PICKLES", "VARIANTS", "WEIGHTS", "has_old_names", "home_of", "read_json", "weights_of"]

WEIGHTS = "diffusion_pytorch_model"
VARIANTS = ("fp16", "bf16", "ema", "non_ema")
"""Variants that are tried where there are no weights without a variant; float32 represents half precision exactly."""
PICKLES = (f"{WEIGHTS}.bin", f"{WEIGHTS}.bin.index.json", f"{WEIGHTS}.pt", f"{WEIGHTS}.ckpt", "pytorch_model.bin")
"""Files of pickled weights that are looked for, to say how to convert them."""
JSON_LIMIT = 1_000_000
HEADER_LIMIT = 10_000_000
SHARD_LIMIT = 1000


def home_of(repository: Repository, part: str, config: str = "config.json") -> str:
    """Returns the folder of a part with its slash, or nothing where the part is at the top level."""
    return f"{part}/" if repository.find(f"{part}/{config}") else ""


def weights_of(repository: Repository, home: str) -> list[str]:
    """Finds the files of the weights, whole or in shards, and without a variant if possible.

    Args:
        repository: repository with the files.
        home: folder of the part, with its slash.

    Raises:
        WeightsError: there are no safetensors weights, or the index of the shards is invalid.
    """
    for variant in ("", *(f".{name}" for name in VARIANTS)):
        whole, index = f"{home}{WEIGHTS}{variant}.safetensors", f"{home}{WEIGHTS}.safetensors.index{variant}.json"
        if repository.find(whole):
            return [whole]
        if repository.find(index):
            return [f"{home}{shard}" for shard in _shards(read_json(repository, index), index)]
    pickle = next((name for name in PICKLES if repository.exists(f"{home}{name}")), None)
    if pickle is not None:
        raise WeightsError(
            f"{home}{pickle} is a pickle, which can run code when it is read, and is not read here; "
            f"python -m zoo_diffusers.convert {repository.origin.words()} FOLDER makes safetensors of it"
        )
    raise WeightsError(
        f"no file {f'{home}{WEIGHTS}.safetensors'!r}, whole, in shards, or as the variant {' or '.join(VARIANTS)}"
    )


def _shards(index: Mapping[str, Any], file: str) -> list[str]:
    table = index.get("weight_map")
    names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    if not 0 < len(names) <= SHARD_LIMIT:
        raise WeightsError(f"{file}: weight_map names {len(names)} files; expected 1 … {SHARD_LIMIT:,}")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]{0,199}\.safetensors", name, re.ASCII):
            raise WeightsError(f"{file}: weight_map names {name[:120]!r}; expected a .safetensors file beside it")
    return names


def read_json(repository: Repository, file: str) -> dict[str, Any]:
    """Reads a JSON object of bounded size.

    Raises:
        WeightsError: the file does not exist, is too large, or is no JSON object.
    """
    path = repository.fetch(file)
    if path.stat().st_size > JSON_LIMIT:
        raise WeightsError(f"{file} has {path.stat().st_size:,} bytes; at most {JSON_LIMIT:,} are read")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise WeightsError(f"{file} is not JSON: {err}") from err
    if not isinstance(value, dict):
        raise WeightsError(f"{file} is not a JSON object")
    return value


def has_old_names(weights: Path) -> bool:
    """Says whether attention's parameters have the names of diffusers before 0.15."""
    with open(weights, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return size <= HEADER_LIMIT and b'.query.weight"' in file.read(size)
