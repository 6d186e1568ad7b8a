"""A Hub on loopback with an empty cache."""

from __future__ import annotations

import pytest

from zoo_core.testing.hub_standin import HubStandIn


@pytest.fixture
def server(tmp_path, monkeypatch):
    with HubStandIn() as standin:
        standin.use_here(monkeypatch, tmp_path / "hf")
        yield standin
