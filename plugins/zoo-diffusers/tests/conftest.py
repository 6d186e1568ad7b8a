"""A Hub on loopback with an empty cache; small pipelines, made by diffusers, and its images from given noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_core.interfaces import Streams
from zoo_core.testing.hub_standin import HubStandIn


@pytest.fixture
def server(tmp_path, monkeypatch):
    with HubStandIn() as standin:
        standin.use_here(monkeypatch, tmp_path / "hf")
        yield standin


UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
}
AUTOENCODER: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
    "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
    "latent_channels": 3,
    "norm_num_groups": 4,
    "scaling_factor": 0.7,
}


class Recorder(Streams):
    """Streams that remember what was drawn."""

    def normal(self, *shape: int) -> Tensor:
        self.drawn = [*getattr(self, "drawn", []), super().normal(*shape)]
        return self.drawn[-1]


@contextmanager
def seeded() -> Iterator[None]:
    """Parameters that are made within the block are the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def shaken(module: torch.nn.Module) -> Any:
    """Makes every parameter arbitrary, those that begin as zeros too."""
    source = torch.Generator().manual_seed(0)
    for p in module.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=source)
    return module.eval()


def draws(monkeypatch: pytest.MonkeyPatch, modules: str, drawn: list[Tensor]) -> None:
    """Makes the functions ``randn_tensor`` of diffusers' modules return these, in turn."""
    noise = iter(drawn)
    for name in modules.split():
        monkeypatch.setattr(f"diffusers.{name}.randn_tensor", lambda *a, **k: next(noise))


def images(pipeline: Any, **options: Any) -> Tensor:
    """The images of a pipeline in [0, 1], ``(n, channels, h, w)``."""
    pipeline.set_progress_bar_config(disable=True)
    return torch.from_numpy(pipeline(output_type="np", **options).images).permute(0, 3, 1, 2)


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder, by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def small() -> SimpleNamespace:
    """What the tests of small pipelines share."""
    shared = (Recorder, seeded, shaken, draws, images, files)
    return SimpleNamespace(unet=UNET, autoencoder=AUTOENCODER, **{one.__name__: one for one in shared})
