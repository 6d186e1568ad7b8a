"""Tells a model of a reader's own data how their files became its numbers: columns, letters, and names of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.interfaces import Encoding, Model
from zoo_core.registry.entry import Entry

__all__ = ["attach_reader"]


def attach_reader(model: Model, entry: Entry) -> None:
    """Gives a built model the columns, letters and names of labels that its recipe's ``data.reader`` has, if any.

    Raises:
        WeightsError: the reader is damaged, or does not fit the model.
    """
    reader: Any = entry.recipe.get("data", {}).get("reader")
    if not isinstance(reader, dict):
        return
    try:
        if "columns" in reader:
            encoding = Encoding.of(reader["columns"], reader.get("kind") == "table")
            if model.space.shape != (encoding.width,):
                raise ValueError(
                    f"its columns take {encoding.width} numbers, the model's space is {model.space.words()}"
                )
            model.space = replace(model.space, encoding=encoding)
        if "symbols" in reader:
            model.space = replace(model.space, letters=str(reader["symbols"]))
        if "padded" in reader:
            height, width = (int(side) for side in (reader["height"], reader["width"]))
            if list(model.space.shape[1:]) != list(reader["padded"]) or not (
                1 <= height <= reader["padded"][0] and 1 <= width <= reader["padded"][1]
            ):
                raise ValueError(f"padded = {reader['padded']}; the model's space is {model.space.words()}")
            model.space = replace(model.space, cropped=(height, width))
        label = model.conditions.get("label")
        names = tuple(map(str, reader.get("labels", ())))
        if label is not None and names and label.classes == len(names):
            model.conditions = {**model.conditions, "label": replace(label, names=names)}
    except (TypeError, ValueError, KeyError, AttributeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise WeightsError(f"{entry.id}: the recipe's data.reader is damaged: {reason}") from err
