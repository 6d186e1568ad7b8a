"""Trains a DDPM by its recipe: ``python -m zoo_ddpm.train ddpm-mnist --out runs/ddpm-mnist``.

The folder gets ``checkpoint.safetensors`` (network, its moving average, Adam's moments, step) every so often, and
``model.safetensors`` (the moving average, what the zoo ships) at the end.  Run again, it goes on from the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_core import datasets, registry
from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, Streams
from zoo_core.randomness import generator
from zoo_ddpm.model import DDPM
from zoo_ddpm.objective import Hybrid, Simple

CHECKPOINT_EVERY = 500
OBJECTIVES = {"ddpm-simple": Simple, "ddpm-hybrid": Hybrid}


def data_order(seed: int, examples: int, batch: int, step: int) -> Iterator[Tensor]:
    """Batches of indices from ``step`` on: epoch by epoch, each in its own order; a short last batch is dropped."""
    per_epoch = examples // batch
    while True:
        epoch, start = divmod(step, per_epoch)
        order = torch.randperm(examples, generator=generator(seed, "data order", epoch))
        for i in range(start, per_epoch):
            yield order[i * batch : (i + 1) * batch]
            step += 1


def learning_rate(recipe: Mapping[str, Any], step: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = min(1.0, (step + 1) / recipe["warmup"])
    return recipe["lr"] * warm * 0.5 * (1.0 + math.cos(math.pi * step / recipe["steps"]))


def train(
    config: Mapping[str, Any],
    recipe: Mapping[str, Any],
    examples: Tensor,
    out: Path,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> DDPM:
    """Runs a recipe and returns the moving average of the network.

    Args:
        config: of :class:`DDPM`.
        recipe: ``objective``, ``seed``, ``batch``, ``steps``, ``lr``, ``warmup``, ``clip``, ``ema``, and
            ``precision``: ``"float32"``, or ``"bfloat16"`` to multiply in bfloat16 with float32 parameters.
        examples: the data on the model's side, ``(n, *shape)``.
        out: the folder of the checkpoint and of the result.
        progress: is told ``(step, smoothed loss)`` after every step.

    Raises:
        ZooError: the loss is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from the global generator
        torch.manual_seed(recipe["seed"])
        model, average = DDPM(**config), DDPM(**config).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe["lr"], betas=(0.9, 0.99))
    objective = OBJECTIVES[recipe["objective"]]()
    step, batch, checkpoint = 0, recipe["batch"], out / "checkpoint.safetensors"
    if checkpoint.exists():
        step = restore(checkpoint, model, average, optimiser)
    smooth = float("nan")
    for rows in data_order(recipe["seed"], len(examples), batch, step):
        if step >= recipe["steps"]:
            break
        streams = Streams(recipe["seed"], f"train/{step}", step * batch, batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.get("precision") == "bfloat16"):
            (loss,) = objective.losses(model, Batch(examples[rows]), streams)
        optimiser.param_groups[0]["lr"] = learning_rate(recipe, step)
        optimiser.zero_grad()
        loss.value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
        optimiser.step()
        decay = min(recipe["ema"], (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1.0 - decay)
        value = loss.value.item()
        if not math.isfinite(value):
            raise ZooError(f"the loss is {value} at step {step}; the last good checkpoint is {checkpoint}; lower lr")
        smooth = value if math.isnan(smooth) else 0.99 * smooth + 0.01 * value
        step += 1
        if step % CHECKPOINT_EVERY == 0:
            save(checkpoint, model, average, optimiser, step)
        progress(step, smooth)
    write(out / "model.safetensors", average.state_dict(), {"format": "pt"})
    return average


def save(path: Path, model: DDPM, average: DDPM, optimiser: torch.optim.Optimizer, step: int) -> None:
    """One file with everything that a resumed run needs."""
    parts = {f"model.{k}": v for k, v in model.state_dict().items()}
    parts |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        parts |= {f"adam.{i}.{k}": v for k, v in state.items()}
    write(path, parts, {"step": str(step)})


def restore(path: Path, model: DDPM, average: DDPM, optimiser: torch.optim.Optimizer) -> int:
    """Puts a checkpoint back and returns its step."""
    parts = load_file(path)
    for prefix, module in (("model.", model), ("average.", average)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in parts.items() if k.startswith(prefix)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts.items():
        if name.startswith("adam."):
            _, i, key = name.split(".")
            state.setdefault(int(i), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(next(iter(state.values()))["step"].item()) if state else 0


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes safetensors beside ``path`` and moves them there: a reader never sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({k: v.contiguous() for k, v in tensors.items()}, beside, metadata=metadata)
    os.replace(beside, path)


def report(recipe: Mapping[str, Any]) -> Callable[[int, float], None]:
    """A line of JSON on stderr every hundred steps."""
    began: dict[str, float] = {}

    def line(step: int, loss: float) -> None:
        first, start = began.setdefault("step", step), began.setdefault("time", time.monotonic())
        if step % 100 == 0 and step > first:
            rate = (step - first) / (time.monotonic() - start)
            left = (recipe["steps"] - step) / rate / 60
            row = {"step": step, "loss": round(loss, 5), "images_per_s": round(rate * recipe["batch"], 1)}
            print(json.dumps(row | {"minutes_left": round(left, 1)}), file=sys.stderr, flush=True)

    return line


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    entry = registry.load().get(arguments.name)
    data = datasets.load(**entry.recipe["data"])
    examples = data.scaled(-1.0, 1.0) if data.levels else data.x.float()
    train(entry.config, entry.recipe, examples, arguments.out, report(entry.recipe))


if __name__ == "__main__":
    main()
