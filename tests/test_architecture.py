"""How the core is built: rooms on floors, imports that only lead down, modules of a size that is read in one go."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "zoo_core"
PLUGINS = CORE.parent / "plugins"

FLOORS = (
    {"errors", "installed", "randomness"},
    {"files", "paths", "registry"},
    {"interfaces", "plugins"},
    {"fetching", "pictures", "processes", "samplers"},
    {"loading", "lookup"},
    {"datasets", "sampling", "saving"},
    {"coding", "evaluation", "filling", "plots", "sharding", "training", "translation"},
    {"scoring"},
    {"authoring", "estimator", "redrawing", "testing"},
    {"cli"},
)
"""The rooms (packages and single modules) of ``zoo_core``, from the ground up; CONTRIBUTING.md shows the same."""

LONGEST = 300
"""Lines of a module."""

EITHER = {"zoo_core"}
"""The package itself: its names arrive when they are used, so that importing it imports nothing."""


def modules(root: Path) -> dict[str, Path]:
    """The modules under a package, by their dotted names; the template of a new plugin is none of them."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        if "template" not in path.parts:
            name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ``known`` that a module imports, anywhere in it; names for the type checker only are none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from ({whole, node.module} & known.keys() if whole not in known else {whole})
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def room(module: str) -> str:
    """The first part of a module's name below the package."""
    return module.split(".")[1] if "." in module else module


def test_every_room_is_on_one_floor():
    rooms = {room(name) for name in modules(CORE)} - EITHER
    placed = [name for floor in FLOORS for name in floor]
    assert sorted(placed) == sorted(rooms)


def test_imports_lead_to_lower_floors_only():
    known = modules(CORE)
    height = {name: level for level, floor in enumerate(FLOORS) for name in floor}
    wrong = [
        f"{name} imports {other}"
        for name, path in known.items()
        for other in imports(path, known)
        if not EITHER & {name, other} and room(name) != room(other) and height[room(other)] >= height[room(name)]
    ]
    assert wrong == []


@pytest.mark.parametrize("root", [CORE, *sorted(PLUGINS.glob("*/src/zoo_*"))], ids=lambda path: path.name)
def test_imports_form_no_circle(root):
    known = modules(root)
    graph = {name: set(imports(path, known)) - {name} - EITHER for name, path in known.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_module_is_too_long_to_be_read_in_one_go():
    every = [path for root in (CORE, *PLUGINS.glob("*/src/zoo_*")) for path in modules(root).values()]
    long = {str(p.relative_to(CORE.parent)): n for p in every if (n := len(p.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_a_plugin_imports_the_core_and_the_networks_but_no_other_family():
    shared = {"zoo_core", "zoo_nets"}
    wrong = []
    for source in sorted(PLUGINS.glob("*/src/zoo_*")):
        for path in modules(source).values():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                others = {n.split(".")[0] for n in names if n.startswith("zoo_")} - shared - {source.name}
                wrong += [f"{path.relative_to(PLUGINS)} imports {other}" for other in others]
    assert wrong == []
