"""Whole trajectories against diffusers, from the same noise.

diffusers keeps its tables in float32, which alone costs 1e-4; with our float64 table put in their place the two
implementations agree to 1e-9 over whole loops, in float64.  Where diffusers is off, the test says so and avoids it:

* with ``trailing`` (or ``linspace``) and fewer steps than T, its DDPM still adds noise of variance β in the step that
  lands on the data, since it asks whether the *index* is 0; ours adds none.  So respaced chains are compared on
  ``leading``.
* its DDIM takes t − T//n for the next time whatever the spacing: right for ``leading``, and for ``trailing`` where n
  divides T.
"""

import pytest
import torch
from torch import Tensor

from zoo_core.interfaces import Streams
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.ddim import DDIM
from zoo_ddpm.diffusers_export import scheduler_config
from zoo_ddpm.model import DDPM

diffusers = pytest.importorskip("diffusers")


class Toy(DDPM):
    """A bounded, nonlinear 'network' that depends on the time: a linear one would hide a wrong time or scale."""

    def answer(self, x_t: Tensor, index: Tensor, *, condition=None) -> tuple[Tensor, Tensor | None]:  # type: ignore
        time = index.reshape(-1, *[1] * (x_t.ndim - 1)).to(x_t.dtype)
        output = torch.tanh(0.7 * x_t + 0.3 * x_t.roll(1, -1)) + 0.2 * torch.sin(time / 150)
        return output, (torch.tanh(x_t) + 1) / 2 if self.variance == "learned" else None


class Recorder(Streams):
    """Streams that remember what was drawn."""

    def normal(self, *shape: int) -> Tensor:
        self.drawn = getattr(self, "drawn", [])
        self.drawn.append(super().normal(*shape))
        return self.drawn[-1]


def toy(**config: str) -> tuple[Toy, dict]:
    full = {"shape": [1, 4, 4], "network": {"kind": "unet", "widths": [8]}, **config}
    return Toy(**full).double(), full


def with_our_table(scheduler, model):  # type: ignore[no-untyped-def]
    path = model.path
    table = [path.alpha_bar(path.time(k)) for k in range(path.steps)]
    scheduler.alphas_cumprod = torch.tensor(table, dtype=torch.float64)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Over the whole trajectory, relative to its largest value."""
    return max(((a - b).abs().max() / b.abs().max().clamp_min(1.0)).item() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("steps", [1000, 50])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned"])
@pytest.mark.parametrize(
    ("schedule", "prediction", "clip"),
    [
        ("linear", "noise", True),
        ("linear", "noise", False),
        ("linear", "data", True),
        ("quadratic", "v", False),
        ("cosine", "noise", True),
        ("cosine", "v", False),
    ],
)
def test_every_ddpm_step(monkeypatch, schedule, prediction, clip, variance, steps):
    model, config = toy(noise_schedule=schedule, prediction=prediction, variance=variance)
    streams = Recorder(1, "test", 0, 2, dtype=torch.float64)
    x = Streams(0, "start", 0, 2, dtype=torch.float64).normal(1, 4, 4)
    ours: list[Tensor] = []
    sampler = Ancestral(steps, spacing="leading", clip=clip)
    sampler.sample(model, streams, noise=x, observer=lambda frame: ours.append(frame.state))

    arguments = scheduler_config(config) | {"timestep_spacing": "leading", "clip_sample": clip}
    arguments.pop("_class_name")
    scheduler = with_our_table(diffusers.DDPMScheduler(**arguments), model)
    scheduler.set_timesteps(steps)
    noise = iter(streams.drawn)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, **k: next(noise))
    theirs: list[Tensor] = []
    for t in scheduler.timesteps:
        output, mix = model.answer(x, t)
        if mix is not None:
            output = torch.cat([output, 2 * mix - 1], dim=1)
        x = scheduler.step(output, t, x).prev_sample
        theirs.append(x)
    assert largest_difference(ours, theirs) < 1e-9
    assert next(noise, None) is None  # both drew the same number of times


@pytest.mark.long
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 1000), ("leading", 30), ("trailing", 50)])
@pytest.mark.parametrize(
    ("schedule", "prediction", "clip"),
    [("linear", "noise", False), ("linear", "v", True), ("quadratic", "data", True), ("cosine", "v", False)],
)
def test_every_ddim_step(schedule, prediction, clip, spacing, steps, eta):
    model, config = toy(noise_schedule=schedule, prediction=prediction)
    streams = Recorder(1, "test", 0, 2, dtype=torch.float64)
    x = Streams(0, "start", 0, 2, dtype=torch.float64).normal(1, 4, 4)
    ours: list[Tensor] = []
    sampler = DDIM(steps, eta=eta, spacing=spacing, clip=clip)
    sampler.sample(model, streams, noise=x, observer=lambda frame: ours.append(frame.state))

    arguments = scheduler_config(config, "DDIMScheduler") | {"timestep_spacing": spacing, "clip_sample": clip}
    arguments.pop("_class_name")
    scheduler = with_our_table(diffusers.DDIMScheduler(**arguments), model)
    scheduler.set_timesteps(steps)
    noise = iter(getattr(streams, "drawn", []))
    theirs: list[Tensor] = []
    for i, t in enumerate(scheduler.timesteps):
        fresh = next(noise) if eta and i < steps - 1 else torch.zeros_like(x)
        x = scheduler.step(
            model.answer(x, t)[0], t, x, eta=eta, use_clipped_model_output=True, variance_noise=fresh
        ).prev_sample
        theirs.append(x)
    assert largest_difference(ours, theirs) < 1e-9


def test_ddim_with_eta_one_is_the_small_variance_chain():
    model, _ = toy(noise_schedule="linear")
    ends = [
        sampler.sample(model, Streams(3, "test", 0, 2, dtype=torch.float64))
        for sampler in (DDIM(100, eta=1.0), Ancestral(100, variance="fixed_small"))
    ]
    assert torch.allclose(*ends, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        {"widths": [16, 32, 64], "blocks": 1, "attention": [2], "time_width": 128},
        {"widths": [8, 16], "blocks": 2, "attention": [0, 1], "head_width": 8},
    ],
)
def test_unet_is_diffusers_unet(network):
    """Equal outputs to 1e-5 with the same parameters, and the parameters come back to the bit."""
    from zoo_nets.diffusers_unet import from_diffusers, to_diffusers, unet2d_config
    from zoo_nets.unet import UNet

    ours = UNet(1, 2, **network)
    source = torch.Generator().manual_seed(0)
    for p in ours.parameters():
        p.data.normal_(std=0.1, generator=source)
    config = unet2d_config(network, 1, 2, 28)
    config.pop("_class_name")
    theirs = diffusers.UNet2DModel(**config)
    theirs.load_state_dict(to_diffusers(ours.state_dict()), strict=True)
    x = torch.randn(3, 1, 28, 28, generator=source)
    t = torch.tensor([0, 17, 999])
    with torch.no_grad():
        difference = (ours(x, t) - theirs(x, t).sample).abs().max()
    assert difference < 1e-5
    back = from_diffusers(theirs.state_dict(), like=ours.state_dict())
    assert all(torch.equal(back[name], value) for name, value in ours.state_dict().items())


def test_exported_pipeline_draws_the_same_images(tmp_path):
    """``DDPMPipeline.from_pretrained`` on our export: the same images from the same noise."""
    import zoo_core
    from zoo_core.saving.exporting import export

    export("ddpm-mnist-plain", "diffusers", tmp_path / "pipeline")
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    model = zoo_core.load("ddpm-mnist-plain")
    streams = Recorder(0, "test", 0, 2)
    x = Streams(0, "start", 0, 2).normal(1, 28, 28)
    with torch.inference_mode():
        ours = DDIM(20).sample(model, streams, noise=x)
    ddim = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, set_alpha_to_one=True)
    ddim.set_timesteps(20)
    with torch.inference_mode():
        for t in ddim.timesteps:
            x = ddim.step(pipeline.unet(x, t).sample, t, x, use_clipped_model_output=True).prev_sample
    # float32 tables there, float64 here: 3e-4 on the cosine schedule, carried through twenty evaluations
    assert (ours - x).abs().max() < 5e-3
    assert (ours - x).abs().mean() < 1e-4


@pytest.mark.slow
def test_exported_pipeline_runs_all_thousand_steps(monkeypatch, tmp_path):
    """The pipeline's own call, with our noise handed to it, draws what our ancestral sampler draws."""
    import zoo_core
    from zoo_core.saving.exporting import export

    export("ddpm-mnist-plain", "diffusers", tmp_path / "pipeline")
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    model = zoo_core.load("ddpm-mnist-plain")
    streams = Recorder(0, "test", 0, 4)
    with torch.inference_mode():
        ours = model.space.to_user(Ancestral().sample(model, streams))
    first = streams.drawn[0]
    noise = iter(streams.drawn)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, **k: next(noise))
    module = pipeline.__class__.__module__
    monkeypatch.setattr(f"{module}.randn_tensor", lambda *a, **k: next(noise))
    with_our_table(pipeline.scheduler, model)
    theirs = pipeline(batch_size=4, output_type="np").images
    theirs = torch.from_numpy(theirs).permute(0, 3, 1, 2)
    assert first.shape == (4, 1, 28, 28)
    assert (ours - theirs).abs().max() < 2e-2  # float32 rounding through a thousand evaluations
    assert (ours - theirs).abs().mean() < 1e-4
