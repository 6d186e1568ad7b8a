"""Two ways of doing the same thing, measured in turns in one run, so that what slows the machine slows both."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Row", "in_turns", "of_commands"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: the work.
        ours, theirs: medians.
        peer: what it is compared with.
        ratio: theirs / ours: above one, ours is quicker.
        asked: the least ratio that is asked for; ``None`` where the row is for information.
        note: what else one should know.
        unit: of both, where it is not seconds.
    """

    what: str
    peer: str
    ours: float
    theirs: float
    asked: float | None = None
    note: str = ""
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def in_turns(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each piece of work, after one warm-up round, all taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_number in range(rounds + 1):
        for name, function in work.items():
            began = time.perf_counter()
            function()
            if round_number > 0:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def of_commands(commands: Mapping[str, list[str]], rounds: int, environment: Mapping[str, str]) -> dict[str, float]:
    """As :func:`in_turns`, for processes; ``python`` at the head of a command is this interpreter."""

    def runner(command: list[str]) -> Callable[[], object]:
        line = [sys.executable, *command[1:]] if command[0] == "python" else command
        return lambda: subprocess.run(line, check=True, capture_output=True, env=dict(environment))

    return in_turns({name: runner(command) for name, command in commands.items()}, rounds)
