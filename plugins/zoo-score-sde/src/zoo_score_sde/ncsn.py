r"""Noise-conditional score networks (Song & Ermon 2019; 2020).

The score of data with noise is learned at L levels in geometric progression,

    σ_1 > σ_2 > … > σ_L,      σ_i = σ_max·(σ_min/σ_max)^{(i−1)/(L−1)},      x_σ = x + σ·ε,

and samples are drawn by Langevin dynamics at each level in turn, from the greatest to the least (their algorithm 1).
The levels are points of the variance-exploding path, so that every path sampler works on them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.interfaces import Streams
from zoo_core.paths import VarianceExploding
from zoo_nets.path_model import Preconditioning
from zoo_nets.timed_model import Classes
from zoo_score_sde.model import ScoreModel

__all__ = ["NCSN"]


class NCSN(ScoreModel):
    """A score network trained at L levels of noise.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: configuration of the network; see :class:`zoo_nets.path_model.PathModel`.
        levels: number L of noise levels, at least 2.
        sigma_min, sigma_max: least and greatest σ.
        classes: number of labels, or of the training examples with each; ``None`` for an unconditional model.
        preconditioning: preconditioning of the network, ``angular`` or ``none``.

    Raises:
        ValueError: fewer than two levels, or another argument outside its set.
    """

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        levels: int = 10,
        sigma_min: float = 0.01,
        sigma_max: float = 1.0,
        classes: Classes | None = None,
        preconditioning: Preconditioning = "angular",
    ) -> None:
        if levels < 2:
            raise ValueError(f"levels = {levels}; expected at least 2")
        super().__init__(VarianceExploding(sigma_min, sigma_max), shape, network, "score", classes, preconditioning)
        self.levels = levels

    def level_times(self) -> list[float]:
        """Returns the decreasing times of the L levels, which are equally spaced since σ is geometric in t."""
        low, high = self.path.t_min, self.path.t_max
        return [high - (high - low) * i / (self.levels - 1) for i in range(self.levels)]

    def training_times(self, streams: Streams) -> Tensor:
        """Draws the time of one level per stream, uniformly, ``(n,)`` in float64."""
        times = torch.tensor(self.level_times(), dtype=torch.float64, device=streams.device)
        return times[streams.integers(self.levels)]
