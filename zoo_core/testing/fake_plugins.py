"""Installs plugins without pip, as a package and its ``dist-info`` in a folder on ``sys.path``.

To the import system and ``importlib.metadata`` they look like packages that pip installed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

__all__ = ["install"]


def install(
    folder: Path,
    distribution: str,
    source: str,
    *,
    entry_point: str | None = None,
    version: str = "1.0",
    registry: str | None = None,
    modules: Mapping[str, str] | None = None,
) -> str:
    """Writes a distribution with one plugin into a folder.

    Args:
        folder: folder on ``sys.path``, like a site-packages folder.
        distribution: name of the distribution (``"zoo-broken"``); the package is ``zoo_broken``.
        source: source code of the ``plugin`` module.
        entry_point: name of the entry point in the group ``zoo.plugins``; the distribution's without ``zoo-`` unless
            given.
        version: version of the distribution.
        registry: text of the plugin's registry file.
        modules: source code of other modules, by name (``{"model": …}``).

    Returns:
        The name of the package.
    """
    package = distribution.replace("-", "_")
    home = folder / package
    home.mkdir(parents=True, exist_ok=True)
    (home / "__init__.py").write_text("", encoding="utf-8")
    (home / "plugin.py").write_text(textwrap.dedent(source), encoding="utf-8")
    for name, text in (modules or {}).items():
        (home / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    if registry is not None:
        (home / "registry.toml").write_text(textwrap.dedent(registry), encoding="utf-8")
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    name = entry_point or distribution.removeprefix("zoo-")
    (info / "entry_points.txt").write_text(f"[zoo.plugins]\n{name} = {package}.plugin\n", encoding="utf-8")
    return package
