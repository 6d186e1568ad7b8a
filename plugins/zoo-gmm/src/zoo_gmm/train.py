"""Fits a mixture by its recipe: ``python -m zoo_gmm.train gmm-mnist0 --out runs/gmm-mnist0``.

The folder gets ``model.safetensors``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

from zoo_core import datasets, registry, weights_file
from zoo_core.entry import Entry
from zoo_gmm.fit import fit
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

__all__ = ["train"]


def train(entry: Entry) -> GaussianMixture:
    """Runs the recipe of an entry: its data, EM with its regularisation, its restarts."""
    recipe = entry.recipe
    data = datasets.load(**recipe["data"])
    x = data.x if data.levels is None else data.dequantised(0.0, 1.0, recipe["seed"])
    model = GaussianMixture(**entry.config)
    objective = ExpectationMaximisation(recipe["reg"], recipe["shrinkage"], recipe["data_dtype"])
    steps = {k: recipe[k] for k in ("restarts", "tolerance", "iterations", "seed")}
    fit(model, x, objective, **steps, progress=_report)
    return model


def _report(restart: int, iteration: int, log_likelihood: float) -> None:
    print(f"restart {restart} iteration {iteration}: {log_likelihood:.6f} nats", file=sys.stderr, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = train(registry.load().get(arguments.name))
    arguments.out.mkdir(parents=True, exist_ok=True)
    beside = arguments.out / f".model.safetensors.{os.getpid()}"
    beside.write_bytes(weights_file.serialise(model.state_dict()))
    os.replace(beside, arguments.out / "model.safetensors")


if __name__ == "__main__":
    main()
