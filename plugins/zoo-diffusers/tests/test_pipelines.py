"""Pipelines that diffusers itself wrote, drawn by us and by it from the same noise.

diffusers keeps its tables in float32, which alone costs 1e-4 (see zoo-ddpm's cross-checks), so ours takes their place.
What remains is the rounding of float32 networks: 1e-5 of images in [−1, 1].
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import zoo_core
from zoo_core.errors import ConditionError, IncompatibleError, WeightsError
from zoo_core.interfaces import Condition, ConditionSpec, Streams
from zoo_core.samplers.ddim import DDIM
from zoo_core.sampling import make_sampler

diffusers = pytest.importorskip("diffusers")

SMALL = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
}
OLD = {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0, "norm_eps": 1e-6, "attention_head_dim": None}
"""What the first published DDPMs have."""
SCALED = {"resnet_time_scale_shift": "scale_shift", "downsample_type": "resnet", "upsample_type": "resnet"}
NCSNPP = {
    "block_out_channels": (32, 64),
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "norm_num_groups": None,
    "norm_eps": 1e-6,
    "time_embedding_type": "fourier",
    "mid_block_scale_factor": 1.414,
}
"""What google/ncsnpp-* have, smaller."""


class Recorder(Streams):
    """Streams that remember what was drawn."""

    def normal(self, *shape: int) -> Tensor:
        self.drawn = [*getattr(self, "drawn", []), super().normal(*shape)]
        return self.drawn[-1]


def made(tmp_path, kind, scheduler, **unet):  # type: ignore[no-untyped-def]
    """A pipeline of diffusers with arbitrary weights, in a folder; and the model that we make of the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = kind(unet=diffusers.UNet2DModel(**SMALL | unet), scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(tmp_path / "pipeline")
    return pipeline, zoo_core.load(str(tmp_path / "pipeline"))


def draws(monkeypatch, module: str, drawn: list[Tensor]) -> None:  # type: ignore[no-untyped-def]
    """diffusers' modules draw these, in turn."""
    noise = iter(drawn)
    for name in module.split():
        monkeypatch.setattr(f"diffusers.{name}.randn_tensor", lambda *a, **k: next(noise))


def images(pipeline, **options) -> Tensor:  # type: ignore[no-untyped-def]
    return torch.from_numpy(pipeline(batch_size=2, output_type="np", **options).images).permute(0, 3, 1, 2)


def with_our_table(scheduler, model) -> None:  # type: ignore[no-untyped-def]
    path = model.path
    table = [path.alpha_bar(path.time(k)) for k in range(path.steps)]
    scheduler.alphas_cumprod = torch.tensor(table, dtype=torch.float64)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)


@pytest.mark.long
@pytest.mark.parametrize("unet", [{}, OLD, SCALED], ids=["new", "old", "scaled"])
@pytest.mark.parametrize(
    "options",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "variance_type": "fixed_large"},
        {"beta_schedule": "sigmoid", "prediction_type": "sample"},
        {"beta_schedule": "scaled_linear", "clip_sample": False},
    ],
)
def test_ddpm_pipelines_draw_the_same_images(monkeypatch, tmp_path, options, unet):
    # 30 steps of up to 0.95 end in noise, as 1000 of up to 0.02 do: both begin with N(0, 1), ours to within σ(1).
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=30, beta_end=0.95, **options)
    pipeline, model = made(tmp_path, diffusers.DDPMPipeline, scheduler, **unet)
    with_our_table(pipeline.scheduler, model)
    streams = Recorder(0, "test", 0, 2)
    with torch.inference_mode():
        ours = model.space.to_user(make_sampler(model).sample(model, streams))
    draws(monkeypatch, "schedulers.scheduling_ddpm pipelines.ddpm.pipeline_ddpm", streams.drawn)
    assert (images(pipeline, num_inference_steps=30) - ours).abs().max() < 1e-5


def test_a_ddim_pipeline_draws_the_same_images(monkeypatch, tmp_path):
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=100)
    pipeline, model = made(tmp_path, diffusers.DDIMPipeline, scheduler, **OLD)
    with_our_table(pipeline.scheduler, model)
    chosen = make_sampler(model, steps=10)
    assert isinstance(chosen, DDIM)
    assert chosen.spacing == "leading"
    noise = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.inference_mode():
        ours = model.space.to_user(chosen.sample(model, Streams(0, "test", 0, 2), noise=noise))
    draws(monkeypatch, "pipelines.ddim.pipeline_ddim", [noise])
    theirs = images(pipeline, num_inference_steps=10, use_clipped_model_output=True)
    assert (theirs - ours).abs().max() < 1e-5


class OnGrid(DDIM):
    """DDIM at the times that diffusers takes."""

    def __init__(self, grid: list[float]) -> None:
        super().__init__(len(grid) - 1, clip=False)
        self.grid = grid

    def times(self, model):  # type: ignore[no-untyped-def]
        return self.grid


def test_a_flow_matching_pipeline_draws_the_same_images(monkeypatch, tmp_path):
    """Euler's method on the velocity is DDIM on the linear path; diffusers' own grid ends with an uneven step."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline, model = made(tmp_path, diffusers.DDPMPipeline, scheduler)
    streams = Recorder(0, "test", 0, 2)
    pipeline.scheduler.set_timesteps(8)
    with torch.inference_mode():
        ours = OnGrid(pipeline.scheduler.sigmas.tolist()).sample(model, streams)
    draws(monkeypatch, "pipelines.ddpm.pipeline_ddpm", streams.drawn)
    assert (images(pipeline, num_inference_steps=8) - model.space.to_user(ours)).abs().max() < 1e-5


@pytest.mark.long
@pytest.mark.parametrize(
    "unet", [{}, {"time_embedding_type": "fourier"}, NCSNPP], ids=["positional", "fourier", "NCSN++"]
)
def test_a_score_sde_ve_pipeline_draws_the_same_images(monkeypatch, tmp_path, unet):
    """Its own predictor–corrector loop (Song et al. 2021, algorithm 2) with our score, from the same noise.

    diffusers shares one step size among the batch, and its predictor's noise levels are those of a table; the loop here
    is written from the paper with both, and differs in rounding only, of values up to σ_max = 5: 1e-4.
    """
    from diffusers.pipelines.deprecated.score_sde_ve.pipeline_score_sde_ve import ScoreSdeVePipeline

    scheduler = diffusers.ScoreSdeVeScheduler(sigma_min=0.1, sigma_max=5.0, snr=0.15)
    pipeline, model = made(tmp_path, ScoreSdeVePipeline, scheduler, **unet)
    assert (model.space.low, model.space.high) == (0.0, 1.0)
    steps, streams = 12, Recorder(0, "test", 0, 2)
    grid = torch.linspace(1, 1e-5, steps, dtype=torch.float64).tolist()
    table = [model.path.sigma(k / (steps - 1)) if k else 0.1 for k in range(steps)]
    x = 5.0 * streams.normal(3, 8, 8)
    with torch.inference_mode():
        for t in grid:
            for correcting in (True, False):
                score = -model.predict(x, t).noise / model.path.sigma(t)
                z = streams.normal(3, 8, 8)
                if correcting:
                    norm_z, norm_s = (v.flatten(1).norm(dim=1).mean() for v in (z, score))
                    step = 2 * (0.15 * norm_z / norm_s) ** 2
                    x = x + step * score + (2 * step).sqrt() * z
                else:
                    k = int(torch.tensor(t, dtype=torch.float32) * (steps - 1))
                    gain = table[k] ** 2 - (table[k - 1] ** 2 if k else 0.0)
                    mean = x + gain * score
                    x = mean + gain**0.5 * z
    draws(
        monkeypatch,
        "schedulers.scheduling_sde_ve pipelines.deprecated.score_sde_ve.pipeline_score_sde_ve",
        streams.drawn,
    )
    assert (images(pipeline, num_inference_steps=steps) - mean.clamp(0, 1)).abs().max() < 1e-4


def the_loop_of_diffusers(pipeline, noise: list[Tensor], label: Tensor | None = None) -> Tensor:  # type: ignore[no-untyped-def]
    """Its scheduler's steps from given noise: what its documentation has for networks with classes."""
    import diffusers.schedulers.scheduling_ddpm as module

    drawn = iter(noise)
    x, before = next(drawn), module.randn_tensor
    module.randn_tensor = lambda *a, **k: next(drawn)
    try:
        with torch.no_grad():
            for t in pipeline.scheduler.timesteps:
                answer = pipeline.unet(x, t, class_labels=label).sample
                x = pipeline.scheduler.step(answer, t, x).prev_sample
    finally:
        module.randn_tensor = before
    return x


@pytest.mark.long
@pytest.mark.parametrize("unet", [{}, SCALED, {"act_fn": "relu", "mid_block_scale_factor": 1.414}])
def test_a_network_with_classes_is_a_conditional_model(tmp_path, unet):
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.95)
    pipeline, model = made(tmp_path, diffusers.DDPMPipeline, scheduler, num_class_embeds=5, **unet)
    assert model.conditions == {"label": ConditionSpec.label(5)}
    with_our_table(pipeline.scheduler, model)
    pipeline.scheduler.set_timesteps(20)
    label, streams = torch.tensor([4, 0]), Recorder(0, "test", 0, 2)
    with torch.inference_mode():
        ours = make_sampler(model).sample(model, streams, condition=Condition(label=label))
    theirs = the_loop_of_diffusers(pipeline, streams.drawn, label)
    assert (theirs - ours).abs().max() < 1e-5
    other = the_loop_of_diffusers(pipeline, streams.drawn, torch.tensor([4, 1]))
    assert (other - ours)[0].abs().max() < 1e-5
    assert (other - ours)[1].abs().max() > 1e-3
    user = zoo_core.sample(model, 2, condition={"label": [4, 0]})
    assert user.shape == (2, 3, 8, 8)


def test_labels_that_are_missing_or_wrong(tmp_path):
    _, model = made(tmp_path, diffusers.DDPMPipeline, diffusers.DDPMScheduler(), num_class_embeds=5)
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with pytest.raises(ConditionError, match="needs a condition 'label' in 0 … 4 and cannot be asked without one"):
        model.predict(x, 0.5)
    with pytest.raises(ConditionError, match="'label' = 5 is out of range; expected 0 … 4"):
        model.predict(x, 0.5, condition=Condition(label=torch.tensor([0, 5])))
    plain = zoo_core.load("ddpm-mnist-plain")
    with pytest.raises(ConditionError, match="no condition 'label'"):
        plain.predict(torch.zeros(1, 1, 28, 28), 0.5, condition=Condition(label=torch.tensor([0])))


def test_logs_of_time_with_a_scheduler_that_begins_at_0(tmp_path):
    """diffusers answers NaN at entry 0; elsewhere its answer is ours, to float32 rounding."""
    pipeline, model = made(tmp_path, diffusers.DDPMPipeline, diffusers.DDPMScheduler(num_train_timesteps=50), **NCSNPP)
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.no_grad():
        assert (model.predict(x, 11 / 50).noise - pipeline.unet(x, torch.tensor(10)).sample).abs().max() < 1e-5
        assert not pipeline.unet(x, torch.tensor(0)).sample.isfinite().any()
        with pytest.raises(IncompatibleError, match="time_embedding_type = 'fourier' takes the log of the time, and"):
            model.predict(x, 1 / 50)
    assert torch.isfinite(zoo_core.sample(model, 2, sampler="ddim", steps=5, spacing="trailing")).all()


def test_learned_times_are_those_of_the_table(monkeypatch, tmp_path):
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.95)
    unet = {"time_embedding_type": "learned", "num_train_timesteps": 25}
    pipeline, model = made(tmp_path, diffusers.DDPMPipeline, scheduler, **unet)
    with_our_table(pipeline.scheduler, model)
    streams = Recorder(0, "test", 0, 2)
    with torch.inference_mode():
        ours = model.space.to_user(make_sampler(model).sample(model, streams))
    draws(monkeypatch, "schedulers.scheduling_ddpm pipelines.ddpm.pipeline_ddpm", streams.drawn)
    assert (images(pipeline, num_inference_steps=20) - ours).abs().max() < 1e-5
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    diffusers.DDPMPipeline(pipeline.unet, flow).save_pretrained(tmp_path / "flow")
    with pytest.raises(WeightsError, match="num_train_timesteps = 25 learned times are too few for FlowMatchEuler"):
        zoo_core.load(str(tmp_path / "flow"))


def test_every_sampler_that_fits_runs_on_a_pipeline(tmp_path):
    _, model = made(tmp_path, diffusers.DDPMPipeline, diffusers.DDPMScheduler(num_train_timesteps=50))
    for name, options in (("ancestral", {}), ("ddim", {"steps": 5, "eta": 0.5})):
        x = zoo_core.sample(model, 2, sampler=name, **options)
        assert x.shape == (2, 3, 8, 8)
        assert torch.isfinite(x).all()


def test_old_names_of_attention(tmp_path):
    """As checkpoints from before diffusers 0.15 have them: the same model, and the same file when it is saved."""
    from safetensors.torch import load_file, save_file

    _, model = made(tmp_path, diffusers.DDPMPipeline, diffusers.DDPMScheduler(num_train_timesteps=50))
    file = tmp_path / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        state = {name.replace(f".{new}.", f".{old}."): value for name, value in state.items()}
    save_file(state, file, metadata={"format": "pt"})
    again = zoo_core.load(str(tmp_path / "pipeline"))
    x = Streams(0, "test", 0, 2).normal(3, 8, 8)
    assert torch.equal(again.predict(x, 0.5).data, model.predict(x, 0.5).data)
    assert set(again.state_dict()) == set(state)
