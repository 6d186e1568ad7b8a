"""Changes tables of a registry file, in one step and by one process at a time.

The other tables and the comments stay as they are, except that several blank lines in a row become one.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo_core.errors import RegistryError
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, Evaluation

__all__ = ["pin", "pin_published", "pin_row"]


def pin(file: Path, entry: Entry) -> None:
    """Writes newly bundled weights into the table of a model, and removes the numbers measured of the old weights.

    Args:
        file: registry file that has a table of the model.
        entry: entry of the model, with weights; its recipe and config are written if they differ from the table's.
    """

    def change(document: Any) -> None:
        table = document["models"][entry.id]
        said = entry.table()
        for key in ("config", "recipe"):
            if said.get(key, {}) != (table[key].unwrap() if key in table else {}):
                table[key] = _table(said[key])
        for key in ("facts", "parameters"):
            if key in said:
                table[key] = said[key]
            else:
                table.pop(key, None)
        assert entry.weights is not None
        table["weights"] = _table(asdict(entry.weights))
        table.pop("eval", None)

    _rewrite(file, change)


def pin_row(file: Path, name: str, row: Evaluation) -> None:
    """Writes a measured number into the table of a model, and replaces an older one of the same metric.

    Args:
        file: registry file that has a table of the model.
        name: id of the model.
        row: measured number with its settings.
    """

    def change(document: Any) -> None:
        table = document["models"][name]
        rows = {old["metric"]: old.unwrap() for old in table.get("eval", [])}
        _set_rows(table, list((rows | {row.metric: row.table()}).values()))

    _rewrite(file, change)


def pin_published(file: Path, entry: Entry, *, dry_run: bool = False) -> None:
    """Writes repository, commit, hash and size of a published model into a registry file.

    If the file has no table of the model, one is added with the whole entry; if there is no file, one is created.

    Args:
        file: registry file.
        entry: published model, whose weights have ``repo_id`` and ``revision``.
        dry_run: whether to check only that the file can be changed.

    Raises:
        RegistryError: the file cannot be read, changed or written, or the change would be a mistake in it.
    """
    weights = entry.weights
    assert weights is not None

    def change(document: Any) -> None:
        models = document.setdefault("models", _tomlkit(file).table(is_super_table=True))
        if entry.id not in models:
            models[entry.id] = _whole_table(entry)
            return
        table = models[entry.id]
        old = table.get("weights", {})
        if old.get("sha256") == weights.sha256:
            old["repo_id"], old["revision"] = weights.repo_id, weights.revision
            return
        table["weights"] = _table(asdict(weights))  # without `bundled`: the plugin's package has other weights
        table.pop("eval", None)
        if entry.evaluations:
            _set_rows(table, [row.table() for row in entry.evaluations])

    _rewrite(file, change, new="schema = 1\n", dry_run=dry_run)


def _rewrite(file: Path, change: Callable[[Any], None], *, new: str | None = None, dry_run: bool = False) -> None:
    """Reads, changes, checks and replaces a file; if any of that fails, the file is not changed."""
    tomlkit = _tomlkit(file)
    try:
        with _alone(file.parent):
            text = new if new is not None and not file.exists() else file.read_text(encoding="utf-8")
            document = tomlkit.parse(text)
            change(document)
            changed = _without_blank_runs(tomlkit.dumps(document))
            data = tomllib.loads(changed)
            if found := schema.problems(data, file.name, fragment="plugin" in data):
                raise RegistryError(found)
            beside = file.with_name(f".{file.name}.{os.getpid()}")
            try:
                with open(beside, "w", encoding="utf-8") as f:
                    f.write(changed)
                    f.flush()
                    os.fsync(f.fileno())
                if not dry_run:
                    os.replace(beside, file)
            finally:
                beside.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or err
        raise RegistryError([f"{file}: cannot be written: {reason}; nothing was changed"]) from err
    except (tomllib.TOMLDecodeError, tomlkit.exceptions.TOMLKitError, KeyError, TypeError, AttributeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise RegistryError([f"{file}: cannot be changed: {reason}; zoo registry validate {file}"]) from err


def _without_blank_runs(text: str) -> str:
    """Returns the text with one blank line where there were several, and none at its end.

    tomlkit keeps the blank lines around a table that is replaced, so every change would add some.
    """
    tidy = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text).rstrip("\n") + "\n"
    # A multi-line string may contain blank lines, which must stay: then the text is returned unchanged.
    return tidy if tomllib.loads(tidy) == tomllib.loads(text) else text


def _tomlkit(file: Path) -> Any:
    try:
        import tomlkit
        import tomlkit.exceptions
    except ModuleNotFoundError as err:
        raise RegistryError(
            [f"{file}: writing into a registry file needs tomlkit; pip install tomlkit, or leave --registry out"]
        ) from err
    return tomlkit


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder, so that one process writes at a time; the system frees it if the process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _whole_table(entry: Entry) -> Any:
    """Makes a table of a whole entry."""
    import tomlkit

    table = tomlkit.table()
    for key, value in entry.table().items():
        if key not in ("schema", "id", "weights", "eval"):
            table[key] = value
    assert entry.weights is not None
    table["weights"] = _table(asdict(entry.weights))
    if entry.evaluations:
        _set_rows(table, [row.table() for row in entry.evaluations])
    return table


def _set_rows(table: Any, rows: list[dict[str, Any]]) -> None:
    """Replaces the measured numbers of a table; each has one blank line after it."""
    import tomlkit

    table["eval"] = tomlkit.aot()
    for row in rows:
        table["eval"].append(_table(row))


def _table(values: Mapping[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.table()
    for key, value in values.items():
        if value not in ("", {}, ()) and value is not False:
            table[key] = _inline(value) if isinstance(value, Mapping) else value
    table.add(tomlkit.nl())
    return table


def _inline(values: Mapping[str, Any]) -> Any:
    """Makes an inline table, ``{ key = value }``, as people write short tables."""
    import tomlkit

    table = tomlkit.inline_table()
    for key, value in values.items():
        table[key] = _inline(value) if isinstance(value, Mapping) else value
    return table
