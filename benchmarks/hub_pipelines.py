"""Pipelines in diffusers' format: the zoo's samplers against diffusers' own pipelines, with the same weights.

The weights are arbitrary, of networks in the shape of published ones: the DDPM of CIFAR-10 at half its width, the
blocks of the consistency models, and a latent pipeline whose autoencoder is diffusers' own on both sides.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import diffusers as published
import torch
from comparison import Row, in_turns

import zoo_core

diffusers: Any = published
"""Its classes have no type hints."""

CIFAR: dict[str, Any] = {
    "sample_size": 32,
    "block_out_channels": (64, 128, 128, 128),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
}
SCALED: dict[str, Any] = {
    "sample_size": 32,
    "block_out_channels": (64, 128),
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "attention_head_dim": 32,
    "resnet_time_scale_shift": "scale_shift",
    "num_class_embeds": 10,
}
LATENT: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (64, 128),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 32,
}
AUTOENCODER: dict[str, Any] = {
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "latent_channels": 3,
}
STEPS = 5


def pipelines() -> dict[str, tuple[Any, int, dict[str, Any], dict[str, Any]]]:
    """The pipelines: name → pipeline, number of images, options of its call, and options of ours."""
    torch.manual_seed(0)
    tabled = diffusers.DDIMScheduler(clip_sample=False)
    label = [0, 1, 2, 3]
    return {
        f"DDIM-{STEPS}, 2 images 32×32, the U-Net of CIFAR-10's DDPM": (
            diffusers.DDIMPipeline(diffusers.UNet2DModel(**CIFAR), tabled),
            2,
            {"num_inference_steps": STEPS},
            {"steps": STEPS},
        ),
        f"latent DDIM-{STEPS}, 8 images 64×64 by a VQ-VAE": (
            diffusers.LDMPipeline(diffusers.VQModel(**AUTOENCODER), diffusers.UNet2DModel(**LATENT), tabled),
            8,
            {"num_inference_steps": STEPS},
            {"steps": STEPS},
        ),
        "consistency, one step, 32 images 32×32 with labels": (
            diffusers.ConsistencyModelPipeline(
                diffusers.UNet2DModel(**SCALED), diffusers.CMStochasticIterativeScheduler()
            ),
            32,
            {"num_inference_steps": 1, "class_labels": label * 8},
            {"condition": {"label": label}},
        ),
    }


def measure() -> list[Row]:
    """Three rounds each, in turns."""
    rows = []
    for name, (pipeline, count, options, ours) in pipelines().items():
        pipeline.set_progress_bar_config(disable=True)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.save_pretrained(Path(folder) / "it")
            model = zoo_core.load(str(Path(folder) / "it"))

            def theirs(pipeline=pipeline, count=count, options=options) -> object:  # type: ignore[no-untyped-def]
                return pipeline(batch_size=count, output_type="np", **options)

            def mine(model=model, count=count, ours=ours) -> object:  # type: ignore[no-untyped-def]
                return zoo_core.sample(model, count, **ours)

            took = in_turns({"ours": mine, "theirs": theirs}, 3)
        peer = f"diffusers `{type(pipeline).__name__}`, the same weights"
        rows.append(Row(name, peer, took["ours"], took["theirs"], 1.0))
    return rows
