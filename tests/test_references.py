"""The names that a model may be called by, and the Hub model that is loaded twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import registry
from zoo_core.errors import AccessError, NetworkError, PluginError, UnknownNameError, WeightsError
from zoo_core.fetching import bundled
from zoo_core.fetching.references import entry_of
from zoo_core.testing.hub_standin import HubStandIn

NAME = "gmm-eight-gaussians"


def snapshot_files() -> dict[str, bytes]:
    folder = bundled.folder_of(registry.load().get(NAME))
    assert folder is not None
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def server(tmp_path, monkeypatch):
    with HubStandIn() as standin:
        standin.use_here(monkeypatch, tmp_path / "hf")
        yield standin


def test_a_repository_by_name_branch_tag_and_commit(server):
    first = server.add_repo("org/ring", snapshot_files())
    server.repos["org/ring"].tags["v1"] = first
    server.add_repo("org/ring", snapshot_files() | {"README.md": b"newer"})
    second = server.repos["org/ring"].commits[-1][0]
    for reference, commit in (("", second), ("@main", second), ("@v1", first), (f"@{first}", first)):
        model = zoo_core.load(f"hf:org/ring{reference}")
        assert model.entry.weights.revision == commit
    assert torch.equal(zoo_core.sample("hf:org/ring", 3), zoo_core.sample(NAME, 3))


def test_a_commit_needs_no_second_request_and_a_branch_one(server):
    commit = server.add_repo("org/ring", snapshot_files())
    zoo_core.load(f"hf:org/ring@{commit}")
    zoo_core.load("hf:org/ring")
    server.requests.clear()
    zoo_core.load(f"hf:org/ring@{commit}", offline=True)
    with pytest.raises(NetworkError, match="offline, and org/ring@main is not in the cache"):
        zoo_core.load("hf:org/ring", offline=True)
    assert server.requests == []


@pytest.mark.parametrize("name", ["hf:org", "hf:a/b/c", "hf:../x", "hf:", "hf:org/..", "hf:o rg/x", "hf:org/x@@"])
def test_what_is_no_repository(server, name):
    with pytest.raises((UnknownNameError, WeightsError, AccessError)):
        zoo_core.load(name)


def test_missing_private_and_no_zoo_model(server):
    with pytest.raises(AccessError, match="does not exist, or is private or gated"):
        zoo_core.load("hf:org/none")
    server.add_repo("org/other", {"config.json": b'{"architectures": ["Bert"]}'})
    with pytest.raises(WeightsError, match=r"weights\.file: missing; expected the config\.json of a model of the zoo"):
        zoo_core.load("hf:org/other")
    server.add_repo("org/empty", {"README.md": b"x"})
    with pytest.raises(WeightsError, match=r"has no file 'config\.json'"):
        zoo_core.load("hf:org/empty")
    with pytest.raises(WeightsError, match="has no revision 'v9'"):
        zoo_core.load("hf:org/other@v9")


def test_code_that_a_repository_names_is_not_run(server, tmp_path, monkeypatch):
    """What is built is the class that an installed plugin registered for the family, whatever else the config says."""
    monkeypatch.chdir(tmp_path)
    named = {"factory": "os:system", "target": "os:system", "config": {"command": "touch owned"}}
    config = json.loads(snapshot_files()["config.json"]) | named
    server.add_repo("org/bad", snapshot_files() | {"config.json": json.dumps(config).encode()})
    with pytest.raises(WeightsError, match=r"refuses this config: .*command"):
        zoo_core.load("hf:org/bad")
    assert not (tmp_path / "owned").exists()
    config |= {"family": "os"}
    server.add_repo("org/worse", snapshot_files() | {"config.json": json.dumps(config).encode()})
    with pytest.raises(PluginError, match="registers no family 'os'"):
        zoo_core.load("hf:org/worse")
    assert not any("org/worse" in path and "model.safetensors" in path for _, path in server.requests)


def test_a_folder_or_a_repository_needs_its_prefix():
    with pytest.raises(UnknownNameError, match=r"use hf:org/ring for a repository on the Hub, or \./org/ring"):
        entry_of("org/ring")
    with pytest.raises(WeightsError, match=r"no file 'config\.json' in"):
        entry_of("./nowhere")


@pytest.mark.parametrize("name", ["ddpm-mnits", "DDPM-MNIST", "", " ", "ddpm-mnist\n", "models.ddpm-mnist", "ｄdpm"])
def test_no_such_model(name):
    with pytest.raises(UnknownNameError, match="unknown model"):
        entry_of(name)


OVERLAY = """
schema = 1
[models.ring-from-hub]
family = "gmm"
plugin = "zoo-gmm"
summary = "the ring, from the Hub"
config = {config}
[models.ring-from-hub.sampler]
name = "direct"
[models.ring-from-hub.weights]
file = "model.safetensors"
sha256 = "{sha256}"
size = {size}
repo_id = "org/ring"
revision = "{commit}"
"""


@pytest.mark.slow
def test_a_second_load_of_a_hub_model_makes_no_request(server, zoo, tmp_path):
    """The whole command line, twice, on the stand-in's log."""
    weights = registry.load().get(NAME).weights
    commit = server.add_repo("org/ring", snapshot_files())
    overlay = Path(tmp_path / "overlay.toml")
    text = OVERLAY.format(
        config="{shape = [2], components = 8}", sha256=weights.sha256, size=weights.size, commit=commit
    )
    overlay.write_text(text, encoding="utf-8")
    environment = server.environment(tmp_path / "hf") | {"ZOO_REGISTRY": str(overlay)}
    first = zoo("load", "ring-from-hub", "--json", **environment)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["weights"]["from"] == "hub"
    assert len(server.downloads()) == 1
    server.requests.clear()
    second = zoo("load", "ring-from-hub", "--json", **environment)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["weights"] | {"from": "hub"} == json.loads(first.stdout)["weights"]
    assert json.loads(second.stdout)["weights"]["from"] == "cache"
    assert server.requests == []
    offline = zoo("load", "ring-from-hub", "--offline", **environment)
    assert offline.returncode == 0, offline.stderr
    assert server.requests == []
