"""What a sample may be conditioned on: a label, an observed part, a speaker, a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import ConditionError

__all__ = ["Condition", "ConditionSpec"]


@dataclass(frozen=True)
class ConditionSpec:
    """What a model accepts under one name.

    Attributes:
        shape: the shape for one sample; ``()`` for a label.
        classes: the number of labels, for a label; ``None`` for real values.
        null: whether the number of labels itself is accepted too, and means that there is no label: the null class
            of classifier-free guidance.
    """

    shape: tuple[int, ...] = ()
    classes: int | None = None
    null: bool = False

    def check(self, name: str, value: Tensor) -> None:
        """Raises :class:`ConditionError` where ``value`` ``(n, *shape)`` is not acceptable."""
        if tuple(value.shape[1:]) != self.shape:
            raise ConditionError(
                f"condition {name!r} has shape {tuple(value.shape[1:])} per sample; expected {self.shape}"
            )
        if self.classes is not None and (
            value.is_floating_point() or bool(((value < 0) | (value >= self.classes + self.null)).any())
        ):
            worst = value.flatten()[value.flatten().float().abs().argmax()].item() if value.numel() else None
            raise ConditionError(f"condition {name!r} = {worst} is out of range; expected 0 … {self.classes - 1}")


class Condition:
    """Named tensors, one row per sample: ``Condition(label=torch.tensor([3, 3, 7]))``."""

    def __init__(self, **values: Tensor) -> None:
        if len({len(v) for v in values.values()}) > 1:
            raise ConditionError(f"conditions of different lengths: { {k: len(v) for k, v in values.items()} }")
        self.values: Mapping[str, Tensor] = values

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __len__(self) -> int:
        return len(next(iter(self.values.values()))) if self.values else 0

    def rows(self, start: int, stop: int) -> Condition:
        """The condition of samples ``start`` … ``stop − 1``."""
        return Condition(**{k: v[start:stop] for k, v in self.values.items()})

    def to(self, device: torch.device | str) -> Condition:
        return Condition(**{k: v.to(device) for k, v in self.values.items()})

    def check(self, specs: Mapping[str, ConditionSpec]) -> None:
        """Raises :class:`ConditionError` for a name that the model does not know or a value out of range."""
        for name, value in self.values.items():
            if name not in specs:
                known = ", ".join(specs) or "nothing: it is unconditional"
                raise ConditionError(f"this model has no condition {name!r}; it can be conditioned on {known}")
            specs[name].check(name, value)
