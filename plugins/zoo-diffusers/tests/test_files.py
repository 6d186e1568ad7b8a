"""Where the files of a pipeline may lie: flat, in shards, as variants; all of them hashed, none of them trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo_core
from zoo_core import fetching
from zoo_core.cli import main
from zoo_core.errors import ChecksumError, WeightsError
from zoo_core.fetching.references import entry_of
from zoo_core.interfaces import Model, Streams
from zoo_core.saving.exporting import export as export_model

diffusers = pytest.importorskip("diffusers")

SMALL: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
}
WHOLE = "diffusion_pytorch_model.safetensors"


def zoo(*arguments: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def saved(place: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A pipeline with arbitrary weights, saved by diffusers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(**SMALL)
    pipeline = diffusers.DDPMPipeline(unet.to(dtype), diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.9))
    pipeline.save_pretrained(place, **options)
    return pipeline


def answer(model: Model) -> torch.Tensor:
    x = Streams(0, "test", 0, 2).normal(*(int(side or 0) for side in model.space.shape))
    return model.predict(x, 0.5).data


def flattened(place: Path, *parts: str) -> Path:
    """Moves the files of some folders of a pipeline to its top."""
    for part in parts:
        for file in (place / part).iterdir():
            file.rename(place / file.name)
        (place / part).rmdir()
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
@pytest.mark.parametrize("parts", [(), ("unet",), ("scheduler",), ("unet", "scheduler")], ids=lambda p: "+".join(p))
def test_parts_lie_in_their_folders_or_at_the_top(tmp_path, parts, index):
    place = tmp_path / "pipeline"
    saved(place)
    expected = answer(zoo_core.load(str(place)))
    flattened(place, *parts)
    if not index:
        (place / "model_index.json").unlink()
    model = zoo_core.load(str(place))
    assert torch.equal(answer(model), expected)
    assert model.entry.sampler.name == "ancestral"
    assert model.entry.weights.file == (WHOLE if "unet" in parts else f"unet/{WHOLE}")


def test_our_own_export_flattened(tmp_path, monkeypatch):
    """As google/ddpm-cifar10-32 lies on the Hub, but for the index, which is left behind."""
    export_model("ddpm-mnist-plain", "diffusers", tmp_path / "d")
    expected = answer(zoo_core.load("ddpm-mnist-plain"))
    flat = tmp_path / "flat"
    flat.mkdir()
    for part in ("unet", "scheduler"):
        for file in (tmp_path / "d" / part).iterdir():
            shutil.move(file, flat)
    monkeypatch.chdir(tmp_path)
    assert zoo("load", "./flat") == 0
    assert torch.equal(answer(zoo_core.load("./flat")), expected)


@pytest.mark.long
def test_a_flat_repository(server, tmp_path):
    saved(tmp_path / "p")
    expected = answer(zoo_core.load(str(tmp_path / "p")))
    commit = server.add_repo("org/flat", files(flattened(tmp_path / "p", "unet", "scheduler")))
    model = zoo_core.load("hf:org/flat")
    assert (model.entry.weights.file, model.entry.weights.revision) == (WHOLE, commit)
    assert torch.equal(answer(model), expected)
    server.requests.clear()
    assert torch.equal(answer(zoo_core.load(f"hf:org/flat@{commit}", offline=True)), expected)
    assert server.requests == []


def test_a_flat_folder_of_another_kind(tmp_path):
    saved(tmp_path / "p")
    place = flattened(tmp_path / "p", "unet", "scheduler")
    (place / "model_index.json").unlink()
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"_class_name": "UNet2DConditionModel"}))
    with pytest.raises(WeightsError, match="_class_name = 'UNet2DConditionModel' has no counterpart here"):
        zoo_core.load(str(place))
    (place / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"no file 'config\.json'"):
        zoo_core.load(str(place))


SAVED = {
    "shards": {"max_shard_size": "20KB"},
    "many shards": {"max_shard_size": "5KB"},
    "a variant": {"variant": "fp16"},
    "another variant": {"variant": "ema"},
    "shards of a variant": {"variant": "fp16", "max_shard_size": "20KB"},
    "shards of bf16": {"variant": "bf16", "max_shard_size": "10KB", "dtype": torch.bfloat16},
    "half precision": {"dtype": torch.float16},
    "a variant of half precision": {"variant": "fp16", "dtype": torch.float16},
    "bfloat16": {"dtype": torch.bfloat16},
}


@pytest.mark.parametrize("case", SAVED)
@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
def test_what_diffusers_saves_is_loaded_as_diffusers_loads_it(tmp_path, case, flat):
    """In float32, whatever the file has: the same answers as its own network of the same file, to rounding: 1e-5."""
    place = tmp_path / "pipeline"
    saved(place, **SAVED[case])
    theirs = diffusers.DDPMPipeline.from_pretrained(place, variant=SAVED[case].get("variant")).unet.float()
    model = zoo_core.load(str(flattened(place, "unet", "scheduler") if flat else place))
    assert model.dtype == torch.float32
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.no_grad():
        assert (model.predict(x, 0.5).noise - theirs(x, torch.tensor(9)).sample).abs().max() < 1e-5
    assert zoo_core.sample(model, 2, steps=2, sampler="ddim").isfinite().all()
    found = [w.file for w in model.entry.weights.files]
    assert sorted(found) == sorted(str(p.relative_to(place)) for p in place.rglob("*.safetensors"))


def test_weights_without_a_variant_come_first(tmp_path):
    saved(tmp_path / "p", variant="fp16")
    saved(tmp_path / "p")
    assert entry_of(str(tmp_path / "p")).weights.file == f"unet/{WHOLE}"


def test_a_half_type_is_kept_where_it_is_asked_for(tmp_path):
    """bfloat16 has 8 bits: 2 % of predictions of order 1."""
    saved(tmp_path / "p", dtype=torch.bfloat16, max_shard_size="20KB")
    half = zoo_core.load(str(tmp_path / "p"), dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert (answer(half) - answer(zoo_core.load(str(tmp_path / "p")))).abs().max() < 0.05


def test_shards_are_all_shown(tmp_path, capsys):
    place = tmp_path / "p"
    saved(place, max_shard_size="50KB")
    shards = sorted((place / "unet").glob("*.safetensors"))
    total = f"{sum(p.stat().st_size for p in shards):,} bytes"
    capsys.readouterr()
    assert zoo("load", str(place)) == 0
    out = capsys.readouterr().out
    assert f"{total} in {len(shards)} files, verified" in out
    assert zoo("load", str(place), "--json") == 0
    weights = json.loads(capsys.readouterr().out)["weights"]
    assert [weights["path"], *(one["path"] for one in weights["more"])] == [str(p) for p in shards]
    assert zoo("info", str(place)) == 0
    assert total in capsys.readouterr().out


@pytest.mark.long
def test_every_shard_of_a_repository_is_checked(server, tmp_path):
    saved(tmp_path / "p", max_shard_size="50KB")
    expected = answer(zoo_core.load(str(tmp_path / "p")))
    commit = server.add_repo("org/shards", files(tmp_path / "p"))
    names = [p.name for p in sorted((tmp_path / "p" / "unet").glob("*.safetensors"))]
    assert len(names) > 2
    for name in names:
        server.corrupt(f"unet/{name}")
        with pytest.raises(ChecksumError, match=r"has the SHA-256 .*, the Hub said .*; it was deleted"):
            zoo_core.load("hf:org/shards")
        server.heal()
        shutil.rmtree(fetching.cache_dir())  # the others were fetched well, and are not asked for again
    model = zoo_core.load("hf:org/shards")
    assert torch.equal(answer(model), expected)
    assert fetching.cached(model.entry)
    server.requests.clear()
    assert torch.equal(answer(zoo_core.load(f"hf:org/shards@{commit}", offline=True)), expected)
    assert server.requests == []
    (fetching.cache_dir() / "models--org--shards" / "snapshots" / commit / "unet" / names[-1]).unlink()
    assert not fetching.cached(model.entry)


def test_a_shard_that_changes_after_it_was_hashed(tmp_path):
    saved(tmp_path / "p", max_shard_size="50KB")
    entry = entry_of(str(tmp_path / "p"))
    last = tmp_path / "p" / entry.weights.files[-1].file
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    with pytest.raises(ChecksumError, match="has sha256"):
        zoo_core.load(entry)


BAD = {
    "leads out": ("../model.safetensors", r"names '\.\./model\.safetensors'; expected a \.safetensors file beside it"),
    "absolute": ("/etc/passwd", "names '/etc/passwd'; expected a .safetensors file beside it"),
    "pickled": ("diffusion_pytorch_model.bin", r"names 'diffusion_pytorch_model\.bin'; expected"),
    "a number": (7, "names '7'; expected a .safetensors file beside it"),
    "not there": ("other.safetensors", r"no file 'unet/other\.safetensors'"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_index_that_names_what_it_should_not(tmp_path, case):
    name, words = BAD[case]
    saved(tmp_path / "p", max_shard_size="50KB")
    file = tmp_path / "p" / "unet" / f"{WHOLE}.index.json"
    index = json.loads(file.read_text())
    index["weight_map"]["conv_in.bias"] = name
    file.write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=words):
        zoo_core.load(str(tmp_path / "p"))
    assert zoo("load", str(tmp_path / "p")) == 4


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({}, "weight_map names 0 files; expected 1 … 1,000"),
        ({"weight_map": []}, "weight_map names 0 files"),
        ({"weight_map": {str(i): f"{i}.safetensors" for i in range(1001)}}, "weight_map names 1001 files"),
        ([], "is not a JSON object"),
    ],
)
def test_an_index_of_nothing_or_too_much(tmp_path, index, words):
    saved(tmp_path / "p", max_shard_size="50KB")
    (tmp_path / "p" / "unet" / f"{WHOLE}.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=words):
        zoo_core.load(str(tmp_path / "p"))


def test_shards_that_overlap_or_leave_something_out(tmp_path):
    saved(tmp_path / "p", max_shard_size="50KB")
    first, second, *_ = sorted((tmp_path / "p" / "unet").glob("*.safetensors"))
    kept = load_file(first)
    name = min(kept)
    save_file(load_file(second) | {name: kept[name]}, second, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=rf"'{name}' is in two of its \d files of weights; expected in one"):
        zoo_core.load(str(tmp_path / "p"))
    save_file({k: v for k, v in kept.items() if k != name}, first, metadata={"format": "pt"})
    zoo_core.load(str(tmp_path / "p"))  # where it lies is not asked
    theirs = load_file(second)
    del theirs[name]
    save_file(theirs, second, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=f"'{name}' is .* in the model and not there in the file"):
        zoo_core.load(str(tmp_path / "p"))


def test_old_names_in_shards(tmp_path):
    saved(tmp_path / "p", max_shard_size="5KB")
    expected = answer(zoo_core.load(str(tmp_path / "p")))
    for file in (tmp_path / "p" / "unet").glob("*.safetensors"):
        state = load_file(file)
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            state = {name.replace(f".{new}.", f".{old}."): value for name, value in state.items()}
        save_file(state, file, metadata={"format": "pt"})
    assert torch.equal(answer(zoo_core.load(str(tmp_path / "p"))), expected)
