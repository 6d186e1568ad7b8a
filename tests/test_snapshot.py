"""A model as a folder: the same bytes every time, whole or not at all, and loadable by its path."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import fetching, registry
from zoo_core.errors import ChecksumError, PluginError, WeightsError
from zoo_core.fetching import bundled
from zoo_core.saving import snapshot

NAME = "gmm-eight-gaussians"


@pytest.fixture
def saved(tmp_path):
    model = zoo_core.load(NAME)
    weights = snapshot.save(tmp_path / "ring", model.entry, model.state_dict())
    return tmp_path / "ring", weights


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    folder, weights = saved
    model = zoo_core.load(str(folder))
    again = snapshot.save(tmp_path / "again" / "ring", replace(model.entry, id=NAME), model.state_dict())
    assert contents(folder) == contents(tmp_path / "again" / "ring")
    assert again == weights
    assert weights.sha256 == registry.load().get(NAME).weights.sha256


def test_a_folder_loads_by_its_path(saved, monkeypatch):
    folder, _ = saved
    monkeypatch.chdir(folder.parent)
    bundled = zoo_core.sample(NAME, 5, seed=3)
    for name in ("./ring", str(folder), "local-dir:ring"):
        assert torch.equal(zoo_core.sample(name, 5, seed=3), bundled)
    entry = zoo_core.load("./ring").entry
    assert entry.id == "ring"
    assert entry.evaluations == registry.load().get(NAME).evaluations


def test_saving_replaces_and_leaves_nothing_beside(saved):
    folder, _ = saved
    (folder / "stale.txt").write_text("old", encoding="utf-8")
    model = zoo_core.load(NAME)
    snapshot.save(folder, model.entry, model.state_dict())
    assert sorted(contents(folder)) == ["README.md", "config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["ring"]


def test_a_changed_byte_in_a_folder_is_seen(saved):
    folder, _ = saved
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ChecksumError, match="sha256"):
        zoo_core.load(str(folder))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


BAD_CONFIGS = {
    "unknown family": ({"family": "nowhere"}, PluginError, "zoo-gmm registers no family 'nowhere'"),
    "code in the config": ({"factory": "os:system", "config": {"command": "touch owned"}}, WeightsError, "command"),
    "another family": ({"family": "ddpm"}, WeightsError, "'ddpm' refuses this config"),
    "plugin that is not here": ({"plugin": "zoo-elsewhere", "family": "abc"}, PluginError, "pip install zoo-else"),
    "config the class refuses": ({"config": {"shape": [2]}}, WeightsError, "refuses this config: .*components"),
    "config of another size": ({"config": {"shape": [3], "components": 8}}, WeightsError, "does not fit"),
    "weights that escape": (
        {"weights": {"file": "../model.safetensors", "sha256": "0" * 64, "size": 1}},
        WeightsError,
        "weights.file: '../model.safetensors' is not a plain file name",
    ),
    "newer schema": ({"schema": 7}, WeightsError, "7 is not supported"),
    "no weights": ({"weights": None}, WeightsError, "weights.file: missing"),
}


@pytest.mark.parametrize("kind", BAD_CONFIGS)
def test_a_bad_config_is_refused(saved, kind, monkeypatch, tmp_path):
    changes, error, message = BAD_CONFIGS[kind]
    monkeypatch.chdir(tmp_path)
    edit(saved[0], **changes)
    with pytest.raises(error, match=message):
        zoo_core.load("./ring")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("text", ["", "[", "[]", "3", '"x"', "\x00", "[" * 100_000, '{"weights": 3}'])
def test_no_json_is_a_clear_error(saved, text):
    (saved[0] / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"config\.json"):
        zoo_core.load(str(saved[0]))


def test_an_endless_config_is_not_read(saved):
    with open(saved[0] / "config.json", "wb") as f:
        f.truncate(1 << 40)
    with pytest.raises(WeightsError, match="a config has at most"):
        zoo_core.load(str(saved[0]))


SAVE_FOREVER = """
import sys
from pathlib import Path
import zoo_core
from zoo_core.saving import snapshot
model = zoo_core.load("gmm-eight-gaussians")
print("ready", flush=True)
while True:
    snapshot.save(Path(sys.argv[1]), model.entry, model.state_dict())
"""


def test_killed_while_saving_leaves_a_whole_folder_or_none(tmp_path):
    """Ten processes, killed a few milliseconds apart: whatever stands at the path afterwards is complete."""
    home = tmp_path / "models"
    home.mkdir()
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(home / "ring")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGSTOP)
    for _ in range(10):
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.003)
        os.kill(process.pid, signal.SIGSTOP)
        frozen = tmp_path / "frozen"
        shutil.copytree(home, frozen)
        if (frozen / "ring").exists():
            assert zoo_core.load(str(frozen / "ring")).components == 8
        shutil.rmtree(frozen)
    process.kill()
    process.communicate()


def test_every_bundled_snapshot_is_what_the_registry_says():
    """config.json repeats the registry, the card has the hash, and the numbers of the card are the registry's."""
    entries = [e for e in registry.load().entries.values() if e.weights and e.weights.bundled]
    assert len(entries) >= 7
    for entry in entries:
        folder = bundled.folder_of(entry)
        assert folder is not None, entry.id
        assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
        fetched = fetching.fetch(entry, weights_from="bundled")
        assert fetched.size < 10 * 2**20
        assert (folder / "README.md").read_text(encoding="utf-8") == snapshot.card(entry), entry.id
        assert (folder / "config.json").read_text(encoding="utf-8") == snapshot.config(entry), entry.id
