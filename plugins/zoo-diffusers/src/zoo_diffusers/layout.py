"""Reads diffusers' repository format: makes a registry entry from a pipeline's JSON files, without torch.

model_index.json   scheduler/scheduler_config.json   unet/config.json   unet/diffusion_pytorch_model.safetensors

As in diffusers, parts may be at the top level in place of a folder, as in the first published pipelines, and
``model_index.json`` may be missing.  The weights are one file, or several files (shards) listed in an index, or a
variant of these, such as fp16.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.fetching.repository_formats import Repository

__all__ = ["entry_table"]

WEIGHTS = "diffusion_pytorch_model"
VARIANTS = ("fp16", "bf16", "ema", "non_ema")
"""Variants that are tried where there are no weights without a variant; float32 represents half precision exactly."""
JSON_LIMIT = 1_000_000
HEADER_LIMIT = 10_000_000
SHARD_LIMIT = 1000


def entry_table(repository: Repository) -> dict[str, Any]:
    """Makes the registry entry of a pipeline; see :meth:`zoo_core.plugins.catalogue.Catalogue.layout`.

    Args:
        repository: repository with the files.

    Raises:
        WeightsError: the pipeline is of another kind, or its files are invalid.
    """
    index = _json(repository, "model_index.json") if repository.find("model_index.json") else {}
    parts = {name for name, value in index.items() if isinstance(value, list) and any(value)}
    if index and (parts != {"unet", "scheduler"} or index["unet"][-1] != "UNet2DModel"):
        kind = str(index.get("_class_name"))[:80]
        raise WeightsError(f"model_index.json: {kind} is no pipeline of one UNet2DModel and one scheduler; refused")
    home = "unet/" if repository.find("unet/config.json") else ""
    shelf = "scheduler/" if repository.find("scheduler/scheduler_config.json") else ""
    scheduler, unet = _json(repository, f"{shelf}scheduler_config.json"), _json(repository, f"{home}config.json")
    if index:
        scheduler.setdefault("_class_name", index["scheduler"][-1])
    files = _weights(repository, home)
    return {
        "family": "diffusers-pipeline",
        "plugin": "zoo-diffusers",
        "summary": f"{index.get('_class_name', 'pipeline')} in diffusers' layout, {scheduler.get('_class_name')}"[:200],
        "config": {
            "unet": unet,
            "scheduler": scheduler,
            "old_names": any(_has_old_names(repository.fetch(file)) for file in files),
        },
        "sampler": sampler(scheduler),
        "weights": {"files": files},
    }


def _weights(repository: Repository, home: str) -> list[str]:
    """Finds the files of the weights, whole or in shards, and without a variant if possible.

    Raises:
        WeightsError: there are no safetensors weights, or the index of the shards is invalid.
    """
    for variant in ("", *(f".{name}" for name in VARIANTS)):
        whole, index = f"{home}{WEIGHTS}{variant}.safetensors", f"{home}{WEIGHTS}.safetensors.index{variant}.json"
        if repository.find(whole):
            return [whole]
        if repository.find(index):
            return [f"{home}{shard}" for shard in _shards(_json(repository, index), index)]
    raise WeightsError(
        f"no file {f'{home}{WEIGHTS}.safetensors'!r}, whole, in shards, or as the variant {' or '.join(VARIANTS)}; "
        "pickled weights (.bin) are not read"
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


def sampler(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Chooses the sampler that does the steps of the scheduler, as a registry's ``sampler`` table.

    Raises:
        WeightsError: the scheduler clips in a way that no sampler supports.
    """
    kind = scheduler.get("_class_name")
    if kind == "FlowMatchEulerDiscreteScheduler":
        return {"name": "ddim", "steps": 50, "clip": False}
    if kind == "ScoreSdeVeScheduler":
        return {"name": "ancestral", "steps": 1000, "clip": False}
    if scheduler.get("thresholding"):
        raise WeightsError("scheduler: thresholding has no counterpart here")
    clip = bool(scheduler.get("clip_sample", True))
    if clip and scheduler.get("clip_sample_range", 1.0) != 1.0:
        raise WeightsError(f"scheduler: clip_sample_range = {scheduler['clip_sample_range']!r}; images are in [−1, 1]")
    spacing = "leading" if scheduler.get("timestep_spacing", "leading") == "leading" else "trailing"
    common = {"spacing": spacing, "clip": clip}
    return {"name": "ddim", "steps": 50} | common if kind == "DDIMScheduler" else {"name": "ancestral"} | common


def _json(repository: Repository, file: str) -> dict[str, Any]:
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


def _has_old_names(weights: Path) -> bool:
    """Says whether attention's parameters have the names of diffusers before 0.15."""
    with open(weights, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return size <= HEADER_LIMIT and b'.query.weight"' in file.read(size)
