"""diffusers' layout, recognised: from a pipeline's three JSON files to an entry.  Imports no torch.

model_index.json   scheduler/scheduler_config.json   unet/config.json   unet/diffusion_pytorch_model.safetensors
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo_core.errors import WeightsError

__all__ = ["entry_table"]

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
JSON_LIMIT = 1_000_000
HEADER_LIMIT = 10_000_000


def entry_table(fetch: Callable[[str], Path]) -> dict[str, Any]:
    """What a registry would say about a pipeline: see :meth:`zoo_core.catalogue.Catalogue.layout`.

    Args:
        fetch: gives the local path of a file of the repository.

    Raises:
        WeightsError: it is a pipeline of another kind, or its files are not what they should be.
    """
    index = _json(fetch, "model_index.json")
    parts = {name for name, value in index.items() if isinstance(value, list) and any(value)}
    if parts != {"unet", "scheduler"} or list(index["unet"])[-1] != "UNet2DModel":
        kind = str(index.get("_class_name"))[:80]
        raise WeightsError(f"model_index.json: {kind} is no pipeline of one UNet2DModel and one scheduler; refused")
    scheduler, unet = _json(fetch, "scheduler/scheduler_config.json"), _json(fetch, "unet/config.json")
    scheduler.setdefault("_class_name", list(index["scheduler"])[-1])
    return {
        "family": "diffusers-pipeline",
        "plugin": "zoo-diffusers",
        "factory": "zoo_diffusers.model:DiffusersPipeline",
        "summary": f"{index.get('_class_name', 'pipeline')} in diffusers' layout, {scheduler['_class_name']}"[:200],
        "config": {"unet": unet, "scheduler": scheduler, "old_names": _has_old_names(fetch(WEIGHTS))},
        "sampler": sampler(scheduler),
        "weights": {"file": WEIGHTS},
    }


def sampler(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """The sampler of ours that does what the scheduler would do, as a registry's ``sampler`` table.

    Raises:
        WeightsError: the scheduler clips in a way that ours do not.
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


def _json(fetch: Callable[[str], Path], file: str) -> dict[str, Any]:
    path = fetch(file)
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
    """Whether attention's parameters are called as before diffusers 0.15; the file is checked when it is loaded."""
    with open(weights, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return size <= HEADER_LIMIT and b'.query.weight"' in file.read(size)
