"""DDIM, 50 steps, 64 images: the zoo against diffusers' ``DDIMPipeline`` on the same weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from comparison import Row, in_turns
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

import zoo_core
from zoo_core.saving.exporting import export
from zoo_ddpm.diffusers_export import scheduler_config


def measure() -> list[Row]:
    """Five rounds, in turns; bfloat16 where the processor multiplies in it."""
    full = zoo_core.load("ddpm-mnist-plain")
    assert full.entry is not None
    with tempfile.TemporaryDirectory() as folder:
        export("ddpm-mnist-plain", "diffusers", Path(folder) / "it")
        unet = UNet2DModel.from_pretrained(Path(folder) / "it" / "unet")
    scheduler = DDIMScheduler.from_config(scheduler_config(dict(full.entry.config), "DDIMScheduler"))
    pipeline = DDIMPipeline(unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)

    def theirs() -> object:
        source = torch.Generator().manual_seed(0)
        return pipeline(batch_size=64, generator=source, num_inference_steps=50, output_type="np")

    work = {"theirs": theirs, "float32": lambda: zoo_core.sample(full, 64, sampler="ddim", steps=50, eta=0.0)}
    if has_bfloat16():
        half = zoo_core.load("ddpm-mnist-plain", dtype="bfloat16")
        work["bfloat16"] = lambda: zoo_core.sample(half, 64, sampler="ddim", steps=50, eta=0.0)
    took = in_turns(work, 5)
    peer = "diffusers `DDIMPipeline`, float32"
    rows = [Row("DDIM-50, 64 images, float32", peer, took["float32"], took["theirs"], 1.0)]
    if "bfloat16" in took:
        rows.append(Row("DDIM-50, 64 images, `--dtype bfloat16`", peer, took["bfloat16"], took["theirs"], 1.6))
    return rows


def has_bfloat16() -> bool:
    """Whether this processor has instructions for it; without them it is ten times slower than float32."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
