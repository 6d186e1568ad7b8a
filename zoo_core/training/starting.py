"""Starts from another model's weights: other channels, sizes and labels are adapted, and what was kept is said.

| tensor                                        | what becomes of it                                        |
|-----------------------------------------------|-----------------------------------------------------------|
| of the same name and shape                    | kept                                                      |
| one axis has 3 channels for 1, or 1 for 3     | repeated or averaged; inputs are scaled by the ratio, so  |
|                                               | that grey is answered as before                           |
| one row per label, more or fewer labels       | the rows of labels that both have; the others are fresh   |
| anything else                                 | fresh                                                     |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from zoo_core.errors import WeightsError

__all__ = ["Start", "adapted"]

_CHANNELS = (1, 3)


@dataclass
class Start:
    """What was taken from another model's weights.

    Attributes:
        state: tensors by name, with exactly the keys and shapes of the model.
        kept: names of the tensors that were taken as they are.
        changed: what was done to others, by name.
        fresh: names of the tensors that keep their new initial values.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Says what was taken, a line for each kind."""
        total = len(self.state)
        lines = [f"{len(self.kept)} of {total} tensors are kept"]
        lines += [f"adapted: {name}, {what}" for name, what in self.changed.items()]
        if self.fresh:
            more = f" and {len(self.fresh) - 6} more" if len(self.fresh) > 6 else ""
            lines.append(f"fresh: {', '.join(self.fresh[:6])}{more}")
        return lines


def adapted(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor], name: str) -> Start:
    """Fits another model's weights to a model, tensor by tensor.

    Args:
        mine: state of the model that is to be trained, with its initial values.
        theirs: state of the model that training starts from.
        name: reference to that model, for messages.

    Raises:
        WeightsError: less than half of the model's numbers can be taken, so that this would be no start.
    """
    start = Start()
    for key, own in mine.items():
        other = theirs.get(key)
        if other is not None and other.shape == own.shape:
            start.state[key] = other.to(own.dtype)
            start.kept.append(key)
        elif other is not None and (made := _fitted(own, other)) is not None:
            start.state[key], start.changed[key] = made
        else:
            start.state[key] = own.clone()
            start.fresh.append(key)
    numbers = sum(own.numel() for own in mine.values())
    lost = sum(mine[key].numel() for key in start.fresh)
    if lost > numbers / 2:
        raise WeightsError(
            f"start = {name!r} fits {1 - lost / numbers:.0%} of the numbers of this model; choose a model of the same "
            "family and network, or leave start out"
        )
    return start


def _fitted(own: Tensor, other: Tensor) -> tuple[Tensor, str] | None:
    """Fits one tensor to another shape; ``None`` where that has no meaning."""
    if own.ndim != other.ndim or not own.is_floating_point():
        return None
    axes = [axis for axis in range(own.ndim) if own.shape[axis] != other.shape[axis]]
    if len(axes) != 1:
        return None
    axis = axes[0]
    here, there = own.shape[axis], other.shape[axis]
    if here in _CHANNELS and there in _CHANNELS:
        mean = other.mean(axis, keepdim=True)
        sums = axis == 1  # the inputs of a convolution are summed, its outputs are not
        made = mean.expand_as(own) * (there / here if sums else 1.0)
        return made.to(own.dtype).clone(), f"from {there} channels to {here}"
    if axis == 0 and own.ndim == 2:
        both = min(here, there)
        made = own.clone()
        made[:both] = other[:both]
        return made, f"{both} of {here} rows taken, of {there}"
    return None
