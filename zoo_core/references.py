"""What a user may call a model."""

from __future__ import annotations

from zoo_core import hub, registry
from zoo_core.entry import Entry

__all__ = ["entry_of"]


def entry_of(name: str, *, offline: bool | None = None) -> Entry:
    """The entry that a name means: an id of the registry, ``hf:org/repo[@revision]`` or a folder (``./folder``).

    Raises:
        UnknownNameError: no such id.
        WeightsError: the reference has no readable ``config.json``.
    """
    if name.startswith(("hf:", "local-dir:", ".", "~")) or "/" in name:
        return hub.open_reference(name, offline=offline)
    return registry.load().get(name)
