"""Data sets: downloaded once and verified, embedded in a package, generated from a known density, or a reader's own.

``ZOO_DATA`` names a folder that already has the files (``mnist/``, ``fashion-mnist/``), ``ZOO_CACHE`` the folder for
downloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_core.interfaces.dataset import DataSet

__all__ = ["load"]


def load(
    name: str,
    split: str = "train",
    *,
    classes: list[int] | None = None,
    n: int | None = None,
    path: str | None = None,
    **reading: Any,
) -> DataSet:
    """Loads a split of a registered data set, or of a reader's own data.

    Args:
        name: registered name of the data set (``zoo datasets`` lists them), or any name with ``path``.
        split: ``train`` or ``test``.
        classes: labels of the examples to keep; all unless given.
        n: number of points to generate from a density (10,000 unless given), or of first examples to keep of a file.
        path: path of the reader's own data: a folder, an archive, a file, or ``hf:ORG/SET@REVISION``.
        reading: how they are read: ``reader``, ``sha256``, ``held_out`` and ``missing`` of
            :func:`zoo_core.datasets.sources.load`.

    Raises:
        UnknownNameError: there is no such data set.
        IncompatibleError: there is no such split or class.
        NetworkError: the files are not found locally and cannot be fetched.
        ChecksumError: the files are not the published ones.
    """
    from zoo_core import plugins
    from zoo_core.errors import IncompatibleError, PluginError, ZooError
    from zoo_core.interfaces.dataset import DataSet
    from zoo_core.plugins.catalogue import resolve

    if split not in ("train", "test"):
        raise IncompatibleError(f"split = {split!r}; expected train or test")
    if path is not None:
        from zoo_core.datasets import sources

        return _part(sources.load(name, split, path, **reading), classes, n)
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
    return _part(data, classes, n)


def _part(data: DataSet, classes: list[int] | None, n: int | None) -> DataSet:
    """Keeps the examples of some classes, and at most the first n."""
    import torch

    if classes is not None:
        data = data.only(classes)
    return data if n is None or n >= len(data) else data.take(torch.arange(n))
