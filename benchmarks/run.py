"""Measures everything and writes ``benchmarks/results.json``; ``make readme`` puts it into the docs.

python benchmarks/run.py            all
python benchmarks/run.py ddim em    some; the rows of the others stay

It exits with 1 where a ratio is below what is asked of it.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")
SUBJECTS = (
    "startup",
    "randomness",
    "ddim",
    "hub_pipelines",
    "path_samplers",
    "em",
    "baum_welch",
    "metrics",
    "flows",
    "likelihood",
    "training_step",
    "time_to_quality",
    "small_tables",
)


def main() -> None:
    """The command line."""
    chosen = sys.argv[1:] or list(SUBJECTS)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    missed: list[str] = []
    for subject in chosen:
        rows = importlib.import_module(subject).measure()
        results[subject] = {
            "date": date.today().isoformat(),
            "machine": machine(),
            "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
        }
        for row in rows:
            asked = "" if row.asked is None else f" (asked: {row.asked:.2f})"
            pair = f"{row.ours:.3f} {row.unit}, {row.peer} {row.theirs:.3f} {row.unit}"
            print(f"{row.what}: {pair}: {row.ratio:.2f}×{asked} {row.note}", flush=True)
            if row.asked is not None and row.ratio < row.asked:
                missed.append(f"{row.what}, {row.peer}: {row.ratio:.2f}, asked {row.asked:.2f}")
        kept = {k: results[k] for k in SUBJECTS if k in results}
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    if missed:
        sys.exit("below what is asked:\n" + "\n".join(missed))


def machine() -> str:
    """The processor, its cores, the threads that were used."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    threads = torch.get_num_threads()
    plural = "" if threads == 1 else "s"
    return f"{model}, {os.cpu_count()} cores, {threads} thread{plural}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
