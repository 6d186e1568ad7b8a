"""A Hub on loopback with an empty cache."""

from __future__ import annotations

import pytest

from zoo_core.testing.hub_standin import HubStandIn


@pytest.fixture
def server(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    with HubStandIn() as standin:
        for name, value in standin.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield standin
