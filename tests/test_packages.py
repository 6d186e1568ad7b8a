"""What every package says of itself on an index: who wrote it, what it is, and which of our others it works with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from zoo_core import __version__

ROOT = Path(__file__).parent.parent
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_metadata(folder):
    said = project(folder)
    assert said["name"] == (folder.name if folder != ROOT else "zoo-core")
    assert said["authors"]
    assert said["keywords"]
    assert (folder / said["readme"]).read_text(encoding="utf-8").startswith("# ")
    assert said["dynamic"] == ["version"]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_every_version_is_that_of_the_core(folder):
    source = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["version"]["path"]
    assert (folder / source).resolve() == ROOT / "zoo_core" / "__init__.py"


@pytest.mark.parametrize("folder", PROJECTS[1:], ids=lambda folder: folder.name)
def test_our_packages_name_the_versions_they_work_with(folder):
    ours = [d for d in project(folder)["dependencies"] if d.startswith("zoo-")]
    assert any(d.startswith("zoo-core") for d in ours)
    major, minor, _ = __version__.split(".")
    for dependency in ours:
        assert re.fullmatch(rf"zoo-[a-z-]+>={major}\.{minor},<{major}\.{int(minor) + 1}", dependency)


def test_all_is_every_plugin():
    """``zoo-core[all]``; the packages that register nothing come with those that need them."""
    wanted = {re.split("[>=<]", d)[0] for d in project(ROOT)["optional-dependencies"]["all"]}
    registering = {folder.name for folder in PROJECTS[1:] if "entry-points" in project(folder)}
    assert wanted - {"zoo-core[datasets,train,plot,table,audio]"} == registering
