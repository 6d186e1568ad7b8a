"""The metrics log of a run: ``log.jsonl``, TensorBoard, and a progress line on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """The metrics log of a run.

    ``log.jsonl`` has one line per report with the step and the loss terms.  It has no times, so that a resumed run
    writes the file of an uninterrupted one; times are printed to stderr.

    Args:
        folder: folder of the run.
        steps: number of all steps.
        begun: number of finished steps; lines of the log about later steps are removed.
        quiet: whether nothing is written, as in all processes but the first.
    """

    def __init__(self, folder: Path, steps: int, begun: int, *, quiet: bool = False) -> None:
        self.steps, self.begun, self.quiet = steps, begun, quiet
        self.path = folder / "log.jsonl"
        self.started = self.shown = time.monotonic()
        self.examples = 0
        self._board: Any = None
        if quiet:
            return
        kept = [line for line in self._lines() if json.loads(line)["step"] <= begun]
        self.path.write_text("".join(kept), encoding="utf-8")
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:  # the extra "train" is not installed
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=begun)

    def report(self, step: int, values: Mapping[str, float], examples: int) -> None:
        """Writes the mean loss terms up to ``step``; ``examples`` were seen since the last report."""
        if self.quiet:
            return
        with open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if self._board is not None:
                self._board.add_scalar(name, value, step)
        self.examples += examples
        self.show(step, values)

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Prints a progress line to stderr: overwritten in place on a terminal, every half minute elsewhere."""
        now = time.monotonic()
        rate = self.examples / max(now - self.started, 1e-9)
        left = (self.steps - step) * (now - self.started) / max(step - self.begun, 1)
        terms = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        line = f"step {step}/{self.steps}  {terms}  {rate:,.0f} examples/s  {_duration(left)} left"
        if sys.stderr.isatty():
            end = "\n" if step == self.steps else ""
            print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
        elif now - self.shown > 30 or step == self.steps:
            print(line, file=sys.stderr, flush=True)
            self.shown = now

    def close(self) -> None:
        """Finishes the TensorBoard file."""
        if self._board is not None:
            self._board.close()

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        whole = [
            line for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
        ]
        return [line for line in whole if line.startswith("{")]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes}:{seconds:02d}"
