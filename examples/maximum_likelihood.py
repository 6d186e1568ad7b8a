"""Maximum likelihood of five distributions: the log-likelihood, its maximum, and 95 % confidence intervals.

Seven heads in ten throws are likeliest for p = 0.7.  How far p may be from there, the curvature of the log-likelihood
says for many examples (Wald's interval, dashed), and the tails of the distribution for any number (exact, shaded).

    python examples/maximum_likelihood.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

import zoo_core

SHOWN = {
    "coin-7-of-10": ("p", "heads in 10 throws, 7 seen"),
    "bernoulli-coin-throws": ("p", "100 throws, p = 0.7"),
    "poisson-customers": ("rate", "200 hours, mean 3.5"),
    "exponential-waiting-times": ("rate", "200 waiting times, rate 0.5"),
    "normal-5-2": ("mean[0]", "1,000 measurements, mean 5"),
}
TRUTH = {"coin-7-of-10": 0.7, "bernoulli-coin-throws": 0.7, "poisson-customers": 3.5, "normal-5-2": 5.0}
TRUTH["exponential-waiting-times"] = 0.5


def main(folder: Path) -> None:
    """Draws the five curves, and asserts where their maxima and intervals are."""
    figure = Figure((15, 3), layout="constrained")
    for axes, (name, (parameter, title)) in zip(figure.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
        model = zoo_core.load(name)
        exact = next(e for e in model.estimates(0.95) if e.name == parameter)
        wald = next(e for e in model.estimates(0.95, "wald") if e.name == parameter)
        low, high = exact.value - 3.5 * exact.stderr, exact.value + 3.5 * exact.stderr
        values = torch.linspace(low, min(high, 0.995 if parameter == "p" else high), 301, dtype=torch.float64)
        curve = model.curve(parameter, values)
        assert abs(values[curve.argmax()].item() - exact.value) < 0.03 * exact.stderr + 1e-9
        assert exact.low < TRUTH[name] < exact.high
        print(
            f"{name}: {parameter} = {exact.value:.4f} ± {exact.stderr:.4f}, exact [{exact.low:.4f}, {exact.high:.4f}], "
            f"Wald [{wald.low:.4f}, {wald.high:.4f}]"
        )
        axes.plot(values.numpy(), (curve - curve.max()).numpy())
        axes.axvline(exact.value, color="black", linewidth=0.8)
        axes.axvspan(exact.low, exact.high, alpha=0.15)
        for end in (wald.low, wald.high):
            axes.axvline(end, color="black", linestyle="--", linewidth=0.6)
        axes.set_title(f"{title}\n{parameter} = {exact.value:.3f}", fontsize=9)
        axes.set_ylim(-6, 0.3)
    coin = zoo_core.load("coin-7-of-10")
    assert abs(coin.p.item() - 0.7) < 1e-12
    assert abs(torch.tensor(coin.log_likelihood()).exp().item() - 0.2668279) < 1e-6  # C(10, 7)·0.7⁷·0.3³
    figure.supylabel("log-likelihood below its maximum", fontsize=9)
    figure.savefig(folder / "maximum-likelihood.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
