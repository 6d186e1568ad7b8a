"""Every scheduler is a path and a sampler: what our model answers is what diffusers' scheduler makes of its network.

The comparison is of x̂: the scheduler's step says what it takes the data to be, or its final step does.  diffusers'
float32 tables cost 1e-4 of images in [−1, 1]; networks are the same.
"""

from __future__ import annotations

import pytest
import torch

import zoo_core
from zoo_core.interfaces import Condition, Streams
from zoo_core.samplers.consistency import Consistency
from zoo_core.sampling import make_sampler
from zoo_core.saving.exporting import export
from zoo_diffusers.default_sampler import TABLED
from zoo_diffusers.formulations import formulation

diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
"""Schedulers of diffusers make arrays of tensors in a way that NumPy 2 warns of."""

SCALED = {"resnet_time_scale_shift": "scale_shift", "downsample_type": "resnet", "upsample_type": "resnet"}
"""What the published consistency models have."""


@pytest.fixture
def saved(tmp_path, small):
    """A function that makes a pipeline, saves it, and loads it: diffusers' pipeline and our model."""

    def save(kind, scheduler, **changes):  # type: ignore[no-untyped-def]
        with small.seeded():
            unet = small.shaken(diffusers.UNet2DModel(**small.unet | changes))
        pipeline = kind(unet=unet, scheduler=scheduler)
        pipeline.save_pretrained(tmp_path / "pipeline")
        return pipeline, zoo_core.load(str(tmp_path / "pipeline"))

    return save


@pytest.mark.parametrize("name", TABLED)
def test_schedulers_of_a_table_have_that_table(name):
    """ᾱ of the class itself, with its own defaults, to float32 rounding of 1,000 products: 1e-5 of 1 and of each."""
    scheduler = getattr(diffusers, name, None)
    if scheduler is None or name == "DPMSolverSDEScheduler":
        pytest.skip(f"diffusers has {name} with another package only")
    made = scheduler()
    config = {"_class_name": name} | {k: v for k, v in dict(made.config).items() if not k.startswith("_")}
    for given in (config, {"_class_name": name}):
        path = formulation(given).path
        ours = torch.tensor([path.alpha_bar(path.time(k)) for k in range(1000)])
        assert torch.allclose(ours, made.alphas_cumprod, rtol=1e-3, atol=1e-5)


FINISHED = {
    "EulerDiscreteScheduler": {"prediction_type": "v_prediction"},
    "EulerAncestralDiscreteScheduler": {},
    "HeunDiscreteScheduler": {"beta_start": 1e-4, "beta_end": 0.02},
    "DPMSolverMultistepScheduler": {"use_karras_sigmas": True},
    "UniPCMultistepScheduler": {"prediction_type": "sample"},
    "PNDMScheduler": {},
    "LMSDiscreteScheduler": {},
}


@pytest.mark.long
@pytest.mark.parametrize("name", FINISHED)
def test_pipelines_of_other_schedulers_load_and_sample(saved, name):
    scheduler = getattr(diffusers, name)(**FINISHED[name])
    pipeline, model = saved(diffusers.DDPMPipeline, scheduler)
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.no_grad():
        answer = pipeline.unet(x, torch.tensor(499)).sample
    said = model.predict(x, 0.5)
    kind = {"v_prediction": "v", "sample": "data"}.get(FINISHED[name].get("prediction_type"), "noise")
    assert model.prediction == kind
    alpha, sigma = model.path.alpha(0.5), model.path.sigma(0.5)
    expected = {"noise": (x - sigma * answer) / alpha, "data": answer, "v": alpha * x - sigma * answer}[kind]
    assert (said.data - expected).abs().max() < 1e-4
    chosen = make_sampler(model)
    assert chosen.name == TABLED[name]["name"]
    assert chosen.spacing == ("karras" if name == "DPMSolverMultistepScheduler" else chosen.spacing)
    assert not chosen.clip
    assert zoo_core.sample(model, 2, steps=4).isfinite().all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("schedule", ["karras", "exponential"])
def test_edm(saved, prediction, schedule):
    """Euler's steps of EDM on its own grid, from σ = 80 with float32 levels: 1e-3 of images in [0, 1]."""
    scheduler = diffusers.EDMEulerScheduler(prediction_type=prediction, sigma_schedule=schedule)
    pipeline, model = saved(diffusers.DDPMPipeline, scheduler)
    sampler = make_sampler(model, steps=8)
    assert (sampler.name, sampler.spacing) == ("ddim", "karras" if schedule == "karras" else "log-snr")
    noise = Streams(0, "test", 0, 2).normal(3, 8, 8)
    scheduler.set_timesteps(8)
    x = noise * scheduler.sigmas[0]
    with torch.inference_mode():
        ours = sampler.sample(model, Streams(0, "test", 0, 2), noise=80.0 * noise)
        for t in scheduler.timesteps:
            answer = pipeline.unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(answer, t, x).prev_sample
    assert (model.space.to_user(ours) - model.space.to_user(x)).abs().max() < 1e-3


def test_flow_matching_by_another_solver(saved):
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler()
    pipeline, model = saved(diffusers.DDPMPipeline, scheduler)
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.no_grad():
        velocity = pipeline.unet(x, torch.tensor(300.0)).sample
    assert (model.predict(x, 0.3).data - (x - 0.3 * velocity)).abs().max() < 1e-5
    assert make_sampler(model).name == "heun"


def test_flow_matching_by_dpm_solver(saved):
    scheduler = diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    _, model = saved(diffusers.DDPMPipeline, scheduler)
    assert model.prediction == "velocity"
    assert model.path.sigma(0.25) == 0.25


class OnGrid(Consistency):
    """Consistency sampling at the noise levels that diffusers takes."""

    levels: tuple[float, ...] = ()

    def times(self, model):  # type: ignore[no-untyped-def]
        return [*(model.path.time_of_log_snr(-2.0 * torch.tensor(s).double().log().item()) for s in self.levels), 0.0]


@pytest.mark.long
@pytest.mark.parametrize("changes", [{}, {"num_class_embeds": 5} | SCALED], ids=["unconditional", "classes"])
@pytest.mark.parametrize("clip", [True, False])
def test_a_consistency_pipeline_draws_the_same_images(monkeypatch, saved, small, changes, clip):
    """In one step, and in two with fresh noise; σ_max = 80 in float32, 1e-4 of images in [0, 1]."""
    scheduler = diffusers.CMStochasticIterativeScheduler(clip_denoised=clip)
    pipeline, model = saved(diffusers.ConsistencyModelPipeline, scheduler, **changes)
    labels = torch.tensor([4, 0]) if changes else None
    condition = None if labels is None else Condition(label=labels)
    options = {"batch_size": 2} | ({} if labels is None else {"class_labels": labels})
    assert make_sampler(model).name == "consistency"
    assert make_sampler(model).clip is clip
    streams = small.Recorder(0, "test", 0, 2)
    with torch.inference_mode():
        ours = model.space.to_user(make_sampler(model).sample(model, streams, condition=condition))
    modules = "pipelines.consistency_models.pipeline_consistency_models schedulers.scheduling_consistency_models"
    small.draws(monkeypatch, modules, streams.drawn)
    assert (small.images(pipeline, num_inference_steps=1, **options) - ours).abs().max() < 1e-4
    scheduler.set_timesteps(timesteps=[22, 0])
    sampler, streams = OnGrid(steps=2, clip=clip), small.Recorder(1, "test", 0, 2)
    sampler.levels = tuple(scheduler.sigmas[:2].tolist())
    with torch.inference_mode():
        ours = model.space.to_user(sampler.sample(model, streams, condition=condition))
    small.draws(monkeypatch, modules, [*streams.drawn, torch.zeros(2, 3, 8, 8)])
    theirs = small.images(pipeline, num_inference_steps=None, timesteps=[22, 0], **options)
    assert (theirs - ours).abs().max() < 1e-3


@pytest.mark.long
def test_a_consistency_repository(server, saved, small, tmp_path):
    saved(diffusers.ConsistencyModelPipeline, diffusers.CMStochasticIterativeScheduler())
    server.add_repo("org/cm", small.files(tmp_path / "pipeline"))
    here, there = zoo_core.load(str(tmp_path / "pipeline")), zoo_core.load("hf:org/cm")
    assert torch.equal(zoo_core.sample(here, 2), zoo_core.sample(there, 2))
    assert zoo_core.sample(there, 2, steps=3).shape == (2, 3, 8, 8)
    export("hf:org/cm", "diffusers", tmp_path / "out")
    assert isinstance(diffusers.DiffusionPipeline.from_pretrained(tmp_path / "out"), diffusers.ConsistencyModelPipeline)
    assert torch.equal(zoo_core.sample(zoo_core.load(str(tmp_path / "out")), 2), zoo_core.sample(there, 2))
