"""Computes the fingerprint of a source: one SHA-256 over the names and contents of its files.

A folder and a zip archive of it have the same fingerprint.  Times, permissions and hidden files do not count.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from zoo_core.datasets.sources.tree import Tree

__all__ = ["fingerprint"]

_PART = 2**20


def fingerprint(source: str | Path) -> str:
    """Returns the fingerprint of a file, a folder, an archive, or of a set on the Hub, 64 hex digits.

    Raises:
        DataError: the archive is damaged, or leads out of its folder.
    """
    if str(source).startswith("hf:"):
        from zoo_core.datasets.sources.hub_sets import fingerprint as of_hub_set

        return of_hub_set(str(source))
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() != ".zip":
        return _hash(path.parent, path.name).hexdigest()
    tree = Tree.of(path)
    whole = hashlib.sha256()
    for name in tree.names:
        digest = hashlib.sha256()
        with tree.open(name) as file:
            while part := file.read(_PART):
                digest.update(part)
        whole.update(f"{name}\n{digest.hexdigest()}\n".encode())
    return whole.hexdigest()


def _hash(folder: Path, name: str) -> hashlib._Hash:
    with (folder / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256")
