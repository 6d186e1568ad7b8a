r"""Bits per pixel: a better model of the grey levels is a better code for them.

A code for p_θ takes −log₂ p_θ(x) bits for x.  The levels are of two kinds, dark around 60 and bright around 180.  Where
all 256 have equal probability, a pixel takes 8 bits.  One Gaussian saves nothing, as its mass is between the two kinds;
a Gaussian for each kind saves a third of a bit.  The histogram takes the fewest bits, the entropy of these 1,000 pixels
(not of others).  What a model takes above the entropy is KL(histogram ‖ model).

    python examples/bits_per_pixel.py [FOLDER]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from zoo_classical.exponential_family import ExponentialFamily
from zoo_classical.normal import Normal
from zoo_classical.objective import ClosedForm
from zoo_classical.tables import Categorical
from zoo_core.interfaces import Batch, Streams


def fitted(model: ExponentialFamily, x: torch.Tensor) -> ExponentialFamily:
    """Fits a model by maximum likelihood."""
    objective = ClosedForm()
    model.begin(Batch(x))
    objective.maximise(model, objective.statistics(model, Batch(x)))
    return model


def on_levels(pixels: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Fits a Gaussian to pixels, and returns its probabilities of the levels."""
    return torch.softmax(fitted(Normal([1]), pixels).log_prob(levels), 0)


def main(folder: Path) -> None:
    """Draws the histogram and its models, and asserts the bits of each."""
    z = Streams(0, "pixels", 0, 500, dtype=torch.float64).normal(2)
    pixels = torch.cat([60 + 20 * z[:, 0], 180 + 30 * z[:, 1]]).clamp(0, 255).floor()[:, None]
    levels = torch.arange(256, dtype=torch.float64)[:, None]

    names = {"level": [str(level) for level in range(256)]}
    empirical, uniform, gaussian, both = (Categorical(names) for _ in range(4))
    fitted(empirical, pixels)
    gaussian.probabilities.copy_(on_levels(pixels, levels))
    both.probabilities.copy_((on_levels(pixels[:500], levels) + on_levels(pixels[500:], levels)) / 2)

    entropy = empirical.entropy() / math.log(2.0)
    bits = {}
    for name, model in (
        ("uniform", uniform),
        ("Gaussian", gaussian),
        ("two Gaussians", both),
        ("histogram", empirical),
    ):
        bits[name] = -model.log_prob(pixels).mean().item() / math.log(2.0)
        excess = empirical.kl(model) / math.log(2.0)
        assert abs(bits[name] - entropy - excess) < 1e-9
        print(f"{name}: {bits[name]:.4f} bits per pixel, {excess:.4f} above the entropy")
    assert abs(bits["uniform"] - 8.0) < 1e-12
    assert abs(bits["Gaussian"] - 8.0) < 0.05
    assert bits["histogram"] < bits["two Gaussians"] < 7.7
    assert abs(bits["histogram"] - entropy) < 1e-12

    figure = Figure((7, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(levels[:, 0].numpy(), empirical.probabilities.numpy(), width=1.0, alpha=0.4)
    axes.plot(gaussian.probabilities.numpy(), label=f"Gaussian: {bits['Gaussian']:.2f} bits")
    axes.plot(both.probabilities.numpy(), label=f"two Gaussians: {bits['two Gaussians']:.2f} bits")
    axes.plot(uniform.probabilities.numpy(), label="uniform: 8 bits")
    axes.set_title(f"histogram: {bits['histogram']:.2f} bits per pixel", fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(folder / "bits-per-pixel.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
