"""Latent pipelines: the path runs among codes, and samples are images; diffusers' own pipeline draws the same.

diffusers' float32 tables cost 1e-4 (see zoo-ddpm's cross-checks), so ours takes their place where the loop is its own.
What remains is the rounding of float32 networks and of a decoder behind them: 1e-4 of images in [0, 1].
"""

from __future__ import annotations

import json

import pytest
import torch

import zoo_core
from zoo_core import lookup
from zoo_core.cli import main
from zoo_core.errors import ConditionError, IncompatibleError, WeightsError
from zoo_core.interfaces import Call, Condition, ConditionSpec, Streams
from zoo_core.sampling import make_sampler

diffusers = pytest.importorskip("diffusers")

DIT = {
    "sample_size": 4,
    "patch_size": 2,
    "in_channels": 3,
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
SCHEDULER = {"num_train_timesteps": 100, "clip_sample": False, "set_alpha_to_one": True, "steps_offset": 0}


def zoo(*arguments: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def made(small):
    """A function that makes a latent pipeline of a kind of autoencoder."""

    def make(kind, scheduler=None, **changes):  # type: ignore[no-untyped-def]
        with small.seeded():
            unet = small.shaken(diffusers.UNet2DModel(**small.unet))
            codes = (
                {"vq_embed_dim": 3, "latent_channels": 4, "num_vq_embeddings": 16} if kind is diffusers.VQModel else {}
            )
            autoencoder = small.shaken(kind(**small.autoencoder | codes | changes))
        scheduler = scheduler or diffusers.DDIMScheduler(**SCHEDULER)
        return diffusers.LDMPipeline(vqvae=autoencoder, unet=unet, scheduler=scheduler)

    return make


def with_our_table(pipeline, model) -> None:  # type: ignore[no-untyped-def]
    path = model.inner.path
    table = [path.alpha_bar(path.time(k)) for k in range(path.steps)]
    pipeline.scheduler.alphas_cumprod = torch.tensor(table, dtype=torch.float64)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["VQModel", "AutoencoderKL"])
def test_a_latent_pipeline_draws_the_same_images(monkeypatch, tmp_path, small, made, kind):
    pipeline = made(getattr(diffusers, kind))
    pipeline.save_pretrained(tmp_path / "p")
    model = zoo_core.load(str(tmp_path / "p"))
    assert model.space.shape == (3, 16, 16)
    assert model.inner.space.shape == (3, 8, 8)
    assert model.inner.space.low is None
    noise = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.inference_mode():
        sampler = make_sampler(model, steps=10)
        ours = model.space.to_user(sampler.sample(model, Streams(0, "test", 0, 2), noise=noise))
    with_our_table(pipeline, model)
    small.draws(monkeypatch, "pipelines.deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond", [noise])
    theirs = small.images(pipeline, batch_size=2, num_inference_steps=10)
    assert (theirs - ours).abs().max() < 1e-4
    assert theirs.std() > 0.01


def test_codes_are_clipped_where_the_scheduler_says_so(tmp_path, made):
    made(diffusers.AutoencoderKL, diffusers.DDIMScheduler(**SCHEDULER | {"clip_sample": True})).save_pretrained(
        tmp_path / "p"
    )
    model = zoo_core.load(str(tmp_path / "p"))
    seen = []
    sampler = make_sampler(model, steps=3)
    with torch.inference_mode():
        sampler.draw(model.inner, Call(Streams(0, "test", 0, 2), observer=lambda frame: seen.append(frame.data)))
    assert len(seen) == 3
    assert all(data.abs().max() == 1.0 for data in seen)


def test_the_scaling_factor_is_obeyed(tmp_path, made):
    pipeline = made(diffusers.AutoencoderKL)
    pipeline.save_pretrained(tmp_path / "p")
    model = zoo_core.load(str(tmp_path / "p"))
    codes = Streams(0, "test", 0, 2).normal(3, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.decoded(codes), pipeline.vqvae.decode(codes / 0.7).sample)
    file = tmp_path / "p" / "vqvae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scaling_factor": 0.35}))
    assert torch.equal(zoo_core.load(str(tmp_path / "p")).decoded(codes / 2), model.decoded(codes))


@pytest.mark.long
@pytest.mark.slow
def test_a_latent_repository_is_a_model_like_any_other(server, tmp_path, small, made, capsys):
    made(diffusers.VQModel).save_pretrained(tmp_path / "p", max_shard_size="100KB")
    commit = server.add_repo("org/ldm", small.files(tmp_path / "p"))
    model, mine = zoo_core.load("hf:org/ldm"), zoo_core.load(str(tmp_path / "p"))
    assert len(model.entry.weights.files) > 2
    assert {w.revision for w in model.entry.weights.files} == {commit}
    assert torch.equal(zoo_core.sample(model, 2, steps=3), zoo_core.sample(mine, 2, steps=3))
    state = mine.state_dict()
    assert {"conv_in.weight", "decoder.conv_in.weight", "quantize.embedding.weight"} <= set(state)
    known = lookup.info("hf:org/ldm")
    assert known["capabilities"] == ["Composition"]
    assert {"ddim", "ancestral", "heun", "dpm-solver", "ode"} <= set(known["samplers"])
    assert "direct" not in known["samplers"]
    for name in ("heun", "ancestral", "inpaint"):
        assert zoo_core.sample(model, 2, sampler=name, steps=2).shape == (2, 3, 16, 16)
    picture = tmp_path / "picture.png"
    assert zoo("sample", "hf:org/ldm", "-n", "1", "--steps", "2", "--out", str(picture)) == 0
    with pytest.raises(IncompatibleError, match="'sdedit' begins with data, which this model would have to encode"):
        zoo_core.sample(model, 1, sampler="sdedit", image=str(picture))
    capsys.readouterr()
    assert zoo("load", "hf:org/ldm") == 0
    assert "image 3×16×16; one drawn, finite" in capsys.readouterr().out
    film = tmp_path / "film.gif"
    assert zoo("sample", "hf:org/ldm", "-n", "1", "--steps", "2", "--out", str(picture), "--trajectory", str(film)) == 0
    assert film.is_file()
    assert zoo("export", str(tmp_path / "p"), "--format", "diffusers", str(tmp_path / "out")) == 0
    again = diffusers.LDMPipeline.from_pretrained(tmp_path / "out")
    parts = again.unet.state_dict() | again.vqvae.state_dict()
    assert all(torch.equal(value, parts[name]) for name, value in state.items())
    assert torch.equal(zoo_core.sample(str(tmp_path / "out"), 2, steps=3), zoo_core.sample(mine, 2, steps=3))


def test_a_latent_model_in_half_precision(tmp_path, made):
    made(diffusers.AutoencoderKL).save_pretrained(tmp_path / "p")
    whole, half = (zoo_core.load(str(tmp_path / "p"), dtype=dtype) for dtype in (None, "bfloat16"))
    codes = Streams(0, "test", 0, 2).normal(3, 8, 8)
    assert half.decoded(codes).dtype == torch.float32
    assert (half.decoded(codes) - whole.decoded(codes)).abs().mean() < 0.05 * whole.decoded(codes).std()
    assert zoo_core.sample(half, 1, steps=2).isfinite().all()


def test_old_names_in_the_autoencoder(tmp_path, made):
    from safetensors.torch import load_file, save_file

    made(diffusers.VQModel).save_pretrained(tmp_path / "p")
    expected = zoo_core.sample(zoo_core.load(str(tmp_path / "p")), 1, steps=2)
    file = tmp_path / "p" / "vqvae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        state = {name.replace(f".{new}.", f".{old}."): value for name, value in state.items()}
    save_file(state, file, metadata={"format": "pt"})
    model = zoo_core.load(str(tmp_path / "p"))
    assert model.entry.config["old_names"] == ["autoencoder"]
    assert torch.equal(zoo_core.sample(model, 1, steps=2), expected)
    assert "decoder.mid_block.attentions.0.query.weight" in model.state_dict()


CHANGES = {
    "kind": ({"_class_name": "AutoencoderTiny"}, r"_class_name = 'AutoencoderTiny' has no counterpart here"),
    "shift": ({"shift_factor": 0.1}, "shift_factor = 0.1 has no counterpart here"),
    "codes": ({"latent_channels": 5}, "codes of 5 channels; those of the network have 3"),
    "scale": ({"scaling_factor": 0.0}, "scaling_factor = 0.0; expected a number other than 0"),
    "no scale": ({"scaling_factor": "x"}, "scaling_factor = x; expected a number other than 0"),
    "groups": ({"norm_num_groups": 5}, "autoencoder: diffusers' AutoencoderKL refuses this configuration: "),
    "size": ({"layers_per_block": 1 << 19}, "describes more than .* modules and tensors, and its file has"),
    "widths": ({"block_out_channels": [8, 32]}, "the file does not fit diffusers-latent with this config"),
    "numbers": ({"layers_per_block": 1 << 40}, "its config has the number 1.1e"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_autoencoder_that_is_not_what_it_should_be(tmp_path, made, case):
    change, words = CHANGES[case]
    made(diffusers.AutoencoderKL).save_pretrained(tmp_path / "p")
    file = tmp_path / "p" / "vqvae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(WeightsError, match=words):
        zoo_core.load(str(tmp_path / "p"))


@pytest.fixture
def transformer(small, tmp_path):
    """A pipeline of a diffusion transformer, as diffusers made it; saved in the folder ``p``."""
    with small.seeded():
        network = small.shaken(diffusers.DiTTransformer2DModel(**DIT | {"out_channels": 6}))
        autoencoder = small.shaken(diffusers.AutoencoderKL(**small.autoencoder))
    pipeline = diffusers.DiTPipeline(network, autoencoder, diffusers.DDIMScheduler(**SCHEDULER))
    pipeline.save_pretrained(tmp_path / "p")
    return pipeline


@pytest.mark.long
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_diffusion_transformer_draws_the_same_images(monkeypatch, tmp_path, small, transformer, guidance):
    model = zoo_core.load(str(tmp_path / "p"))
    assert model.conditions == {"label": ConditionSpec.label(1000, null=True)}
    assert model.entry.sampler.options["guidance"] == 4.0
    noise, label = Streams(0, "test", 0, 2).normal(3, 4, 4), torch.tensor([999, 7])
    with torch.inference_mode():
        ours = make_sampler(model, steps=10).sample(
            model, Streams(0, "test", 0, 2), noise=noise, condition=Condition(label=label), guidance=guidance
        )
    with_our_table(transformer, model)
    small.draws(monkeypatch, "pipelines.dit.pipeline_dit", [noise])
    options = {"class_labels": label.tolist(), "guidance_scale": guidance, "num_inference_steps": 10}
    assert (small.images(transformer, **options) - model.space.to_user(ours)).abs().max() < 1e-3
    user = zoo_core.sample(model, 2, steps=2, condition={"label": [999, 7]}, guidance=guidance)
    assert user.shape == (2, 3, 8, 8)


def test_a_diffusion_transformer_may_be_asked_without_a_label(tmp_path, transformer):
    model = zoo_core.load(str(tmp_path / "p"))
    x = Streams(0, "test", 0, 2).normal(3, 4, 4)
    null = Condition(label=torch.tensor([1000, 1000]))
    assert torch.equal(model.inner.predict(x, 0.5).data, model.inner.predict(x, 0.5, condition=null).data)
    with pytest.raises(ConditionError, match="'label' = 1001 is out of range"):
        model.inner.predict(x, 0.5, condition=Condition(label=torch.tensor([1001, 0])))


def test_a_transformer_of_the_old_class_name_and_one_without_end(tmp_path, transformer):
    file = tmp_path / "p" / "transformer" / "config.json"
    config = json.loads(file.read_text())
    index = tmp_path / "p" / "model_index.json"
    expected = zoo_core.sample(zoo_core.load(str(tmp_path / "p")), 1, steps=2)
    file.write_text(json.dumps(config | {"_class_name": "Transformer2DModel"}))
    old = json.loads(index.read_text()) | {"transformer": ["diffusers", "Transformer2DModel"]}
    index.write_text(json.dumps(old))
    assert torch.equal(zoo_core.sample(zoo_core.load(str(tmp_path / "p")), 1, steps=2), expected)
    for change, words in (
        ({"sample_size": 1 << 15, "patch_size": 1}, r"a table of 8,589,934,592 positions; at most 33,554,432 are made"),
        ({"sample_size": "big"}, "sample_size = big, patch_size = 2, .*; expected integers"),
        ({"num_layers": 1 << 18}, "describes more than .* modules and tensors"),
    ):
        file.write_text(json.dumps(config | change))
        with pytest.raises(WeightsError, match=words):
            zoo_core.load(str(tmp_path / "p"))
