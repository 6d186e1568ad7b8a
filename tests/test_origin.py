"""Where an entry came from is a type, and trust hangs on it alone; a name is looked up once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import zoo_core
from zoo_core import fetching, loading, lookup, registry
from zoo_core.errors import WeightsError
from zoo_core.fetching import bundled
from zoo_core.fetching.references import entry_of
from zoo_core.loading import weights_file
from zoo_core.registry.entry import FromFolder, FromHub, FromRegistry
from zoo_core.saving import snapshot
from zoo_core.testing.hub_standin import HubStandIn

RING = "gmm-eight-gaussians"


@pytest.fixture
def server(tmp_path, monkeypatch):
    with HubStandIn() as standin:
        standin.use_here(monkeypatch, tmp_path / "hf")
        folder = bundled.folder_of(registry.load().get(RING))
        assert folder is not None
        standin.add_repo("org/ring", {p.name: p.read_bytes() for p in folder.iterdir()})
        yield standin


@pytest.fixture
def ring(tmp_path) -> Path:
    """The ring's bundled snapshot, copied to a folder of the same name as its id."""
    folder = bundled.folder_of(registry.load().get(RING))
    assert folder is not None
    return Path(shutil.copytree(folder, tmp_path / RING))


@pytest.fixture
def rehearsed(monkeypatch) -> list[str]:
    """The ids of the models whose config was rehearsed."""
    seen: list[str] = []
    monkeypatch.setattr(loading, "rehearse", lambda entry, *rest: seen.append(entry.id))
    return seen


def test_an_entry_knows_where_it_came_from(server, ring, tmp_path, monkeypatch, fresh_plugins):
    known = entry_of(RING)
    assert known.origin == FromRegistry(registry.central_file())
    assert entry_of(str(ring)).origin == FromFolder(ring)
    assert entry_of(f"local-dir:{ring}").origin == FromFolder(ring)
    commit = server.repos["org/ring"].commits[-1][0]
    assert entry_of("hf:org/ring").origin == FromHub("org/ring", commit)
    assert entry_of("hf:org/ring").origin.words() == f"hf:org/ring@{commit}"
    overlay = tmp_path / "mine.toml"
    overlay.write_text(
        f'schema = 1\n[models.mine]\nfamily = "{known.family}"\nplugin = "{known.plugin}"\n'
        f'summary = "mine"\nconfig = {{ shape = [2], components = 8 }}\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(overlay))
    registry.load.cache_clear()
    assert entry_of("mine").origin == FromRegistry(overlay)
    assert [entry_of(name).vouched_for for name in (RING, "mine", str(ring), "hf:org/ring")] == [
        True,
        True,
        False,
        False,
    ]


def test_trust_hangs_on_where_an_entry_came_from(server, ring, rehearsed, monkeypatch):
    """Not on the shape of a name, not on where the weights are read, not on what happens to be on the disk."""
    monkeypatch.chdir(ring.parent)  # a folder called as the model is
    zoo_core.load(RING)
    zoo_core.load(RING, weights_from=str(ring))
    assert rehearsed == []
    zoo_core.load("hf:org/ring")
    zoo_core.load(f"./{RING}")
    zoo_core.load(f"./{RING}", weights_from=str(ring))
    assert rehearsed == ["hf:org/ring", RING, RING]
    entry = entry_of(f"./{RING}")
    other = shutil.move(ring, ring.parent / "elsewhere")
    zoo_core.load(entry, weights_from=str(other))  # its folder is gone, and nobody vouches for it still
    assert rehearsed[3:] == [RING]
    with pytest.raises(WeightsError, match=r"no file 'model\.safetensors' in"):
        zoo_core.load(entry)


def test_a_folder_does_not_say_that_it_is_bundled(ring):
    """What a folder's config says of a package or a repository is not believed."""
    config = json.loads((ring / "config.json").read_text(encoding="utf-8"))
    config["weights"] |= {"bundled": True, "repo_id": "org/ring", "revision": "0" * 40}
    (ring / "config.json").write_text(json.dumps(config), encoding="utf-8")
    entry = entry_of(str(ring))
    assert entry.weights is not None
    assert (entry.weights.bundled, entry.weights.repo_id, entry.weights.revision) == (False, "", "")
    assert lookup.where(entry) == "in the folder"
    assert not bundled.has_weights(entry)
    assert fetching.fetch(entry).came_from == "folder"
    with pytest.raises(WeightsError, match=rf"{RING} is in no repository on the Hub; it is in {ring}"):
        fetching.fetch(entry, weights_from="hub")


def test_a_strangers_config_is_rehearsed_before_its_tensors_are_read(ring, monkeypatch):
    config = json.loads((ring / "config.json").read_text(encoding="utf-8"))
    config["config"]["components"] = 9
    (ring / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def never(*_: object, **__: object) -> dict[str, object]:
        raise AssertionError("the tensors were read")

    monkeypatch.setattr(weights_file, "tensors", never)
    with pytest.raises(WeightsError, match="does not fit"):
        zoo_core.load(str(ring))


@pytest.mark.parametrize(
    "arguments",
    [("info",), ("load",), ("eval", "--metric", "nll", "-n", "10"), ("samplers", "--for"), ("plot",)],
    ids=lambda arguments: arguments[0],
)
def test_a_name_is_looked_up_once(server, run, arguments):
    """A branch of the Hub is asked for its commit once in a command."""
    verb, *options = arguments
    command = (verb, *options, "hf:org/ring") if options == ["--for"] else (verb, "hf:org/ring", *options)
    code, _, err = run(*command)
    assert code == 0, err
    asked = [path for _, path in server.requests if "/revision/main" in path or path.endswith("/api/models/org/ring")]
    assert len(asked) == 1, server.requests


def test_an_entry_can_be_loaded_as_it_is():
    """What a program has looked up, or made, is not looked up again."""
    entry = registry.load().get(RING)
    assert zoo_core.load(replace(entry, summary="mine")).entry.summary == "mine"
    assert zoo_core.load(replace(entry, origin=None)).entry.origin is None


def test_saving_keeps_nothing_of_the_origin(ring, tmp_path):
    model = zoo_core.load(str(ring))
    weights = snapshot.save(tmp_path / "again", model.entry, model.state_dict())
    text = (tmp_path / "again" / "config.json").read_text(encoding="utf-8")
    assert str(ring) not in text
    assert "origin" not in json.loads(text)
    assert not weights.bundled
