"""Pickled weights: never read by the zoo, and converted by the command that the refusal names."""

from __future__ import annotations

import os
import pickle
import re
import shlex

import pytest
import torch

import zoo_core
from zoo_core.errors import WeightsError, ZooError
from zoo_diffusers.convert import convert, main

diffusers = pytest.importorskip("diffusers")


@pytest.fixture
def pickled(small, tmp_path):
    """A function that saves a pipeline with pickled weights in the folder ``p``."""

    def save(**options):  # type: ignore[no-untyped-def]
        with small.seeded():
            unet = small.shaken(diffusers.UNet2DModel(**small.unet))
        pipeline = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.9))
        pipeline.save_pretrained(tmp_path / "p", safe_serialization=False, **options)
        return pipeline

    return save


def refusal(reference: str) -> str:
    with pytest.raises(WeightsError, match=r"is a pickle, which can run code .*, and is not read here") as caught:
        zoo_core.load(reference)
    return str(caught.value)


def follow(message: str, folder, capsys) -> None:  # type: ignore[no-untyped-def]
    """Runs the command of a refusal, with a folder put in."""
    command = re.search(r"python -m zoo_diffusers\.convert (.*) makes", message)
    assert command is not None
    main(shlex.split(command[1].replace("FOLDER", str(folder))))
    assert f"zoo load local-dir:{folder}" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "20KB"}], ids=["whole", "shards"])
def test_the_command_of_the_refusal_works(tmp_path, pickled, capsys, options):
    pipeline = pickled(**options)
    assert (tmp_path / "p" / "unet" / "diffusion_pytorch_model.bin").is_file() is not bool(options)
    follow(refusal(str(tmp_path / "p")), tmp_path / "out", capsys)
    model = zoo_core.load(f"local-dir:{tmp_path / 'out'}")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in pipeline.unet.state_dict().items())
    assert zoo_core.sample(model, 1, sampler="ddim", steps=2).isfinite().all()


@pytest.mark.long
def test_a_repository_is_converted_and_its_pickle_not_fetched_before(server, tmp_path, small, pickled, capsys):
    pickled()
    server.add_repo("org/old", small.files(tmp_path / "p"))
    message = refusal("hf:org/old")
    assert "hf:org/old@" in message
    assert not any(method == "GET" and path.endswith(".bin") for method, path in server.requests)
    follow(message, tmp_path / "out", capsys)
    assert zoo_core.load(str(tmp_path / "out")).space.shape == (3, 8, 8)


def test_parts_that_are_well_are_copied(small, tmp_path):
    with small.seeded():
        autoencoder = diffusers.AutoencoderKL(**small.autoencoder)
        unet = diffusers.UNet2DModel(**small.unet)
    diffusers.LDMPipeline(autoencoder, unet, diffusers.DDIMScheduler()).save_pretrained(tmp_path / "p")
    (tmp_path / "p" / "vqvae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"state_dict": autoencoder.state_dict()}, tmp_path / "p" / "vqvae" / "diffusion_pytorch_model.ckpt")
    assert "vqvae/diffusion_pytorch_model.ckpt is a pickle" in refusal(str(tmp_path / "p"))
    convert(str(tmp_path / "p"), tmp_path / "out")
    assert zoo_core.load(str(tmp_path / "out")).space.shape == (3, 16, 16)


class Attack:
    """What a pickle can do: a command of its author."""

    def __init__(self, file):  # type: ignore[no-untyped-def]
        self.file = file

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.system, (f"touch {self.file}",)


def test_a_pickle_with_code_runs_nothing(tmp_path, pickled, capsys):
    pickled()
    file = tmp_path / "p" / "unet" / "diffusion_pytorch_model.bin"
    for write in (lambda what: file.write_bytes(pickle.dumps(what, protocol=2)), lambda what: torch.save(what, file)):
        write({"conv_in.weight": Attack(tmp_path / "ran")})
        with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.bin holds other things than tensors"):
            convert(str(tmp_path / "p"), tmp_path / "out")
        assert not (tmp_path / "ran").exists()
        assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted(tmp_path, pickled, capsys):
    pickled()
    file = tmp_path / "p" / "unet" / "diffusion_pytorch_model.bin"
    torch.save([torch.zeros(1)], file)
    with pytest.raises(WeightsError, match="is no table of tensors by name; it cannot be converted"):
        convert(str(tmp_path / "p"), tmp_path / "out")
    file.unlink()
    with pytest.raises(WeightsError, match=r"has no pickled weights such as unet/.*; there is nothing to"):
        convert(str(tmp_path / "p"), tmp_path / "out")
    with pytest.raises(ZooError, match="is there already; choose another folder"):
        convert(str(tmp_path / "p"), tmp_path)
    index = tmp_path / "p" / "unet" / "diffusion_pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"conv_in.weight": "../model_index.json"}}')
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "p"), str(tmp_path / "out")])
    assert end.value.code == 4
    assert "names 1 files; expected files beside it" in capsys.readouterr().err
