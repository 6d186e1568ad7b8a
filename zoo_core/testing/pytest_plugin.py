"""Fixtures for those who test a plugin; pytest finds them where zoo-core is installed.

| fixture         | what it is                                                                                     |
|-----------------|------------------------------------------------------------------------------------------------|
| `zoo_site`      | a folder on `sys.path` into which fake plugins are installed; discovery begins and ends anew   |
| `zoo_install`   | `zoo_install("zoo-toy", source, registry=…, modules=…)`: a fake plugin in `zoo_site`           |
| `zoo_hub`       | a Hub on loopback, which this process talks to, with an empty cache                            |
| `zoo_tiny_data` | `zoo_tiny_data(space, n)`: a few generated examples for a sample space                         |

A test marked `needs_data("mnist")` is skipped where that data set is not on this machine; nothing is fetched.

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
    """Registers the marks of the kit."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    config.addinivalue_line("markers", "long: takes half a second or more")
    config.addinivalue_line("markers", "process: starts other processes")
    config.addinivalue_line("markers", "large: reads the weights of a large model")
    config.addinivalue_line("markers", "needs_data(name, ...): skipped where a data set is not on this machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test that needs a data set which would have to be fetched."""
    names = [name for mark in item.iter_markers("needs_data") for name in mark.args]
    if names:
        from zoo_core.testing import local_data

        for name in names:
            if reason := local_data.missing(name):
                pytest.skip(reason)


@pytest.fixture
def zoo_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like a site-packages, on the path: what `zoo_core.testing.fake_plugins.install` puts there is found.

    Discovery begins anew, before and after; strictness is off; modules of the folder are forgotten afterwards.
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
    """Installs a fake plugin; the arguments are those of `zoo_core.testing.fake_plugins.install` after the folder."""
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
    """A Hub on loopback that this process talks to, with an empty cache and no token.

    `huggingface_hub` reads its settings when it is imported: those that matter are replaced there too.  Another process
    is given `zoo_hub.environment(folder)`.
    """
    import huggingface_hub.constants as constants

    from zoo_core.testing.hub_standin import HubStandIn

    with HubStandIn() as hub:
        for name, value in hub.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


@pytest.fixture
def zoo_tiny_data() -> Callable[..., DataSet]:
    """`zoo_core.testing.tiny_data.tiny_data`: a few generated examples for a sample space, nothing downloaded."""
    from zoo_core.testing.tiny_data import tiny_data

    return tiny_data
