"""What all tests have in common: no network but loopback, one seed, and marks that sort them into tiers.

| tier         | runs                                                                     |
|--------------|--------------------------------------------------------------------------|
| `make check` | tests of less than half a second that start no process and load no large |
|              | model                                                                    |
| `make test`  | all but the slow ones                                                    |
| `make slow`  | those that take more than a few seconds                                  |

`process` and `large` are found here: a test file that speaks of `subprocess`, a fixture that starts a shell, an id of a
large model among the arguments.  A test may carry the mark itself too.  `long` is written at the tests.
"""

from __future__ import annotations

import os
import runpy
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GUARD = HERE / "tests" / "no_network"
LARGE = 150_000
"""Numbers in a model above which a test that reads its weights is large."""

runpy.run_path(str(GUARD / "sitecustomize.py"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH", "")]))


@cache
def large_models() -> frozenset[str]:
    """The ids of the zoo's own large models."""
    from zoo_core import registry

    return frozenset(entry.id for entry in registry.load().find() if entry.parameters > LARGE)


@cache
def starts_processes(path: Path) -> bool:
    """Whether a test file starts other programs itself."""
    text = path.read_text(encoding="utf-8")
    return "import subprocess" in text or "torchrun" in text


def speaks_of_a_large_model(item: pytest.Item) -> bool:
    """Whether an argument or the source of a test names a large model."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec is not None else ()
    named = {getattr(value, "id", value) for value in values if isinstance(getattr(value, "id", value), str)}
    if named & large_models():
        return True
    code = getattr(getattr(item, "function", None), "__code__", None)
    return code is not None and any(isinstance(c, str) and c in large_models() for c in code.co_consts)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the items of the tiers."""
    shells = {"zoo", "zoo_json", "author"}
    for item in items:
        if shells & set(getattr(item, "fixturenames", ())) or starts_processes(item.path):
            item.add_marker("process")
        if speaks_of_a_large_model(item):
            item.add_marker("large")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seeds torch before every test and its fixtures, so that new weights do not depend on which tests ran before."""
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)
