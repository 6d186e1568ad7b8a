"""Reads data sets of the Hub (``hf:ORG/SET@REVISION``) by the library ``datasets``, which an extra installs."""

from __future__ import annotations

import io
from typing import Any

from zoo_core.datasets.sources.found import Found, Reading
from zoo_core.errors import DataError, NetworkError, PluginError
from zoo_core.fetching.hub_client import is_offline
from zoo_core.interfaces import DataSet

__all__ = ["find_hub_set", "fingerprint"]


def find_hub_set(reference: str, how: Reading) -> Found:
    """Says what a data set of the Hub is, and reads it: pictures where a column has them, else a table.

    Args:
        reference: ``hf:ORG/SET``, with ``@REVISION`` for a commit or tag, and ``#CONFIG`` for one of its parts.
        how: what is said about how it is read.

    Raises:
        PluginError: the library is not installed.
        NetworkError: the set cannot be fetched.
        DataError: it has no column that can be read.
    """
    rows = _rows(reference)
    pictures = [name for name, feature in rows.features.items() if type(feature).__name__ == "Image"]
    if pictures:
        return _pictures(rows, pictures[0], how)
    from zoo_core.datasets.sources.tables import find_table

    content = io.BytesIO()
    rows.to_parquet(content)
    content.seek(0)
    return find_table(content, f"{reference}.parquet", how)


def fingerprint(reference: str) -> str:
    """Returns the SHA-256 of the examples of a set and their labels, as they are read unless something is said."""
    found = find_hub_set(reference, Reading())
    return DataSet(reference, "train", found.x, found.columns).fingerprint


def _rows(reference: str) -> Any:
    try:
        import datasets
    except ImportError as err:
        raise PluginError("data sets of the Hub are read by 'datasets'; pip install 'zoo-core[hub-data]'") from err
    name, _, part = reference.removeprefix("hf:").partition("#")
    name, _, revision = name.partition("@")
    if is_offline():
        raise NetworkError(f"offline, and {reference} is on the Hub; fetch it once online, or name local files")
    try:
        found = datasets.load_dataset(name, part or None, revision=revision or None)
    except Exception as err:  # the library raises many kinds of errors
        reason = " ".join(str(err).split())[:150]
        raise NetworkError(
            f"cannot read {reference}: {reason}; check the name, the revision and the connection"
        ) from err
    return found["train"] if "train" in found else next(iter(found.values()))


def _pictures(rows: Any, column: str, how: Reading) -> Found:
    """Reads a column of pictures, as a folder of them would be read."""
    from zoo_core.datasets.sources.pictures import find_pictures

    names = [name for name, feature in rows.features.items() if type(feature).__name__ == "ClassLabel"]
    label = how.label or (names[0] if names else None)
    if label is not None and label not in rows.features:
        raise DataError(f"the set has no column {label!r}; its columns are {', '.join(rows.features)}")
    folders = ["" for _ in range(len(rows))]
    if label is not None:
        values = rows[label]
        feature = rows.features[label]
        folders = [feature.int2str(v) if hasattr(feature, "int2str") else str(v) for v in values]
    digits = len(str(len(rows)))
    order = {f"{folder}/{i:0{digits}d}.png".lstrip("/"): i for i, folder in enumerate(folders)}
    return find_pictures(_Decoded(rows, column, order), list(order), how.size)


class _Decoded:
    """The pictures of a column, with the methods of a :class:`~zoo_core.datasets.sources.tree.Tree`."""

    root = "the set"

    def __init__(self, rows: Any, column: str, order: dict[str, int]) -> None:
        self.rows, self.column, self.order = rows, column, order
        self.names = tuple(order)

    def open(self, name: str) -> io.BytesIO:
        """Opens a picture as a PNG file."""
        out = io.BytesIO()
        self.rows[self.order[name]][self.column].save(out, "PNG")
        out.seek(0)
        return out

    def path(self, name: str) -> str:
        """Returns the name of a picture for a message."""
        return f"picture {self.order[name]}"
