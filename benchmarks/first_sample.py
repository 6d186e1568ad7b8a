"""From a folder of pictures to a first recognisable sample: ``zoo train`` against diffusers' unconditional example.

python benchmarks/first_sample.py [FOLDER]     half an hour of two cores; prints a row for each measurement

The folder has 4,000 RGB pictures of 32×32 pixels: digits and clothes, each in a colour of its own.  Both sides train
the same U-Net with batches of 64 on one thread: ours by the recipe that ``zoo train --family ddpm --data FOLDER``
derives, theirs by the defaults of ``examples/unconditional_image_generation`` (AdamW, 1e-4, 500 steps of warm-up, EMA,
a linear schedule of 1,000 steps, noise prediction).  After every so many steps, 200 samples of each are drawn by DDIM
with 20 steps, which is not counted, and their Fréchet distance by features that know nothing of the pictures
(``random-v1``) is measured, in units in which held-out pictures have 0 and noise 1.  A side is done where it is at most
``BAR``, where the eye knows most digits and clothes of the sheet; its time is CPU seconds, from the folder on.  The
sheets stay in FOLDER.
"""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

import zoo_core
from zoo_core import datasets
from zoo_core.interfaces import DataSet, SampleSpace
from zoo_core.loading import build
from zoo_core.registry.entry import Entry
from zoo_core.saving import snapshot
from zoo_core.saving.exporting import export
from zoo_core.saving.samples import save_samples
from zoo_core.training import Options, train
from zoo_core.training.choice import for_data
from zoo_core.training.target import Target
from zoo_metrics.extractor.random_features import RandomFeatures
from zoo_metrics.frechet import distance_of, statistics_of
from zoo_metrics.moments import Moments

COUNT, BATCH, DRAWN, SAMPLER_STEPS = 4000, 64, 200, 20
BAR = 0.06
EVERY, MOST = 250, 4000
"""Steps between two measurements, and at most."""


def pictures(split: str, count: int) -> tuple[Tensor, Tensor]:
    """Returns coloured digits and clothes in turns, uint8 ``(count, 3, 32, 32)``, and their kinds 0 … 19."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    sets = [datasets.load(name, split, n=count // 2) for name in ("mnist", "fashion-mnist")]
    every = torch.arange(count // 2)
    grey = torch.stack([torch.as_tensor(each.rows(every).x) for each in sets], 1).flatten(0, 1)
    kinds = torch.stack([torch.as_tensor(each.y) + 10 * i for i, each in enumerate(sets)], 1).flatten()
    padded = functional.pad(grey.float().reshape(count, 1, 28, 28), (2, 2, 2, 2))
    colour = torch.from_numpy(rng.uniform(0.25, 1.0, (count, 3, 1, 1))).float()
    return (padded * colour).round().to(torch.uint8), kinds


def write(folder: Path) -> None:
    """Writes the training pictures as PNG files."""
    folder.mkdir()
    for i, x in enumerate(pictures("train", COUNT)[0]):
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(folder / f"{i:05d}.png")


class Judge:
    """How far samples are from the pictures: 0 as held-out ones, 1 as noise."""

    def __init__(self) -> None:
        x, _ = pictures("train", COUNT)
        held_out, _ = pictures("test", DRAWN)
        self.view = RandomFeatures(DataSet("pictures", "train", x, levels=256)).features
        self.known = statistics_of(self.view(x / 255.0))
        noise = torch.rand(held_out.shape, generator=torch.Generator().manual_seed(0))
        self.floor, self.noise = self.distance(held_out / 255.0), self.distance(noise)

    def distance(self, x: Tensor) -> float:
        """Computes the Fréchet distance of pictures in [0, 1]."""
        return distance_of(self.known, Moments.of(self.view(x)))

    def __call__(self, x: Tensor) -> float:
        return (self.distance(x) - self.floor) / (self.noise - self.floor)


def entry_for(target: Target) -> Entry:
    """Derives the recipe of the folder."""
    return for_data("ddpm", target, {"batch": BATCH, "steps": MOST})


def ours(folder: Path, scratch: Path) -> Iterator[Callable[[], Tensor]]:
    """Trains with the zoo, and yields after every part of the run a function that draws samples."""
    target = Target.own(str(folder))
    entry = entry_for(target)
    examples = target.examples(entry.recipe)
    for until in range(EVERY, MOST + 1, EVERY):
        train(entry, scratch, Options(max_steps=until, checkpoint_every=EVERY, samples_every=0, quiet=True), examples)

        def draw() -> Tensor:
            model = zoo_core.load(str(scratch / "model"))
            drawn = zoo_core.sample(model, DRAWN, sampler="ddim", steps=SAMPLER_STEPS)
            assert isinstance(drawn, Tensor)
            return drawn

        yield draw


def theirs(folder: Path, network: Path) -> Iterator[Callable[[], Tensor]]:
    """Trains as diffusers' example does, with the network of a pipeline, from new weights."""
    diffusers: Any = importlib.import_module("diffusers")
    UNet2DModel, DDPMScheduler, DDIMScheduler = diffusers.UNet2DModel, diffusers.DDPMScheduler, diffusers.DDIMScheduler
    EMAModel = importlib.import_module("diffusers.training_utils").EMAModel
    scheduled = importlib.import_module("diffusers.optimization").get_cosine_schedule_with_warmup
    torch.manual_seed(0)
    net = UNet2DModel.from_config(UNet2DModel.load_config(network, subfolder="unet"))
    schedule = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    rate = scheduled(optimiser, 500, MOST)
    average = EMAModel(net.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    files = sorted(folder.iterdir())
    order: list[int] = []
    for step in range(1, MOST + 1):
        if len(order) < BATCH:
            order = torch.randperm(len(files)).tolist()
        rows, order = order[:BATCH], order[BATCH:]
        read = [torch.from_numpy(np.asarray(Image.open(files[i]).convert("RGB")).copy()).permute(2, 0, 1) for i in rows]
        x = torch.stack(read).float() / 127.5 - 1.0
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (BATCH,))
        loss = functional.mse_loss(net(schedule.add_noise(x, noise, t), t).sample, noise)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        rate.step()
        optimiser.zero_grad()
        average.step(net.parameters())
        if step % EVERY == 0:

            def draw() -> Tensor:
                mean = copy.deepcopy(net).eval()
                average.copy_to(mean.parameters())
                sampler = DDIMScheduler(num_train_timesteps=1000, beta_schedule="linear")
                sampler.set_timesteps(SAMPLER_STEPS)
                state = torch.randn(DRAWN, 3, 32, 32, generator=torch.Generator().manual_seed(0))
                with torch.no_grad():
                    for at in sampler.timesteps:
                        state = sampler.step(mean(state, at).sample, at, state).prev_sample
                return (state.clamp(-1, 1) + 1) / 2

            yield draw


def run(name: str, folder: Path, scratch: Path, sheets: Path) -> float | None:
    """Runs one side until it is good enough; returns its CPU seconds."""
    torch.set_num_threads(1)
    judge, space = Judge(), SampleSpace.of([3, 32, 32], low=0.0, high=1.0)
    took, begun = 0.0, time.process_time()
    for i, draw in enumerate((ours if name == "zoo" else theirs)(folder, scratch / name)):
        took += time.process_time() - begun
        x = draw()
        far = judge(x)
        print(f"{name:10} {EVERY * (i + 1):6} steps {took:8.0f} s   {far:.3f} of noise", flush=True)
        save_samples(x[:64], str(sheets / f"{name}-{EVERY * (i + 1):05d}.png"), space)
        if far <= BAR:
            return took
        begun = time.process_time()
    return None


def main() -> None:
    """Makes the folder, and runs both sides side by side."""
    sheets = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    sheets.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        write(scratch / "pictures")
        entry = entry_for(Target.own(str(scratch / "pictures")))
        snapshot.save(scratch / "new", entry, build(entry).state_dict())
        export(str(scratch / "new"), "diffusers", scratch / "diffusers")
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            sides = [pool.submit(run, name, scratch / "pictures", scratch, sheets) for name in ("zoo", "diffusers")]
            words = ["never" if (took := side.result()) is None else f"{took / 60:.1f} min" for side in sides]
    print(f"to {BAR:g} of noise: zoo {words[0]}, diffusers {words[1]}; the sheets are in {sheets}")


if __name__ == "__main__":
    main()
