"""The processes of one run: one by default, several under ``torchrun``.

    torchrun --standalone --nproc_per_node 8 -m zoo_core.cli train ddpm-mnist --device cuda

Each process does its share of every batch; sums and averages are the only things that pass between them.  All
randomness belongs to the global index of an example, so what comes out does not depend on how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.values import Values, cat

__all__ = ["Precision", "Processes", "world_size"]

Precision = Literal["float32", "bfloat16"]


def world_size() -> int:
    """How many processes ``torchrun`` started; 1 without it.  Imports nothing."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """This process among the others.

    Args:
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: what :meth:`autocast` multiplies in.

    Raises:
        IncompatibleError: an unknown precision, or fewer processes than ``torchrun`` was asked for (``accelerate launch
            --cpu`` starts one without a word).

    Attributes:
        rank: 0 … size − 1.
        size: how many there are.
        device: where this one computes.
    """

    def __init__(self, device: str = "cpu", precision: Precision = "float32") -> None:
        if precision not in ("float32", "bfloat16"):
            raise IncompatibleError(f"precision = {precision!r}; expected float32 or bfloat16")
        from accelerate import Accelerator  # a second and a half, and not needed by one process that only samples

        # Accelerate's own mixed precision is a setting of the whole process; ours is of one run.
        self.accelerator, self.precision = Accelerator(cpu=device == "cpu", mixed_precision="no"), precision
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device if device in ("cpu", "auto") or self.size > 1 else torch.device(device)
        if self.size != world_size():
            raise IncompatibleError(
                f"{world_size()} processes were asked for and {self.size} found each other; start them with torchrun"
            )

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """The context of forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def part(self, count: int) -> range:
        """This process's share of 0 … count − 1: contiguous, in the order of the ranks."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sums over all processes of tensors that have the same shapes in each."""
        if self.size == 1:
            return dict(values)
        return {name: self.accelerator.reduce(value, reduction="sum") for name, value in values.items()}

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces gradients by their means over all processes, in one message."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = self.accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, rows: Values | None) -> Values:
        """Joins the rows of all processes, in the order of the ranks, in every process.

        Args:
            rows: this process's share; ``None`` where it has none.
        """
        if self.size == 1 and rows is not None:
            return rows
        parts: list[Values | None] = [None] * self.size
        torch.distributed.all_gather_object(parts, None if rows is None else rows.cpu())
        return cat([part for part in parts if part is not None])

    def wait(self) -> None:
        """Returns when all have arrived."""
        self.accelerator.wait_for_everyone()

    def close(self) -> None:
        """Leaves the group, so that the process ends without a warning."""
        from accelerate.state import AcceleratorState

        self.accelerator.end_training()
        AcceleratorState._reset_state(reset_partial_state=True)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
