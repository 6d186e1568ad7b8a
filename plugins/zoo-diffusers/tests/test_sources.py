"""Registry entries of other people's repositories: the first load pins, and later ones are held to it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import fetching, lookup, registry
from zoo_core.cli import main
from zoo_core.errors import ChecksumError, NetworkError, WeightsError
from zoo_core.fetching import pins
from zoo_core.registry import schema
from zoo_diffusers.export import export
from zoo_diffusers.model import DiffusersPipeline

CONFIG = {
    "unet": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": [8],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
        "norm_num_groups": 4,
    },
    "scheduler": {"_class_name": "DDPMScheduler", "num_train_timesteps": 20, "beta_end": 0.9},
}
ENTRIES = """
schema = 1
[models.theirs]
family = "diffusers-pipeline"
plugin = "zoo-diffusers"
source = "hf:org/pipe"
summary = "somebody's pipeline"
license = "Apache-2.0"
sampler = { name = "ddim", steps = 3 }
[models.at-a-commit]
family = "diffusers-pipeline"
plugin = "zoo-diffusers"
source = "hf:org/pipe@COMMIT"
summary = "a commit of it"
[models.of-another-family]
family = "ddpm"
plugin = "zoo-ddpm"
source = "hf:org/pipe"
summary = "what it is not"
"""


def zoo(*arguments: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def files(seed: int, folder: Path) -> dict[str, bytes]:
    """A small pipeline with arbitrary weights."""
    model, source = DiffusersPipeline(**CONFIG), torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.data.normal_(std=0.1, generator=source)
    folder.mkdir()
    export(model, CONFIG, folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def repository(server, tmp_path, monkeypatch):
    """Entries of a repository on the stand-in Hub, in the user's registry; a function that commits other weights."""

    def commit(seed: int) -> str:
        return server.add_repo("org/pipe", files(seed, tmp_path / f"pipeline-{seed}"))

    first = commit(0)
    mine = tmp_path / "mine.toml"
    mine.write_text(ENTRIES.replace("COMMIT", first))
    monkeypatch.setenv("ZOO_REGISTRY", str(mine))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    registry.load.cache_clear()
    yield commit, first
    registry.load.cache_clear()


@pytest.mark.long
def test_the_first_load_pins_and_the_repository_may_change(server, repository, capsys):
    commit, first = repository
    assert lookup.info("theirs")["weights_are"] == "on the Hub, not pinned"
    assert server.requests == []  # nobody is asked before a load
    assert zoo("load", "theirs") == 0
    assert str(pins.file_of("hf:org/pipe")) in capsys.readouterr().out
    model = zoo_core.load("theirs")
    entry = model.entry
    assert (entry.id, entry.license, entry.sampler.name, entry.sampler.options) == (
        "theirs",
        "Apache-2.0",
        "ddim",
        {"steps": 3},
    )
    assert not entry.vouched_for
    pin = json.loads(pins.file_of("hf:org/pipe").read_text())
    assert pin["revision"] == first
    assert [one["sha256"] for one in pin["files"]] == [one.sha256 for one in entry.weights.files]
    before = model.state_dict()
    assert commit(1) != first
    shutil.rmtree(fetching.cache_dir())  # a pin does not hang on the cache
    again = zoo_core.load("theirs")
    assert again.entry.weights.revision == first
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in before.items())
    assert not torch.equal(zoo_core.load("hf:org/pipe").state_dict()["conv_in.weight"], before["conv_in.weight"])
    pins.file_of("hf:org/pipe").unlink()
    assert zoo_core.load("theirs").entry.weights.revision != first  # a deleted pin is made anew


def test_a_hub_that_sends_other_bytes_for_a_pinned_commit_is_refused(server, repository):
    _, first = repository
    zoo_core.load("theirs")
    shutil.rmtree(fetching.cache_dir())
    other = files(2, Path(fetching.cache_dir()).parent / "other")
    server.repos["org/pipe"].commits[0] = (first, other)
    with pytest.raises(ChecksumError, match=r"hf:org/pipe has other weights than .* has pinned; do not use them, or"):
        zoo_core.load("theirs")


def test_listings_and_verify_know_what_is_pinned(server, repository, capsys, tmp_path):
    def row(name: str) -> dict[str, str]:
        capsys.readouterr()
        assert zoo("verify", name, "--json") == 0
        return json.loads(capsys.readouterr().out)[0]

    assert row("theirs") == {"id": "theirs", "status": "absent", "detail": "not pinned; zoo load theirs pins it"}
    assert zoo("info", "theirs") == 0
    assert "weights      not pinned; the first load pins their commit and hashes" in capsys.readouterr().out
    assert zoo("list", "theirs") == 0
    assert "on the Hub, not pinned" in capsys.readouterr().out
    assert zoo("samplers", "--for", "theirs") == 0
    assert server.requests == []
    assert zoo("download", "theirs") == 0
    assert row("theirs")["status"] == "ok"
    assert zoo("list", "theirs", "--cached") == 0
    assert "cached" in capsys.readouterr().out
    assert zoo("info", "theirs") == 0
    shown = capsys.readouterr().out
    assert "org/pipe@" in shown
    assert "hf:org/pipe" in shown
    assert zoo("cache", "ls") == 0
    assert "theirs" in capsys.readouterr().out
    assert zoo("cache", "rm", "theirs") == 0
    assert row("theirs")["detail"] == "not on this machine; zoo download theirs"
    pins.file_of("hf:org/pipe").write_text("{}")
    assert zoo("verify", "theirs") == 4
    assert zoo("list", "theirs") == 0
    assert "is no pin" in capsys.readouterr().err
    with pytest.raises(WeightsError, match=r"is no pin .*; delete it to pin anew"):
        zoo_core.load("theirs")


def test_offline_there_is_one_line_until_it_was_loaded(server, repository, capsys):
    assert zoo("load", "theirs", "--offline") == 5
    assert "offline, and org/pipe@main is not in the cache" in capsys.readouterr().err
    with pytest.raises(NetworkError):
        zoo_core.load("at-a-commit", offline=True)
    zoo_core.load("theirs")
    server.requests.clear()
    assert zoo("load", "theirs", "--offline") == 0
    assert zoo_core.sample(zoo_core.load("theirs", offline=True), 1).shape == (1, 1, 8, 8)
    assert server.requests == []


def test_a_source_may_name_a_commit_and_must_be_of_its_family(repository, capsys, tmp_path, monkeypatch):
    commit, first = repository
    commit(1)
    assert zoo_core.load("at-a-commit").entry.weights.revision == first
    assert pins.file_of(f"hf:org/pipe@{first}").is_file()
    with pytest.raises(WeightsError, match="hf:org/pipe has a diffusers-pipeline; the registry says ddpm"):
        zoo_core.load("of-another-family")
    assert not pins.file_of("hf:org/pipe").exists()
    assert zoo("train", "theirs") != 0
    assert "has no recipe to train it by" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(
        WeightsError, match=r"cannot pin hf:org/pipe in .*; make it writable, or name the commit: hf:org"
    ):
        zoo_core.load("theirs")


def test_an_entry_of_a_program_is_resolved_too(repository):
    (entry,) = (one for one in zoo_core.find("theirs") if one.id == "theirs")
    assert (entry.config, entry.weights) == ({}, None)
    assert zoo_core.load(entry).entry.weights.repo_id == "org/pipe"
    assert "theirs" not in registry.load().entries  # what iterates over whole entries does not meet it


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "org/pipe"}, "models.it.source: 'org/pipe' is not 'hf:org/name' or 'hf:org/name@COMMIT'"),
        ({"source": "hf:org/pipe@main"}, "models.it.source: 'hf:org/pipe@main' is not 'hf:org/name' or"),
        ({"config": {}}, "models.it.config: the source has it, or nothing is known of it; leave it out"),
        ({"source": None}, "models.it.config: missing; give the arguments of the family's class, or a source that"),
    ],
)
def test_what_the_schema_says_of_a_source(change, words):
    table = {"family": "ddpm", "source": "hf:org/pipe", "summary": "it"} | change
    table = {key: value for key, value in table.items() if value is not None}
    (problem,) = schema.problems({"schema": 1, "models": {"it": table}}, "file")
    assert words in problem


def test_our_own_sources_name_no_bytes():
    """Their hashes are in no file of ours: each is pinned by whoever loads it first."""
    file = Path(__file__).parent.parent / "src" / "zoo_diffusers" / "registry.toml"
    models = tomllib.loads(file.read_text(encoding="utf-8"))["models"]
    assert {"google-ddpm-cifar10-32", "compvis-ldm-celebahq-256"} <= models.keys()
    for name, table in models.items():
        assert table["source"].startswith("hf:"), name
        assert registry.load().get(name).plugin == "zoo-diffusers"
