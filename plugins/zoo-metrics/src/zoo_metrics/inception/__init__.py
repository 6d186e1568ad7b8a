r"""The Fréchet Inception distance, for RGB images (Heusel et al. 2017).

The features are those of Inception v3 (:mod:`zoo_metrics.inception.network`).  Its weights (91 MiB) are fetched by URL
and SHA-256 when the metric is first used, unless ``$ZOO_DATA/inception/`` has the file.  The published file is a
pickle, so its hash is verified first, and only tensors are read from it (``weights_only``).  The statistics of the
training set are computed in the same run.

Other programs resize images in other ways; the settings here are those of the original and of torch-fidelity.
"""

from __future__ import annotations

import io
from functools import cache

import torch
from torch import Tensor

from zoo_core.datasets.images import fetch
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import real
from zoo_metrics.extractor import Statistics, images
from zoo_metrics.frechet import FrechetDistance, statistics_of
from zoo_metrics.inception.network import InceptionV3

__all__ = ["FILE", "SHA256", "URL", "InceptionDistance", "features", "network"]

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
FILE = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FEATURES = 2048
BATCH = 50


@cache
def network() -> InceptionV3:
    """Loads the network with its published weights, on the CPU.

    Raises:
        NetworkError: the file is not found locally, and cannot be fetched.
        ChecksumError: the file is not the published one.
    """
    path = fetch("inception", FILE, URL, SHA256)
    made = InceptionV3()
    made.load_state_dict(torch.load(io.BytesIO(path.read_bytes()), weights_only=True), strict=True)
    return made.eval().requires_grad_(False)


def features(x: Tensor) -> Tensor:
    """Computes features ``(n, 2048)`` of RGB images ``(n, 3, h, w)`` in [0, 1], which are rounded to 256 levels."""
    with torch.inference_mode():
        levels = (x.to("cpu", torch.float32) * 255).round()
        return torch.cat([network()(part) for part in torch.split(levels, BATCH)])


class InceptionDistance(FrechetDistance):
    """The Fréchet Inception distance (FID) for RGB images."""

    def __init__(self) -> None:
        super().__init__("inception-2015-12-05")

    def dimension(self, data: DataSet) -> int:
        return FEATURES

    def check(self, model: Model, data: DataSet) -> None:
        if data.levels is None or data.sample_space.shape[0] != 3:
            shape = data.sample_space.shape
            raise IncompatibleError(
                f"Inception's features are of RGB images; {data.name} has examples of shape {shape}"
            )
        real.check(model, data)

    def by_default(self, model: Model) -> bool:
        return False  # since it fetches 91 MiB

    def features(self, x: Tensor, data: DataSet) -> Tensor:
        return features(x)

    def view(self, data: DataSet) -> Tensor:
        return features(images(data))

    def reference(self, data: DataSet) -> Statistics:
        return statistics_of(self.view(data))
