r"""Consistency and asymptotic normality of maximum likelihood.

The error of an estimate falls as 1/√n, and for large n it is normal with the variance 1/(n·I), I being the Fisher
information of one example: here for the mean of a normal distribution (I = 1) and for the rate λ of an exponential one
(I = 1/λ²), whose estimate is far from normal for few examples.

    python examples/asymptotics.py [FOLDER]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo_classical.exponential import Exponential
from zoo_classical.normal import Normal
from zoo_core.interfaces import Streams

SIZES = (50, 100, 200, 500, 1000)
SETS = 1000
"""Data sets for each size."""


def estimates(truth: Normal | Exponential, n: int) -> Tensor:
    """Draws 1,000 data sets of n examples, and returns the estimate of each: the mean, or one over it."""
    x = truth.draw(Streams(0, f"asymptotics/{n}", 0, SETS * n, dtype=torch.float64)).view(SETS, n)
    return x.mean(1) if isinstance(truth, Normal) else 1.0 / x.mean(1)


def main(folder: Path) -> None:
    """Draws both laws, and asserts the slope −½ and the normal shape."""
    figure = Figure((12, 3.4), layout="constrained")
    left, *right = figure.subplots(1, 3)
    for truth, value, name in ((Normal([1]), 0.0, "mean of N(0, 1)"), (Exponential(), 1.0, "rate of Exp(1)")):
        errors = torch.stack([(estimates(truth, n) - value).square().mean().sqrt() for n in SIZES])
        logs = torch.tensor(SIZES, dtype=torch.float64).log()
        slope = torch.linalg.lstsq(torch.stack([logs, torch.ones_like(logs)], 1), errors.log()[:, None]).solution[0]
        assert abs(slope.item() + 0.5) < 0.05, slope
        print(f"{name}: the error falls as n^{slope.item():.3f}")
        left.loglog(SIZES, errors.tolist(), "o-", label=f"{name}, slope {slope.item():.3f}")
    left.loglog(SIZES, [n**-0.5 for n in SIZES], "--", color="black", label="1/√n")
    left.set_title("root-mean-square error against n", fontsize=9)
    left.legend(fontsize=8)

    grid = torch.linspace(-4, 4, 200, dtype=torch.float64)
    for axes, n in zip(right, (10, 1000), strict=True):
        z = (estimates(Exponential(), n) - 1.0) * math.sqrt(n)
        # Kolmogorov's distance of 1,000 draws to N(0, 1) is below 0.0515 for 99 of 100 sets of normal numbers.
        steps = torch.arange(1, SETS + 1, dtype=torch.float64) / SETS
        distance = (torch.special.ndtr(z.sort().values) - steps).abs().max().item()
        print(f"√n(λ̂ − λ)/λ for n = {n}: distance {distance:.3f} from the normal distribution")
        assert (distance > 0.0515) == (n == 10)
        axes.hist(z.numpy(), bins=40, density=True, alpha=0.5)
        axes.plot(grid.numpy(), torch.exp(-0.5 * grid.square()).numpy() / math.sqrt(2 * math.pi))
        axes.set_title(f"√n(λ̂ − λ)/λ, n = {n}: distance {distance:.3f}", fontsize=9)
    figure.savefig(folder / "asymptotics.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
