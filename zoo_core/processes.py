"""Shares the work of a run among processes: one by default, several under ``torchrun``.

    torchrun --standalone --nproc_per_node 8 -m zoo_core.cli train ddpm-mnist --device cuda

Each process handles its share of every batch; the processes exchange sums, averages and gathered rows.  Random numbers
depend on the global index of an example, so results do not depend on the number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.values import Values, cat

__all__ = ["Precision", "Processes", "world_size"]

Precision = Literal["float32", "tf32", "bfloat16"]
"""Number format of matrix products: with ``tf32`` their factors have 10 bits on NVIDIA's GPUs, 23 elsewhere."""


def world_size() -> int:
    """Returns the number of processes that ``torchrun`` started; 1 without it.  Imports nothing."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """The group of processes of a run, seen from one of them.

    Args:
        device: device to compute on: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: number format of matrix products under :meth:`autocast`.

    Raises:
        IncompatibleError: the precision is unknown, or there are fewer processes than were asked for (``accelerate
            launch --cpu`` starts one without a message).

    Attributes:
        rank: number of this process, 0 … size − 1.
        size: number of processes.
        device: device of this process.
    """

    def __init__(self, device: str = "cpu", precision: Precision = "float32") -> None:
        if precision not in get_args(Precision):
            raise IncompatibleError(f"precision = {precision!r}; expected {' or '.join(get_args(Precision))}")
        from accelerate import Accelerator  # takes 1.5 s to import, and sampling in one process does not need it

        # Accelerate's mixed precision would hold for the whole process; the precision here is that of one run.
        self.accelerator, self.precision = Accelerator(cpu=device == "cpu", mixed_precision="no"), precision
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device if device in ("cpu", "auto") or self.size > 1 else torch.device(device)
        self._tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
        if self.size != world_size():
            raise IncompatibleError(
                f"{world_size()} processes were asked for and {self.size} found each other; start them with torchrun"
            )

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context manager for forward passes in the run's precision."""
        half = self.precision == "bfloat16"
        # A graph of a network must convert the weights at every replay, so conversions are not kept on a GPU.
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=self.device.type == "cpu")

    def part(self, count: int) -> range:
        """Returns this process's share of the indices 0 … count − 1; shares are contiguous, in the order of ranks."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums tensors over all processes; each tensor has the same shape in every process."""
        if self.size == 1:
            return dict(values)
        return {name: self.accelerator.reduce(value, reduction="sum") for name, value in values.items()}

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces the gradients of parameters by their means over all processes, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = self.accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, rows: Values | None) -> Values:
        """Joins the rows of all processes, in the order of the ranks, in every process.

        Args:
            rows: this process's share of the rows; ``None`` if it has none.
        """
        if self.size == 1 and rows is not None:
            return rows
        parts: list[Values | None] = [None] * self.size
        torch.distributed.all_gather_object(parts, None if rows is None else rows.cpu())
        return cat([part for part in parts if part is not None])

    def wait(self) -> None:
        """Waits until all processes have called this method."""
        self.accelerator.wait_for_everyone()

    def close(self) -> None:
        """Leaves the group of processes, so that this process ends without a warning."""
        from accelerate.state import AcceleratorState

        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self._tf32
        self.accelerator.end_training()
        AcceleratorState._reset_state(reset_partial_state=True)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
