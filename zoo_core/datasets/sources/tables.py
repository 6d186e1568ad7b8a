"""Reads tables (``.csv``, ``.tsv``, ``.parquet``): numbers, integers, dates, categories and missing cells."""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from zoo_core.datasets.prepared import WEIGHT
from zoo_core.datasets.sources.found import Found, Notes, Reading
from zoo_core.errors import DataError, PluginError
from zoo_core.interfaces import Column, Encoding, SampleSpace

if TYPE_CHECKING:
    import pandas

__all__ = ["SUFFIXES", "cells", "find_table", "from_frame"]

SUFFIXES = (".csv", ".tsv", ".parquet")
CATEGORIES = 50
"""Greatest number of different values of a column of texts that is read as a category."""
_DIGITS = 6


def find_table(file: IO[bytes], path: str, how: Reading) -> Found:
    """Says what a table's columns are, and reads them.

    Args:
        file: file, open for reading.
        path: its path, whose suffix says the format.
        how: columns that are labels or are left out; all columns, where they were found before.

    Raises:
        DataError: the file is no table, has no rows, or a column cannot be used.
        PluginError: pandas is not installed.
    """
    return from_frame(_frame(file, path), path, how)


def from_frame(frame: pandas.DataFrame, path: str, how: Reading) -> Found:
    """Says what the columns of a pandas table are, and reads them, as :func:`find_table` does of a file's."""
    notes, label, weight = Notes(), how.label, how.weight
    told = [name for name in (label, weight) if name is not None]
    for name in (*how.leave_out, *told):
        if name not in frame.columns:
            raise DataError(f"{path} has no column {name!r}; its columns are {_listed(frame.columns)}")
    columns: dict[str, torch.Tensor] = {}
    names: dict[str, tuple[str, ...]] = {}
    if label is not None:
        columns["label"], names["label"] = _classes(frame[label], label, path)
    if weight is not None:
        columns[WEIGHT] = _weights(frame[weight], weight, path)
    kept, dropped = list(how.columns), [*how.leave_out, *told]
    for name in frame.columns if not how.columns else ():
        if name in dropped:
            continue
        if (column := _column(frame[name], name, path, notes)) is None:
            dropped.append(name)
        else:
            kept.append(column)
    if not any(column.width for column in kept):
        raise DataError(f"{path} has no column that varies; expected at least one column of numbers or categories")
    encoding = Encoding(tuple(kept))
    x = cells(frame, encoding, path)
    missing = x.isnan()
    if missing.any():
        rows = int(missing.any(1).sum())
        notes.add(f"{int(missing.sum())} cells are missing, in {rows} of {len(x)} rows")
    reader: dict[str, Any] = {"kind": "table", "columns": [column.table() for column in kept]}
    if label:
        reader |= {"label": label, "labels": list(names["label"])}
    if weight:
        reader["weight"] = weight
    if leave_out := [name for name in dropped if name not in told]:
        reader["leave_out"] = leave_out
    space = SampleSpace("table", (len(kept),), columns=tuple(kept))
    return Found("table", reader, x, columns, names, None, space, notes.lines)


def cells(frame: pandas.DataFrame, encoding: Encoding, path: str) -> torch.Tensor:
    """Converts the cells of known columns to numbers and codes, float64 ``(n, columns)``, NaN where one is missing.

    Raises:
        DataError: a column is missing, or a cell is not of its column's type.
    """
    out = np.full((len(frame), len(encoding.columns)), np.nan)
    for place, column in enumerate(encoding.columns):
        if column.name not in frame.columns:
            raise DataError(f"{path} has no column {column.name!r}; its columns are {_listed(frame.columns)}")
        out[:, place] = _numbers(frame[column.name], column, path)
    return torch.from_numpy(out)


def _frame(file: IO[bytes], path: str) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError as err:
        raise PluginError("tables are read by pandas; pip install 'zoo-core[table]'") from err
    content = io.BytesIO(file.read())
    try:
        if path.lower().endswith(".parquet"):
            frame = pandas.read_parquet(content)
        else:
            sep = "\t" if path.lower().endswith(".tsv") else None
            text = content.getvalue().decode("utf-8-sig")
            if not text.strip():
                raise DataError(f"{path} is empty; expected a header and rows")
            frame = _read_text(pandas, text, sep)
    except UnicodeDecodeError as err:
        raise DataError(f"{path} is not UTF-8 text (byte {err.start}); save it as UTF-8") from err
    except (ValueError, OSError, ImportError, pandas.errors.ParserError) as err:
        reason = " ".join(str(err).split())[:150]
        raise DataError(
            f"{path} cannot be read as a table ({reason}); expected a header and rows of equal length"
        ) from err
    frame.columns = [str(name) for name in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{path} has two columns {twice!r}; give every column its own name")
    if not len(frame):
        raise DataError(f"{path} has the header {_listed(frame.columns)} and no rows; expected at least two rows")
    return frame


def _read_text(pandas: Any, text: str, sep: str | None) -> pandas.DataFrame:
    """Reads CSV, with the names of its header as they are, twice or empty too; without a header they are x0, x1 …"""
    lines = io.StringIO(text, newline="")
    try:
        sep = sep or csv.Sniffer().sniff(text[:20000], delimiters=",;\t").delimiter
    except csv.Error:
        sep = ","
    head = next(csv.reader(lines, delimiter=sep))  # reads the lines of the header, of which names may have several
    if all(_is_number(cell) for cell in head):
        lines.seek(0)
        names = [f"x{i}" for i in range(len(head))]
    else:
        names = [name.strip() or f"column {i + 1}" for i, name in enumerate(head)]
    rest = lines.read()
    if not rest.strip():
        return pandas.DataFrame(columns=names)
    frame = pandas.read_csv(
        io.StringIO(rest), sep=sep, header=None, index_col=False, names=range(len(head)), dtype_backend="numpy_nullable"
    )
    if frame.shape[1] != len(head):
        raise ValueError(f"{frame.shape[1]} cells in a row, and {len(head)} in the header")
    frame.columns = names
    return frame


def _column(series: pandas.Series, name: str, path: str, notes: Notes) -> Column | None:
    """Says what a column is; ``None`` for one that is left out, with a note."""
    import pandas

    shown = repr(name) if len(name) <= 40 else f"{name[:40]!r}…"
    present = series.dropna()
    if present.empty:
        notes.add(f"column {shown} is empty, and is left out")
        return None
    if pandas.api.types.is_bool_dtype(present):
        present = present.astype("string")
    if pandas.api.types.is_numeric_dtype(present):
        return _numeric(present.to_numpy(np.float64), name, path, notes)
    if (dates := _dates(present)) is not None:
        unit = "d" if not (dates % 86400).any() else "s"
        values = dates / 86400 if unit == "d" else dates
        return _numeric(values, name, path, notes, "date", unit)
    texts = present.astype("string")
    known = sorted(texts.unique().tolist())
    if len(known) == 1 and len(present) == len(series):
        notes.add(f"column {shown} has one value, which every sample gets")
        return Column(name, "constant", (known[0],), low=0.0, high=0.0)
    if len(known) > CATEGORIES or len(known) > max(2, len(present) // 2):
        notes.add(
            f"column {shown} has {len(known)} different texts in {len(present)} rows, too many for categories (at most "
            f"{CATEGORIES}), and is left out"
        )
        return None
    return Column(name, "category", tuple(known))


def _numeric(values: np.ndarray, name: str, path: str, notes: Notes, kind: str = "number", unit: str = "") -> Column:
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise DataError(f"{path}, column {name!r}: {values[row]} is not finite; leave the cell empty, or the row out")
    low, high = float(values.min()), float(values.max())
    if low == high:
        notes.add(f"column {name!r} has one value, which every sample gets")
        return Column(name, "constant", low=low, high=high)
    whole = bool((values == np.round(values)).all()) and max(abs(low), abs(high)) < 2**53
    digits = next(
        (d for d in range(1, _DIGITS + 1) if np.allclose(values, np.round(values, d), rtol=0, atol=1e-12)), None
    )
    mean, std = float(values.mean()), float(values.std())
    if kind == "date":
        return Column(name, "date", low=low, high=high, mean=mean, std=std, unit=unit)
    if whole:
        return Column(name, "integer", low=low, high=high, mean=mean, std=std)
    return Column(name, "number", low=low, high=high, mean=mean, std=std, digits=digits)


def _dates(present: pandas.Series) -> np.ndarray | None:
    """Returns dates as seconds since 1970-01-01; ``None`` for a column of other texts."""
    import pandas

    if not pandas.api.types.is_datetime64_any_dtype(present):
        first = str(present.iloc[0])
        if not (8 <= len(first) <= 32 and first[:4].isdigit() and first[4] in "-/"):
            return None
        try:
            present = pandas.to_datetime(present.astype("string"), format="ISO8601" if first[4] == "-" else "%Y/%m/%d")
        except (ValueError, TypeError):
            return None
    if getattr(present.dt, "tz", None) is not None:
        present = present.dt.tz_convert("UTC").dt.tz_localize(None)
    seconds = (present - pandas.Timestamp("1970-01-01")) / pandas.Timedelta(seconds=1)
    return np.asarray(seconds.to_numpy(np.float64))


def _numbers(series: pandas.Series, column: Column, path: str) -> np.ndarray:
    """Converts one column's cells to numbers and codes."""
    import pandas

    out = np.full(len(series), np.nan)
    there = series.notna().to_numpy(bool)
    present = series[there]
    where = f"{path}, column {column.name!r}"
    if column.type == "constant":
        out[:] = column.low
        return out
    if column.type == "category":
        codes = {text: code for code, text in enumerate(column.categories)}
        texts = present.astype("string").tolist()
        unknown = next((text for text in texts if text not in codes), None)
        if unknown is not None:
            raise DataError(f"{where}: {unknown[:40]!r} is unknown; expected one of {_listed(column.categories)}")
        out[there] = [codes[text] for text in texts]
        return out
    if column.type == "date":
        if len(present) and (dates := _dates(present)) is not None:
            out[there] = dates / (86400 if column.unit == "d" else 1)
            return out
        if not len(present):
            return out
    try:
        values = pandas.to_numeric(present).to_numpy(np.float64)
    except (ValueError, TypeError) as err:
        raise DataError(f"{where}: {' '.join(str(err).split())[:80]}; expected {column.type}s") from err
    if not np.isfinite(values).all():
        raise DataError(f"{where}: a cell is not finite; leave it empty, or leave the row out")
    out[there] = values
    return out


def _classes(series: pandas.Series, name: str, path: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Returns the classes of a column, and their names."""
    if series.isna().any():
        raise DataError(f"{path}, column {name!r}: {int(series.isna().sum())} rows have no label; give each row one")
    texts = series.astype("string").tolist()
    known = sorted(set(texts), key=lambda text: (not _is_number(text), float(text) if _is_number(text) else 0.0, text))
    if len(known) > max(2, len(texts) // 2):
        raise DataError(
            f"{path}, column {name!r} has {len(known)} different values in {len(texts)} rows; expected classes"
        )
    numbers = {text: i for i, text in enumerate(known)}
    return torch.tensor([numbers[text] for text in texts]), tuple(known)


def _weights(series: pandas.Series, name: str, path: str) -> torch.Tensor:
    """Returns the weights of a column, float64 ``(n,)``."""
    import pandas

    values = pandas.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if (wrong := ~(np.isfinite(values) & (values >= 0.0))).any():
        first = "an empty cell" if series[wrong].isna().iloc[0] else series[wrong].iloc[0]
        raise DataError(f"{path}, column {name!r}: {first} is no weight; give each row a number of at least 0")
    if not values.any():
        raise DataError(f"{path}, column {name!r}: every weight is 0; give some rows more")
    return torch.from_numpy(values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(names: Any) -> str:
    shown = [str(name)[:30] for name in list(names)[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
