"""Provides pytest fixtures for testing a plugin; pytest finds them if zoo-core is installed.

| fixture         | what it is                                                                                     |
|-----------------|------------------------------------------------------------------------------------------------|
| `zoo_site`      | folder on `sys.path` for fake plugins; the cache of plugins is cleared before and after        |
| `zoo_install`   | function that installs a fake plugin: `zoo_install("zoo-toy", source, registry=…, modules=…)`  |
| `zoo_hub`       | Hub on a local port, which this process uses, with an empty cache                              |
| `zoo_tiny_data` | function that generates a few examples for a sample space: `zoo_tiny_data(space, n)`           |

A test marked `needs_data("mnist")` is skipped if that data set is not on this machine; nothing is downloaded.

pytest imports this module in every project on the machine, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zoo_core.interfaces.dataset import DataSet
    from zoo_core.testing.hub_standin import HubStandIn

__all__ = ["zoo_hub", "zoo_install", "zoo_site", "zoo_tiny_data"]


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marks of the conformance kit."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    config.addinivalue_line("markers", "long: takes half a second or more")
    config.addinivalue_line("markers", "process: starts other processes")
    config.addinivalue_line("markers", "large: reads the weights of a large model")
    config.addinivalue_line("markers", "needs_data(name, ...): skipped if a data set is not on this machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test that needs a data set which would have to be downloaded."""
    names = [name for mark in item.iter_markers("needs_data") for name in mark.args]
    if names:
        from zoo_core.testing import local_data

        for name in names:
            if reason := local_data.missing(name):
                pytest.skip(reason)


@pytest.fixture
def zoo_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes a folder on `sys.path`, like a site-packages folder, for `zoo_core.testing.fake_plugins.install`.

    The cache of plugins is cleared before and after the test, `ZOO_STRICT_PLUGINS` is unset, and modules of the folder
    are removed from `sys.modules` afterwards.
    """
    import sys

    from zoo_core import plugins

    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("ZOO_STRICT_PLUGINS", raising=False)
    plugins.reset()
    yield folder
    plugins.reset()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def zoo_install(zoo_site: Path) -> Callable[..., str]:
    """Returns a function that installs a fake plugin.

    Its arguments are those of `zoo_core.testing.fake_plugins.install` without the folder.
    """
    import importlib

    from zoo_core import plugins
    from zoo_core.testing import fake_plugins

    def install(distribution: str, source: str, **options: Any) -> str:
        package = fake_plugins.install(zoo_site, distribution, source, **options)
        importlib.invalidate_caches()
        plugins.reset()
        return package

    return install


@pytest.fixture
def zoo_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """Starts a Hub on a local port that this process uses, with an empty cache and no token.

    `huggingface_hub` reads its settings when it is imported, so the relevant constants are replaced too.  Another
    process uses the Hub with the variables of `zoo_hub.environment(folder)`.
    """
    from zoo_core.testing.hub_standin import HubStandIn

    with HubStandIn() as hub:
        hub.use_here(monkeypatch, tmp_path / "hf")
        yield hub


@pytest.fixture
def zoo_tiny_data() -> Callable[..., DataSet]:
    """Returns `zoo_core.testing.tiny_data.tiny_data`, which generates a few examples for a sample space."""
    from zoo_core.testing.tiny_data import tiny_data

    return tiny_data
