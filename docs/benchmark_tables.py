"""The comparisons of docs/benchmarks.md and the three of the README, from benchmarks/results.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results.json"

SUBJECTS = {
    "startup": (
        "Starting up",
        "The time of a whole process, from its start to its end. A bare `import torch` is the larger part of loading a "
        "model; the second row compares with a budget that is made of it.",
    ),
    "randomness": (
        "Random numbers",
        "Every sample has a random stream of its own here, which `torch.randn` does not give; this is what it costs.",
    ),
    "ddim": (
        "Sampling: a DDPM",
        "The weights of `ddpm-mnist-plain`, drawn by DDIM with 50 steps, 64 images at once, against the same weights "
        "in diffusers.",
    ),
    "hub_pipelines": (
        "Sampling: pipelines in diffusers' format",
        "Pipelines that diffusers saved, with arbitrary weights, loaded and drawn by the zoo against diffusers' own.",
    ),
    "path_samplers": (
        "Sampling: what the samplers cost beside the network",
        "The network of `ddpm-mnist-plain` alone, called as often as the sampler calls it. A ratio of 1 means that the "
        "sampler costs nothing.",
    ),
    "em": (
        "Gaussian mixtures by EM",
        "Ten iterations of EM with full covariances on 20,000 examples of 64 dimensions, eight components.",
    ),
    "baum_welch": (
        "Hidden Markov models by Baum–Welch",
        "Three iterations with eight states of four numbers each, from the same start as the other's; the means that "
        "are reached agree to 1e-6.",
    ),
    "metrics": (
        "Metrics",
        "The same quantity from the same features; the statistics of the reference are computed beforehand.",
    ),
    "flows": (
        "Normalizing flows",
        "Six affine coupling layers (RealNVP) or four spline couplings with eight bins, two hidden layers of 64, in "
        "`d` dimensions. A training step has 256 examples, density and samples have 10,000 points. The fastest of the "
        "three other libraries is in the table; the times of all three are below it.",
    ),
    "likelihood": (
        "Likelihood by the probability-flow ODE",
        "Against torchdiffeq's `dopri5` with tolerances of 1e-5. Below: the root mean square error in nats of both, "
        "the evaluations that torchdiffeq needs, and the error of the mean of both.",
    ),
    "training_step": (
        "Training",
        "One step of gradient training, with one random stream per example here and one `torch.Generator` per example "
        "there.",
    ),
    "small_tables": (
        "Tables",
        'Three small tables of scikit-learn, four fifths of each learned with `zoo_core.fit("gmm", …)` and with the '
        "settings of ctgan, 1,000 rows drawn. Distances are between samples and the rows that were learned; a forest "
        "tells samples from rows, and another learns from samples to predict the target of the held-out fifth.",
    ),
    "time_to_quality": (
        "Time to a given quality",
        "The time to draw 64 digits whose relative FD (see [the models](models.md#how-to-read-the-numbers)) is 0.5 or "
        "less.",
    ),
}
"""What each subject is called on the page, and what is compared in it."""


def results() -> dict[str, Any]:
    """The file as it was written."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8")))


def benchmarks() -> Iterator[str]:
    """A section per subject: a row per comparison, the notes of each, the machine."""
    for subject, part in results().items():
        title, text = SUBJECTS[subject]
        yield from ["", f"## {title}", "", text, ""]
        yield "| work | zoo | other | compared with | other ÷ zoo |"
        yield "|---|---:|---:|---|---:|"
        for row in part["rows"]:
            pair = f"{quantity(row['ours'], row['unit'])} | {quantity(row['theirs'], row['unit'])}"
            yield f"| {row['what']} | {pair} | {row['peer']} | **{row['ratio']:.2f}** |"
        if notes := [f"- *{row['what']}*: {row['note']}." for row in part["rows"] if row["note"]]:
            yield from ["", *notes]
        yield from ["", f"Measured on {part['machine']}, {part['date']}."]


def quantity(value: float, unit: str) -> str:
    """A time or an amount with three digits or so."""
    return f"{value:.1f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def headlines() -> Iterator[str]:
    """The three comparisons that the README shows."""
    found = results()
    ddim, em = found["ddim"]["rows"][0], found["em"]["rows"]
    splines = [row["ratio"] for row in found["flows"]["rows"] if row["what"].startswith("spline flow")]
    yield (
        f"- DDIM with 50 steps is {ddim['ratio']:.2f} times as fast as diffusers' `DDIMPipeline` on the same weights."
    )
    yield (
        f"- EM for a Gaussian mixture is {em[0]['ratio']:.1f} times as fast as scikit-learn's `GaussianMixture` "
        f"({em[1]['ratio']:.1f} times where every pass is in float64)."
    )
    low, high = min(splines), max(splines)
    yield f"- Spline flows train, draw and evaluate {low:.1f} to {high:.1f} times as fast as those of nflows."
