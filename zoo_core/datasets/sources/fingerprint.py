"""Computes the fingerprint of a source: one SHA-256 over the names and contents of its files.

A folder and a zip archive of it have the same fingerprint.  Times, permissions and hidden files do not count.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from zoo_core.datasets.sources.tree import Tree

__all__ = ["fingerprint"]


def fingerprint(source: str | Path) -> str:
    """Returns the fingerprint of a file, a folder, an archive, or of a set on the Hub, 64 hex digits.

    Raises:
        DataError: the archive is damaged, or leads out of its folder.
    """
    if str(source).startswith("hf:"):
        from zoo_core.datasets.sources.hub_sets import fingerprint as of_hub_set

        return of_hub_set(str(source))
    path = Path(source).expanduser()
    if path.is_file():
        known = path.stat()
        return _of_files(path, ((path.name, known.st_size, known.st_mtime_ns),))
    tree = Tree.of(path)
    stats = ((name, (path / name).stat()) for name in tree.names)
    return _of_files(path, tuple((name, known.st_size, known.st_mtime_ns) for name, known in stats))


@lru_cache(maxsize=8)
def _of_files(path: Path, known: tuple[tuple[str, int, int], ...]) -> str:
    """Hashes a file, an archive or a folder; anew once a name, a size or a time in ``known`` has changed."""
    if path.is_file() and path.suffix.lower() != ".zip":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    tree = Tree.of(path)
    whole = hashlib.sha256()
    for name in tree.names:
        with tree.open(name) as file:
            digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        whole.update(f"{name}\n{digest.hexdigest()}\n".encode())
    return whole.hexdigest()
