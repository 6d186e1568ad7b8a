"""Surveys a source for ``zoo data``: its kind, size, range, classes, duplicates and missing cells."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo_core.datasets.sources.found import Found
from zoo_core.interfaces import Column, Ragged

__all__ = ["Survey", "survey"]

LOOKED_AT = 100_000
"""Greatest number of examples that are looked at."""
_PART = 1024


@dataclass(frozen=True)
class Survey:
    """What is known of the examples of a source.

    Attributes:
        kind: kind of the examples.
        count: number of examples.
        shape: shape of an example, ``None`` for an open axis.
        low, high: least and greatest value.
        classes: number of examples of each label, by its name.
        duplicates: number of examples that equal an earlier one.
        missing: number of missing cells.
        looked_at: number of examples that these figures are of.
        columns: columns of a table.
    """

    kind: str
    count: int
    shape: tuple[int | None, ...]
    low: float
    high: float
    classes: dict[str, int]
    duplicates: int
    missing: int
    looked_at: int
    columns: tuple[Column, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the figures as JSON values."""
        return {
            "kind": self.kind,
            "n": self.count,
            "shape": list(self.shape),
            "low": self.low,
            "high": self.high,
            "classes": self.classes,
            "duplicates": self.duplicates,
            "missing": self.missing,
            "looked_at": self.looked_at,
        }

    def lines(self) -> list[str]:
        """Writes the figures, a line for each."""
        shape = "×".join("any length" if size is None else str(size) for size in self.shape)
        of = f" of the first {self.looked_at:,}" if self.looked_at < self.count else ""
        lines = [f"{'kind':<13}{self.kind} {shape}", f"{'examples':<13}{self.count:,}"]
        if self.columns:
            lines += [f"{'column':<13}{_described(column)}" for column in self.columns]
        else:
            lines.append(f"{'values':<13}{self.low:g} … {self.high:g}")
        if self.classes:
            most = sorted(self.classes.items(), key=lambda item: -item[1])
            shown = ", ".join(f"{name} {times:,}" for name, times in most[:12])
            lines.append(f"{'labels':<13}{len(most)}: {shown}{' …' if len(most) > 12 else ''}")
        lines.append(f"{'duplicates':<13}{self.duplicates:,}{of}")
        if self.kind in ("points", "table") or self.missing:
            lines.append(f"{'missing':<13}{self.missing:,} cells{of}")
        return lines


def survey(found: Found) -> Survey:
    """Looks at the examples of a source, at most 100,000 of them."""
    count = min(len(found), LOOKED_AT)
    low, high, missing, duplicates = float("inf"), float("-inf"), 0, 0
    seen: set[bytes] = set()
    shape: tuple[int | None, ...] = ()
    for part in torch.split(torch.arange(count), _PART):
        rows = found.x[part]
        values = rows.padded_with(0).data if isinstance(rows, Ragged) else rows
        if values.is_floating_point():
            gone = values.isnan()
            missing += int(gone.sum())
            values = values[~gone]
        if values.numel():
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        sizes: list[int | None] = list(rows.shape[1:])
        if isinstance(rows, Ragged):
            sizes[rows.axis - 1] = None
        shape = tuple(sizes)
        for row in rows:
            digest = hashlib.blake2b(row.contiguous().numpy().tobytes(), digest_size=16).digest()
            duplicates += digest in seen
            seen.add(digest)
    columns = tuple(Column.of(column) for column in found.reader.get("columns", ())) if found.kind == "table" else ()
    return Survey(found.kind, len(found), shape, low, high, _classes(found), duplicates, missing, count, columns)


def _classes(found: Found) -> dict[str, int]:
    label = found.columns.get("label")
    if not isinstance(label, Tensor):
        return {}
    times = Counter(label.tolist())
    return {name: times[i] for i, name in enumerate(found.names["label"])}


def _described(column: Column) -> str:
    name = " ".join(column.name.split())[:40]
    if column.type == "category":
        some = ", ".join(column.categories[:6]) + (" …" if len(column.categories) > 6 else "")
        return f"{name}: {len(column.categories)} categories, {some}"
    if column.type == "constant":
        return f"{name}: always {column.categories[0] if column.categories else f'{column.low:g}'}"
    if column.type == "date":
        assert column.low is not None
        assert column.high is not None
        return f"{name}: {column.text(column.low)} … {column.text(column.high)}"
    return f"{name}: {column.type}s {column.low:.6g} … {column.high:.6g}"
