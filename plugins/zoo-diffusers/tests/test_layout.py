"""``hf:org/repo`` and folders in diffusers' layout, on a Hub on loopback; what is refused, and why."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo_core
from zoo_core.cli import main
from zoo_core.errors import ChecksumError, WeightsError
from zoo_core.interfaces import Model, Streams
from zoo_core.saving.exporting import export as export_model
from zoo_diffusers.export import export
from zoo_diffusers.schedules import alpha_bars, table_config

CONFIG: dict[str, Any] = {
    "unet": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": [8, 16],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
    },
    "scheduler": {"_class_name": "DDPMScheduler", "num_train_timesteps": 20, "beta_end": 0.9},
}


def zoo(*arguments: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def arbitrary(model: Model) -> Model:
    source = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(std=0.1, generator=source)
    return model.eval().requires_grad_(False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small pipeline, as our export writes it."""
    from zoo_diffusers.model import DiffusersPipeline

    place = tmp_path / "pipeline"
    place.mkdir()
    export(arbitrary(DiffusersPipeline(**CONFIG)), copy.deepcopy(CONFIG), place)
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.long
def test_a_repository_loads_samples_and_is_shown(server, folder, tmp_path, capsys):
    commit = server.add_repo("org/pipe", files(folder))
    model = zoo_core.load("hf:org/pipe")
    assert model.entry.weights.revision == commit
    assert model.entry.family == "diffusers-pipeline"
    mine = zoo_core.load(str(folder))
    x = Streams(0, "test", 0, 2).normal(1, 8, 8)
    assert torch.equal(model.predict(x, 0.5).data, mine.predict(x, 0.5).data)
    out = tmp_path / "samples.safetensors"
    assert zoo("sample", "hf:org/pipe", "-n", "2", "--steps", "3", "--out", str(out)) == 0
    assert out.is_file()
    capsys.readouterr()
    assert zoo("info", "hf:org/pipe", "--json") == 0
    assert json.loads(capsys.readouterr().out)["family"] == "diffusers-pipeline"


def test_what_was_loaded_once_loads_offline(server, folder):
    commit = server.add_repo("org/pipe", files(folder))
    first = zoo_core.load("hf:org/pipe")
    server.requests.clear()
    again = zoo_core.load(f"hf:org/pipe@{commit}", offline=True)
    assert server.requests == []
    x = Streams(0, "test", 0, 2).normal(1, 8, 8)
    assert torch.equal(first.predict(x, 0.5).data, again.predict(x, 0.5).data)


def test_a_config_of_another_library_at_the_top_is_in_nobodys_way(server, folder):
    """The first published pipelines have the U-Net's config.json there too."""
    server.add_repo("org/pipe", files(folder) | {"config.json": b'{"_class_name": "UNet2DModel"}'})
    assert zoo_core.load("hf:org/pipe").space.shape == (1, 8, 8)


@pytest.mark.long
def test_bytes_that_the_hub_did_not_speak_of_are_refused(server, folder):
    server.add_repo("org/pipe", files(folder))
    server.corrupt("unet/diffusion_pytorch_model.safetensors")
    with pytest.raises(ChecksumError, match=r"has the SHA-256 .*, the Hub said .*; it was deleted"):
        zoo_core.load("hf:org/pipe")
    server.heal()
    assert zoo_core.load("hf:org/pipe").space.shape == (1, 8, 8)


SKIPS = {"down_block_types": ["SkipDownBlock2D", "DownBlock2D"]}
THREE = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["DownBlock2D"] * 3,
    "up_block_types": ["UpBlock2D"] * 3,
}
CHANGES = {
    "kind": ("unet", {"_class_name": "UNet1DModel"}, "_class_name = 'UNet1DModel' has no counterpart here"),
    "times": (
        "unet",
        {"time_embedding_type": "spiral"},
        "time_embedding_type = 'spiral' has no counterpart here; only",
    ),
    "learned times": (
        "unet",
        {"time_embedding_type": "learned"},
        "num_train_timesteps = None; expected a positive integer",
    ),
    "too few times": (
        "unet",
        {"time_embedding_type": "learned", "num_train_timesteps": 19},
        "num_train_timesteps = 19 learned times are too few for DDPMScheduler",
    ),
    "grey skip blocks": ("unet", SKIPS | {"in_channels": 1, "out_channels": 3}, "in_channels = 1; networks of skip"),
    "grey answers": ("unet", SKIPS | {"in_channels": 3, "out_channels": 1}, "out_channels = 1; networks of skip"),
    "skips below": (
        "unet",
        THREE | {"down_block_types": ["DownBlock2D", "SkipDownBlock2D", "DownBlock2D"]},
        r"down_block_types = \['DownBlock2D', 'SkipDownBlock2D', 'DownBlock2D'\] has a skip block after another",
    ),
    "skips above": (
        "unet",
        THREE | {"up_block_types": ["UpBlock2D", "SkipUpBlock2D", "UpBlock2D"]},
        r"up_block_types = \['UpBlock2D', 'SkipUpBlock2D', 'UpBlock2D'\] has another kind after a skip block",
    ),
    "attention in skips": (
        "unet",
        {"in_channels": 3, "out_channels": 3, "down_block_types": ["AttnSkipDownBlock2D", "DownBlock2D"]},
        r"block_out_channels = \(8, 16\) make 32 groups of 8 channels",
    ),
    "a stage of text": (
        "unet",
        {"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]},
        "'CrossAttnDownBlock2D'",
    ),
    "upside down": ("unet", {"down_block_types": ["DownBlock2D", "UpBlock2D"]}, "down_block_types has 'UpBlock2D'"),
    "no stage": ("unet", {"up_block_types": [{}, []]}, r"up_block_types has \{\}, which has no counterpart here"),
    "stages": (
        "unet",
        {"up_block_types": ["UpBlock2D"]},
        r"up_block_types = \['UpBlock2D'\]; expected one for each of 2",
    ),
    "middle": (
        "unet",
        {"mid_block_type": "UNetMidBlock2DCrossAttn"},
        "mid_block_type = 'UNetMidBlock2DCrossAttn' has no",
    ),
    "middle's scale": ("unet", {"mid_block_scale_factor": 0}, "mid_block_scale_factor = 0; expected a positive number"),
    "spatial": (
        "unet",
        {"resnet_time_scale_shift": "spatial"},
        "resnet_time_scale_shift = 'spatial' has no counterpart",
    ),
    "labels as texts": (
        "unet",
        {"class_embed_type": "projection"},
        "class_embed_type = 'projection' has no counterpart here",
    ),
    "labels as learned times": (
        "unet",
        {"class_embed_type": "timestep", "time_embedding_type": "learned", "num_train_timesteps": 20},
        "class_embed_type = 'timestep' with learned times has no counterpart here",
    ),
    "classes": ("unet", {"num_class_embeds": 0}, "num_class_embeds = 0; expected a positive integer or null"),
    "more classes": (
        "unet",
        {"num_class_embeds": 5},
        "'class_embedding.weight' is .5, 32. in the model and not there in",
    ),
    "activation": ("unet", {"act_fn": "tanh"}, "act_fn = 'tanh' has no counterpart here; only 'silu' or 'swish' or"),
    "padding": ("unet", {"downsample_padding": 2}, "downsample_padding = 2 has no counterpart here; only 1 or 0 has"),
    "truth": ("unet", {"add_attention": "no"}, "add_attention = 'no' has no counterpart here; only True or False has"),
    "step": ("unet", {"downsample_type": "fir"}, "downsample_type = 'fir' has no counterpart here"),
    "shift": ("unet", {"freq_shift": 4}, "freq_shift = 4; expected a number from 0 to below 4"),
    "dropout": ("unet", {"dropout": 1.0}, "dropout = 1.0; expected a probability below 1"),
    "groups": ("unet", {"norm_num_groups": 3}, "norm_num_groups = 3, .* make 3 groups of 8 channels; expected groups"),
    "no groups": ("unet", {"norm_num_groups": None}, "norm_num_groups = None is for networks of skip blocks alone"),
    "heads": ("unet", {"attention_head_dim": 32}, "attention_head_dim = 32, .* make a head of 32 in 16 channels"),
    "widths": ("unet", {"block_out_channels": "wide"}, "block_out_channels = 'wide'; expected a list of widths"),
    "no size": ("unet", {"sample_size": None}, "sample_size = None; expected the size of its images"),
    "channels": ("unet", {"out_channels": 2}, "2 channels come out of 1, with variance_type = 'fixed_small'"),
    "other weights": ("unet", {"block_out_channels": [8, 32]}, "the file does not fit"),
    "scheduler": ("scheduler", {"_class_name": "KarrasVeScheduler"}, "KarrasVeScheduler is not known here"),
    "prediction": ("scheduler", {"prediction_type": "flow"}, "prediction_type = 'flow'; expected one of epsilon"),
    "continuous": ("scheduler", {"timestep_type": "continuous"}, "timestep_type = 'continuous' has no counterpart"),
    "noise levels": (
        "scheduler",
        {"_class_name": "EDMEulerScheduler", "sigma_min": 5.0, "sigma_max": 1.0},
        "sigma_min = 5.0 and sigma_max = 1.0; expected",
    ),
    "data's scale": (
        "scheduler",
        {"_class_name": "CMStochasticIterativeScheduler", "sigma_data": "half"},
        "sigma_data = half; expected a positive number",
    ),
    "EDM's prediction": (
        "scheduler",
        {"_class_name": "EDMEulerScheduler", "prediction_type": "sample"},
        "prediction_type = 'sample'; expected epsilon or v_prediction",
    ),
    "zero snr": ("scheduler", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr has no counterpart"),
    "schedule": (
        "scheduler",
        {"trained_betas": None, "beta_schedule": "bumpy"},
        "beta_schedule = 'bumpy' is not known here",
    ),
    "betas": ("scheduler", {"trained_betas": "many"}, "trained_betas is no list of numbers"),
    "no betas": ("scheduler", {"trained_betas": []}, "alpha_bar must be a non-empty, strictly decreasing table"),
    "steps": ("scheduler", {"trained_betas": None, "num_train_timesteps": 200_000}, "num_train_timesteps = 200000"),
    "ends": (
        "scheduler",
        {"trained_betas": None, "beta_end": "x"},
        "beta_start = 0.0001 and beta_end = 'x'; expected numbers",
    ),
    "thresholds": ("scheduler", {"thresholding": True}, "thresholding has no counterpart here"),
    "range": ("scheduler", {"clip_sample_range": 2.0}, r"clip_sample_range = 2.0; images are in \[−1, 1\]"),
    "variance": ("scheduler", {"variance_type": "wild"}, "variance_type = 'wild' has no counterpart"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_cannot_be_expressed_is_refused_with_the_reason(folder, case):
    part, change, words = CHANGES[case]
    file = folder / part / ("config.json" if part == "unet" else "scheduler_config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(WeightsError, match=words):
        zoo_core.load(str(folder))
    assert zoo("load", str(folder)) == 4  # weights that are not what they should be


def test_pipelines_of_another_kind_and_broken_ones(folder):
    index = folder / "model_index.json"
    text = index.read_text()
    index.write_text(json.dumps(json.loads(text) | {"text_encoder": ["diffusers", "Reader"], "_class_name": "Big"}))
    with pytest.raises(WeightsError, match="Big is no pipeline of one UNet2DModel and one scheduler, with or without"):
        zoo_core.load(str(folder))
    index.write_text(json.dumps(json.loads(text) | {"unet": ["my_module", "UNet2DModel"]}))
    with pytest.raises(WeightsError, match=r"unet = .my_module, UNet2DModel. is no class of diffusers; refused"):
        zoo_core.load(str(folder))
    index.write_text("{")
    with pytest.raises(WeightsError, match=r"model_index\.json is not JSON"):
        zoo_core.load(str(folder))
    index.write_text(text)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"no file 'unet/diffusion_pytorch_model\.safetensors', whole, in shards, or"
    ):
        zoo_core.load(str(folder))


def test_a_ddpm_comes_back_from_its_export(tmp_path):
    """``zoo export``, then ``zoo load``: the same predictions to the bit; and the schedule by its name."""
    export_model("ddpm-mnist-plain", "diffusers", tmp_path / "pipeline")
    before, after = zoo_core.load("ddpm-mnist-plain"), zoo_core.load(str(tmp_path / "pipeline"))
    assert json.loads((tmp_path / "pipeline/scheduler/scheduler_config.json").read_text())["beta_schedule"] == (
        "squaredcos_cap_v2"
    )
    x = Streams(0, "test", 0, 2).normal(1, 28, 28)
    for t in (1.0, 0.5, 0.001):
        a, b = before.predict(x, t), after.predict(x, t)
        assert torch.equal(a.data, b.data)
        assert torch.equal(a.noise, b.noise)


def test_tables_have_their_names_and_others_their_numbers():
    named = {"num_train_timesteps": 50, "beta_start": 1e-4, "beta_end": 0.02}
    for name in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        assert table_config(alpha_bars(named | {"beta_schedule": name})) == named | {"beta_schedule": name}
    table = [0.9, 0.5, 0.1]
    assert alpha_bars(table_config(table)) == pytest.approx(table, rel=1e-12)
