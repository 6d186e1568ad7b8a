r"""A classifier of noisy data, p(y | x_t, t) (Sohl-Dickstein et al. 2015; Dhariwal & Nichol 2021, §4.1).

Its inputs are those of the angular preconditioning of path models: with θ = atan2(σ, α) and r = √(α² + σ²),

    y_θ = x_t/r = cos θ·x + sin θ·ε,        log p(· | x_t, t) = log softmax (b + cos θ·h(y_θ, θ)).

In pure noise it returns the prior b, and its gradient falls with α like the true one, so that guidance, which divides
the gradient by α, is bounded.

The path enters through θ alone, so that one classifier guides models on all paths: DDPM, score SDEs, flow matching.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.interfaces import Batch, ConditionSpec, GradientObjective, Loss, Model, SampleSpace, Streams
from zoo_core.paths import broadcast
from zoo_nets.time_embedding import TimeEmbedding

__all__ = ["NoisyClassifier", "NoisyCrossEntropy"]


class NoisyClassifier(Model):
    """A small network from noisy data and their angle to class probabilities.

    Images pass through one strided convolution per width, each with group normalisation, the embedding of the angle and
    SiLU, and then through a mean over the pixels; points pass through linear layers with the angle as an input.

    Args:
        shape: one example: ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        classes: number of classes, at least 2.
        widths: channels (or units) of each layer, for images multiples of 8.

    Raises:
        ValueError: ``classes`` is below 2, or ``widths`` are none, or no multiples of 8 for images.
    """

    def __init__(self, shape: list[int], classes: int, widths: Sequence[int] = (32, 64, 64)) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes = {classes}; expected at least 2")
        image = len(shape) == 3
        if not widths or (image and any(width % 8 for width in widths)):
            raise ValueError(f"widths = {list(widths)}; expected at least one, for images divisible by 8")
        self.space = SampleSpace.of(shape, low=-1.0, high=1.0)
        self.classes = classes
        self.conditions = {"label": ConditionSpec.label(classes)}
        self.time_embedding = TimeEmbedding(32, 64)
        inside = [shape[0], *widths[:-1]]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2 if k else 1, padding=1) if image else nn.Linear(i, o)
            for k, (i, o) in enumerate(zip(inside, widths, strict=True))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, o) if image else nn.Identity() for o in widths)
        self.times = nn.ModuleList(nn.Linear(64, o) for o in widths)
        self.prior = nn.Parameter(torch.zeros(classes))
        self.head = nn.Linear(widths[-1], classes, bias=False)
        nn.init.zeros_(self.head.weight)

    def log_probabilities(self, y: Tensor, theta: Tensor) -> Tensor:
        """Computes log p(· | y_θ, θ) in nats.

        Args:
            y: noisy data cos θ·x + sin θ·ε, ``(n, *shape)``.
            theta: angles θ in [0, π/2], ``(n,)``, or ``(1,)`` for all samples.

        Returns:
            log-probabilities, ``(n, classes)``.
        """
        time = F.silu(self.time_embedding((2000.0 / math.pi) * theta))
        h = y.to(self.dtype)
        for layer, norm, embed in zip(self.layers, self.norms, self.times, strict=True):
            h = norm(layer(h))
            h = F.silu(h + embed(time).view(-1, h.shape[1], *[1] * (h.ndim - 2)))
        share = theta.cos().to(h.dtype).view(-1, 1)
        logits = self.prior + share * self.head(h.flatten(2).mean(2) if h.ndim > 2 else h)
        return torch.log_softmax(logits, dim=1)


class NoisyCrossEntropy(GradientObjective[NoisyClassifier]):
    """The cross-entropy −log p(y | y_θ, θ) in nats, with θ uniform over [0, π/2]."""

    def losses(self, model: NoisyClassifier, batch: Batch, streams: Streams) -> Iterator[Loss]:
        if batch.condition is None:
            raise ValueError("the data have no labels, which a classifier needs; choose a data set with labels")
        x = batch.x
        theta = 0.5 * math.pi * streams.uniform(1).squeeze(1)
        angle = broadcast(theta, x)
        y = angle.cos() * x + angle.sin() * streams.normal(*x.shape[1:])
        said, label = model.log_probabilities(y, theta), batch.condition["label"]
        right = (said.argmax(1) == label).float().mean()
        yield Loss(F.nll_loss(said, label), terms={"accuracy": right.detach()})
