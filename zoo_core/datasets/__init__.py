"""Data sets: downloaded once and hashed, embedded in a package, or generated from a density that is known exactly.

``ZOO_DATA`` names a folder that already has the files (``mnist/``, ``fashion-mnist/``), ``ZOO_CACHE`` the one where
downloads are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_core.interfaces.dataset import DataSet

__all__ = ["BUILTIN", "load"]

BUILTIN = {
    "mnist": ("zoo_core.datasets.images:mnist", "handwritten digits, 28×28, 60,000 and 10,000 (LeCun et al. 1998)"),
    "fashion-mnist": ("zoo_core.datasets.images:fashion_mnist", "clothes, 28×28, 60,000 and 10,000 (Xiao et al. 2017)"),
    "digits": ("zoo_core.datasets.images:digits", "handwritten digits, 8×8 in 17 levels, 1,437 and 360 (scikit-learn)"),
    "eight-gaussians": ("zoo_core.datasets.densities:eight_gaussians", "a ring of 8 modes, radius 2, σ = 0.02"),
    "25-grid": ("zoo_core.datasets.densities:grid_25", "5 × 5 modes, two apart, σ = 0.05"),
    "two-moons": ("zoo_core.datasets.densities:two_moons", "two half circles, σ = 0.05"),
    "swiss-roll": ("zoo_core.datasets.densities:swiss_roll", "a spiral strip, σ = 0.2"),
    "two-spirals": ("zoo_core.datasets.densities:two_spirals", "two spirals, σ = 0.1"),
    "checkerboard": ("zoo_core.datasets.densities:checkerboard", "8 squares of 4 × 4"),
    "pinwheel": ("zoo_core.datasets.densities:pinwheel", "five bent arms"),
    "two-gaussians-1d": ("zoo_core.datasets.densities:two_gaussians_1d", "0.3·N(−2, 0.5²) + 0.7·N(2, 0.7²)"),
}
"""The data sets of the core: name → (target, one line)."""


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
    from zoo_core.catalogue import resolve
    from zoo_core.errors import IncompatibleError, PluginError, ZooError
    from zoo_core.interfaces.dataset import DataSet

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
