"""Fréchet distance at 2,048 dimensions: the zoo against torchmetrics and SciPy.  Precision … coverage: against prdc."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import prdc
import scipy.linalg
import torch
from comparison import Row, in_turns

from zoo_metrics.extractor import Statistics
from zoo_metrics.frechet import frechet_distance, root_of
from zoo_metrics.neighbours import fidelity_and_diversity

D, N, ROWS, FEATURES = 2048, 10_000, 10_000, 64


def normal(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def frechet_rows() -> list[Row]:
    """The same means and covariances; the reference's root was found once, as it is for every shipped reference."""
    fid = importlib.import_module("torchmetrics.image.fid")
    mixing = torch.eye(D, dtype=torch.float64) + normal(D, D, 2) / D
    x, y = normal(N, D, 0), normal(N, D, 1) @ mixing + 0.05
    mx, cx, my, cy = x.mean(0), x.mT.cov(), y.mean(0), y.mT.cov()
    del x, y
    reference = Statistics(N, mx, root_of(cx))
    found: dict[str, float] = {}

    def ours() -> None:
        found["ours"] = frechet_distance(reference, my, cy)

    def torchmetrics() -> None:
        found["torchmetrics"] = fid._compute_fid(mx, cx, my, cy).item()

    def scipy_root() -> None:
        root = scipy.linalg.sqrtm((cx @ cy).numpy()).real
        found["scipy"] = float((mx - my).square().sum() + cx.trace() + cy.trace()) - 2 * float(np.trace(root))

    took = in_turns({"ours": ours, "torchmetrics": torchmetrics, "scipy": scipy_root}, 3)
    for name, value in found.items():
        if abs(value / found["ours"] - 1) > 1e-6:
            raise SystemExit(f"the Fréchet distance of {name} is {value}, ours {found['ours']}")
    what = f"Fréchet distance, {D:,} dimensions, reference known"
    note = f"Fréchet distance {found['ours']:.6f} by all three"
    return [
        Row(what, "torchmetrics", took["ours"], took["torchmetrics"], 2.0, note),
        Row(what, "SciPy `sqrtm`", took["ours"], took["scipy"], 5.0),
    ]


def neighbour_rows() -> list[Row]:
    """In turns on one core for the time; each alone in a process of its own for the memory (Linux)."""
    true, fake = normal(ROWS, FEATURES, 0, torch.float32), normal(ROWS, FEATURES, 1, torch.float32) * 1.05
    found: dict[str, dict[str, float]] = {}

    def ours() -> None:
        found["ours"] = fidelity_and_diversity(fake, true, 5)

    def theirs() -> None:
        found["theirs"] = prdc.compute_prdc(true.numpy(), fake.numpy(), nearest_k=5)

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # prdc starts eight threads, whatever OMP_NUM_THREADS says
    try:
        took = in_turns({"ours": ours, "theirs": theirs}, 3)
    finally:
        os.sched_setaffinity(0, cores)
    gap = max(abs(found["ours"][k] - float(found["theirs"][k])) for k in found["ours"])
    if gap > 1e-3:
        raise SystemExit(f"precision, recall, density, coverage: {found}")
    memory = {name: _memory(name) for name in ("ours", "theirs")}
    what = f"precision, recall, density, coverage, {ROWS:,} × {FEATURES}"
    return [
        Row(what, "prdc", took["ours"], took["theirs"], 2.0),
        Row(f"{what}: memory above the data", "prdc", memory["ours"] / 1024, memory["theirs"] / 1024, 5.0, unit="GiB"),
    ]


def _memory(name: str) -> float:
    """What a process of its own needs at its peak beyond imports and data, in MiB."""
    command = [sys.executable, str(Path(__file__)), name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    return float(done.stdout.split()[-1])


def _alone(name: str) -> None:
    true, fake = normal(ROWS, FEATURES, 0, torch.float32), normal(ROWS, FEATURES, 1, torch.float32) * 1.05
    small = slice(200)
    work = {
        "ours": lambda rows: fidelity_and_diversity(fake[rows], true[rows], 5),
        "theirs": lambda rows: prdc.compute_prdc(true[rows].numpy(), fake[rows].numpy(), nearest_k=5),
    }[name]
    work(small)  # libraries set themselves up at the first call
    before = _peak()
    work(slice(None))
    print(_peak() - before)


def _peak() -> float:
    """The most memory that this process has had, in MiB.  (``ru_maxrss`` begins with that of the parent.)"""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure() -> list[Row]:
    """All rows."""
    return [*frechet_rows(), *neighbour_rows()]


if __name__ == "__main__":
    _alone(sys.argv[1])
