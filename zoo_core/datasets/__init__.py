"""Data sets: downloaded once and hashed, embedded in a package, or generated from a density that is known exactly.

``ZOO_DATA`` names a folder that already has the files (``mnist/``, ``fashion-mnist/``), ``ZOO_CACHE`` the one where
downloads are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_core.interfaces.dataset import DataSet

__all__ = ["load"]


def load(name: str, split: str = "train", *, classes: list[int] | None = None, n: int | None = None) -> DataSet:
    """A split of a registered data set.

    Args:
        name: see ``zoo datasets``.
        split: ``train`` or ``test``.
        classes: only examples with these labels.
        n: how many points of a generated density (10,000 unless given), or the first n of the others.

    Raises:
        UnknownNameError: no such data set.
        IncompatibleError: no such split or class.
        NetworkError: the files are not here and cannot be fetched; ChecksumError: they are not what they should be.
    """
    import torch

    from zoo_core import plugins
    from zoo_core.errors import IncompatibleError, PluginError, ZooError
    from zoo_core.interfaces.dataset import DataSet
    from zoo_core.plugins.catalogue import resolve

    if split not in ("train", "test"):
        raise IncompatibleError(f"split = {split!r}; expected train or test")
    component = plugins.load().catalogue.get("dataset", name)
    target = resolve(component.target)
    whose = f"data set {name!r} of {component.plugin}"
    try:
        data = target(split) if n is None else target(split, n)
    except ZooError:
        raise
    except Exception as err:  # a plugin's function may raise anything
        reason = " ".join(str(err).split())[:200]
        raise PluginError(
            f"{whose}: {type(err).__name__}: {reason}; expected a function (split, n=…) that returns a DataSet"
        ) from err
    if not isinstance(data, DataSet):
        raise PluginError(f"{whose} returned {type(data).__name__}; expected a DataSet")
    if classes is not None:
        data = data.only(classes)
    return data if n is None or n >= len(data) else data.take(torch.arange(n))
