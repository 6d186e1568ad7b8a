"""One model for each kind of sample: noise, and a translation that undoes itself."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces import (
    Column,
    Completer,
    Condition,
    ConditionSpec,
    DirectSampler,
    Model,
    Ragged,
    SampleSpace,
    Streams,
    Translator,
    Values,
)

COLUMNS = (Column("age", "integer"), Column("colour", "category", ("red", "light, blue")), Column("height"))
SPACES = {
    "image": SampleSpace("image", (1, 4, 6), -1.0, 1.0),
    "rgb": SampleSpace("image", (3, 4, 6), -1.0, 1.0),
    "spectral": SampleSpace("image", (5, 4, 6), -1.0, 1.0),
    "points": SampleSpace("points", (5,)),
    "sequence": SampleSpace("sequence", (None, 2)),
    "frames": SampleSpace("sequence", (7, 2)),
    "tokens": SampleSpace("tokens", (None,), vocabulary=5),
    "codes": SampleSpace("tokens", (6,), vocabulary=5),
    "audio": SampleSpace("audio", (1, None), -1.0, 1.0, rate=8000),
    "stereo": SampleSpace("audio", (2, 50), rate=8000),
    "table": SampleSpace("table", (3,), columns=COLUMNS),
    "words": SampleSpace("table", (1,), columns=COLUMNS[1:2]),
}


class Kinds(Model, DirectSampler[Values], Translator[Values], Completer[Values]):
    """Noise of one kind.  From ``plain`` to ``turned`` and back values change sign, and codes their order.

    Args:
        kind: key of ``SPACES``.
        noise: standard deviation of what a translation adds.
        named: whether the domains have names.
    """

    def __init__(self, kind: str, noise: float = 0.0, named: bool = True) -> None:
        super().__init__()
        self.space, self.noise = SPACES[kind], noise
        self.conditions = {"domain": ConditionSpec("domain", 2, names=("plain", "turned") if named else ())}
        self.discrete = self.space.kind == "tokens"
        self.register_buffer("nothing", torch.zeros(1))

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Values:
        space = self.space
        shape = [9 if size is None else size for size in space.shape]
        if space.kind == "tokens":
            x = streams.integers(5, *shape)
        elif space.kind == "table":
            ages, colours = 20 + streams.integers(60), streams.integers(2)
            columns = {"age": ages.float(), "colour": colours.float(), "height": 170 + streams.normal()}
            x = torch.stack([columns[column.name] for column in space.columns], dim=1)
        else:
            x = streams.uniform(*shape) * 2 - 1
        return x if space.open_axis is None else Ragged(x, 1 + streams.integers(9), space.open_axis)

    def complete(self, x: Values, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Values:
        if not isinstance(x, Ragged):
            drawn = self.draw(streams)
            return torch.where(known, x, drawn)
        if self.space.kind == "tokens":
            fresh = streams.integers(5, *x.shape[1:])
        else:
            fresh = streams.uniform(*x.shape[1:]) * 2 - 1
        return Ragged(torch.where(known, x.data, fresh), x.lengths, x.axis)

    def translate(self, x: Values, *, source: Condition | None, target: Condition, streams: Streams) -> Values:
        if source is None:
            raise ConditionError("this model needs the domain that samples come from; say --from plain or turned")
        turn = source["domain"] != target["domain"]

        def turned(data: Tensor) -> Tensor:
            other = 4 - data if self.space.kind == "tokens" else -data
            if self.noise:
                other = other + self.noise * streams.normal(*data.shape[1:])
            return torch.where(turn.view(-1, *[1] * (data.ndim - 1)), other, data)

        return x.map(turned) if isinstance(x, Ragged) else turned(x)
