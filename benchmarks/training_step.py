"""A step of training on the plane, against the same step with a generator object for every example.

That is how the numbers of a step were drawn before ``Streams`` computed them for all rows at once, and how a seed of
one's own for each example is had in plain PyTorch.  Everything else is the same loop; 500 steps from the start, with
what a run sets up and writes, in turns, in one run.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from unittest import mock

import torch
from comparison import Row, in_turns
from torch import Tensor

from zoo_core import registry
from zoo_core.interfaces import Streams
from zoo_core.randomness import generator
from zoo_core.training import Options, train

MODELS = {"ddpm-moons": 1.3, "cfm-moons": None}
STEPS, ROUNDS = 500, 5


class GeneratorPerExample(Streams):
    """Streams that draw each row from a generator object of its own."""

    @cached_property
    def sources(self) -> list[torch.Generator]:
        """The generator of each row."""
        return [generator(self.seed, self.purpose, i) for i in range(self.start, self.start + len(self))]

    def _fill(self, out: Tensor, draw: str, *args: int) -> Tensor:
        for row, source in zip(out, self.sources, strict=True):
            getattr(row, draw)(*args, generator=source)
        return out

    def normal(self, *shape: int) -> Tensor:
        return self._fill(torch.empty((len(self), *shape), dtype=self.dtype), "normal_")

    def uniform(self, *shape: int) -> Tensor:
        return self._fill(torch.empty((len(self), *shape), dtype=self.dtype), "uniform_")

    def integers(self, high: int, *shape: int) -> Tensor:
        return self._fill(torch.empty((len(self), *shape), dtype=torch.int64), "random_", 0, high)


def run(name: str) -> None:
    """The first steps of a registered recipe, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        train(registry.load().get(name), Path(folder), Options(max_steps=STEPS, samples_every=0))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops the progress lines."""
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stderr(sink):
        yield


def by_generators(name: str) -> None:
    """The same, with a generator for every example."""
    with mock.patch("zoo_core.training.gradient.Streams", GeneratorPerExample):
        run(name)


def measure() -> list[Row]:
    """A row for each model."""
    rows = []
    for name, asked in MODELS.items():
        took = in_turns({"ours": lambda n=name: run(n), "peer": lambda n=name: by_generators(n)}, ROUNDS)
        ours, theirs = (1000 * took[key] / STEPS for key in ("ours", "peer"))
        what = f"{name}: a training step, batch {registry.load().get(name).recipe['batch']}"
        rows.append(Row(what, "a generator for every example", ours, theirs, asked, unit="ms"))
    return rows
