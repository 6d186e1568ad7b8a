"""What we export, drawn by diffusers' own pipelines from our noise."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo_core
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, Model, Streams
from zoo_core.paths import GaussianPath, LinearPath, SubVariancePreserving, VarianceExploding
from zoo_core.samplers.ddim import DDIM
from zoo_diffusers.export import export
from zoo_nets.path_model import PathModel

NETWORK = {"kind": "unet", "widths": [8, 16], "attention": [1], "head_width": 8}
CONFIG: dict[str, Any] = {"network": NETWORK}


def arbitrary(model: Model) -> Model:
    source = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(std=0.1, generator=source)
    return model.eval().requires_grad_(False)


def exported(model: Model, folder: Path) -> Path:
    place = folder / "pipeline"
    place.mkdir()
    export(model, CONFIG, place)
    return place


def pipeline_of(place: Path):  # type: ignore[no-untyped-def]
    diffusers = pytest.importorskip("diffusers")
    kind = json.loads((place / "model_index.json").read_text())["_class_name"]
    pipeline = getattr(diffusers, kind).from_pretrained(place)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def images(monkeypatch, pipeline, noise: Tensor, **options) -> Tensor:  # type: ignore[no-untyped-def]
    """What the pipeline draws from ``noise``, in [0, 1]."""
    monkeypatch.setattr(f"{type(pipeline).__module__}.randn_tensor", lambda *a, **k: noise)
    drawn = pipeline(batch_size=len(noise), output_type="np", **options).images
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


class EqualAngles(DDIM):
    """DDIM at the times of any path whose angles atan(σ/α) are those of the table that is exported."""

    def times(self, model):  # type: ignore[no-untyped-def]
        ks = [1000 - 1 - i * (1000 // self.steps) for i in range(self.steps)]
        angles = [math.pi * k / 2000 for k in ks]
        return [*(model.path.time_of_log_snr(-2.0 * math.log(math.tan(a))) for a in angles), 0.0]


PATHS = [LinearPath(), SubVariancePreserving(0.1, 40.0), VarianceExploding(0.01, 1000.0)]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_with_angular_preconditioning_is_a_ddim_pipeline(monkeypatch, tmp_path, path: GaussianPath):
    """The trajectory is the same on every path that reaches its noise, up to scale; float32 tables cost 1e-4 of it."""
    model = arbitrary(PathModel(path, [1, 8, 8], NETWORK, "velocity"))
    pipeline = pipeline_of(exported(model, tmp_path))
    noise = Streams(0, "test", 0, 2).normal(1, 8, 8)
    sampler = EqualAngles(10)
    first = sampler.times(model)[0]
    head = math.hypot(path.alpha(first), path.sigma(first)) * noise
    with torch.inference_mode():
        ours = model.space.to_user(sampler.sample(model, Streams(0, "test", 0, 2), noise=head))
    theirs = images(monkeypatch, pipeline, noise, num_inference_steps=10, use_clipped_model_output=True)
    assert (ours - theirs).abs().max() < 1e-3
    assert (ours - theirs).abs().mean() < 1e-4


def test_a_velocity_on_the_linear_path_is_a_flow_matching_pipeline(monkeypatch, tmp_path):
    model = arbitrary(PathModel(LinearPath(), [1, 8, 8], NETWORK, "velocity", preconditioning="none"))
    place = exported(model, tmp_path)
    pipeline = pipeline_of(place)
    pipeline.scheduler.set_timesteps(8)
    grid = pipeline.scheduler.sigmas.tolist()
    sampler = DDIM(8, clip=False)
    monkeypatch.setattr(sampler, "times", lambda model: grid)
    noise = Streams(0, "test", 0, 2).normal(1, 8, 8)
    with torch.inference_mode():
        ours = model.space.to_user(sampler.sample(model, Streams(0, "test", 0, 2), noise=noise))
    theirs = images(monkeypatch, pipeline, noise, num_inference_steps=8)
    assert (ours - theirs).abs().max() < 1e-5
    back = zoo_core.load(str(place))
    a, b = (m.predict(noise, 0.5) for m in (model, back))
    assert (a.data - b.data).abs().max() < 1e-6


def test_a_consistency_model_with_edm_scalings_is_a_consistency_pipeline(monkeypatch, tmp_path):
    """In one step: f(σ_max·ε, σ_max); σ_max = 80 in float32, 1e-5 of images in [0, 1]."""
    from zoo_consistency.model import Consistency

    model = arbitrary(Consistency([1, 8, 8], NETWORK, preconditioning="edm"))
    pipeline = pipeline_of(exported(model, tmp_path))
    noise = Streams(0, "test", 0, 2).normal(1, 8, 8)
    with torch.inference_mode():
        ours = model.space.to_user(model.jump(80.0 * noise, torch.tensor([80.0])))
    theirs = images(monkeypatch, pipeline, noise, num_inference_steps=1)
    assert (ours - theirs).abs().max() < 1e-5


def test_a_conditional_model_is_exported_as_its_unconditional_half(tmp_path):
    """The null class moves into a bias: float32 rounding."""
    from zoo_ddpm.model import DDPM

    model = arbitrary(DDPM([1, 8, 8], NETWORK, steps=20, classes=3))
    back = zoo_core.load(str(exported(model, tmp_path)))
    x = Streams(0, "test", 0, 2).normal(1, 8, 8)
    assert (model.predict(x, 0.5).noise - back.predict(x, 0.5).noise).abs().max() < 1e-5
    labelled = model.predict(x, 0.5, condition=Condition(label=torch.tensor([0, 1])))
    assert (labelled.noise - back.predict(x, 0.5).noise).abs().max() > 1e-3
    assert back.conditions == {}


def test_what_has_no_counterpart(tmp_path):
    from zoo_consistency.model import Consistency

    mlp = {"kind": "mlp", "width": 8, "depth": 1}
    cases = {
        "models on a path with a U-Net only": PathModel(LinearPath(), [2], mlp, "velocity"),
        "VarianceExploding with preconditioning .none. and the answer .score.: its networks": PathModel(
            VarianceExploding(), [1, 8, 8], NETWORK, "score", preconditioning="none"
        ),
        "scalings 'edm'; this one has 'angular'": Consistency([1, 8, 8], NETWORK),
        "this one Fourier features of it": PathModel(LinearPath(), [1, 8, 8], NETWORK, "velocity", fourier=[8]),
        "no patches; this network has patch = 2": PathModel(
            LinearPath(), [1, 8, 8], NETWORK | {"patch": 2}, "velocity"
        ),
        "wants square images; these are 8×16": PathModel(LinearPath(), [1, 8, 16], NETWORK, "velocity"),
    }
    for words, model in cases.items():
        with pytest.raises(IncompatibleError, match=words):
            export(model, CONFIG, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{}, {"num_class_embeds": 3}, {"resnet_time_scale_shift": "scale_shift"}])
def test_what_came_from_diffusers_goes_back(tmp_path, change):
    diffusers = pytest.importorskip("diffusers")
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["AttnUpBlock2D"], "norm_num_groups": 4}
    unet = diffusers.UNet2DModel(sample_size=8, block_out_channels=[8], layers_per_block=1, **blocks, **change)
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(num_train_timesteps=20)).save_pretrained(tmp_path / "theirs")
    model = zoo_core.load(str(tmp_path / "theirs"))
    (tmp_path / "ours").mkdir()
    export(model, dict(model.entry.config), tmp_path / "ours")
    again = diffusers.DDPMPipeline.from_pretrained(tmp_path / "ours")
    assert all(torch.equal(value, unet.state_dict()[name]) for name, value in again.unet.state_dict().items())
    assert zoo_core.load(str(tmp_path / "ours")).conditions == model.conditions
