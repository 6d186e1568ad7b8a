"""An array larger than the memory that is allowed is read by index: 2 GB of images with 1 GB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SIDE, COUNT = 64, 2**19
ALLOWED = 2**30

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({allowed}, {allowed}))
from zoo_core.cli import main
sys.argv[1:] = {arguments!r}
main()
"""


@pytest.mark.slow
def test_two_gigabytes_are_learned_from_with_one(tmp_path: Path) -> None:
    """RLIMIT_DATA bounds what a process allocates; a mapped file does not count, and its pages are given back."""
    rng = np.random.default_rng(0)
    array = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.uint8, (COUNT, SIDE, SIDE))
    array[:100] = rng.integers(0, 255, (100, SIDE, SIDE))  # the rest of the file is zeros that take no room on the disk
    array.flush()
    del array
    assert (tmp_path / "large.npy").stat().st_size > 2 * 2**30 - 1
    out = str(tmp_path / "run")
    options = ["--max-steps", "2", "--set", "batch=8", "--samples-every", "0", "--out", out]
    arguments = ["train", "--family", "gan", "--data", str(tmp_path / "large.npy"), *options]
    code = PROGRAM.format(allowed=ALLOWED, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
