"""How well spoken digits of a speaker that it has never heard are recognised, by the recipe of hmm-spoken-digits.

python benchmarks/new_speakers.py            all six speakers, about two minutes
python benchmarks/new_speakers.py theo …     some of them

For each speaker, the recipe is run on the training takes (5–49) of the other five, and all 500 recordings of that
speaker are recognised by p(c | x).  The number of states and of Gaussians is the recipe's, which was chosen on takes of
all six.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import torch

from zoo_core import datasets, registry
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import DataSet
from zoo_core.training import Options, train
from zoo_hmm.spoken_digits import SPEAKERS


def recordings(split: str, speaker: str, *, without: bool) -> DataSet:
    """Loads the recordings of one speaker of a split, or those of the others."""
    data = datasets.load("spoken-digits-mfcc", split)
    speakers = data.columns["speaker"]
    assert isinstance(speakers, torch.Tensor)
    of_speaker = speakers == SPEAKERS.index(speaker)
    return data.take(torch.nonzero(of_speaker != without).squeeze(1))


def recognised(speaker: str) -> float:
    """Trains without a speaker, and measures the share of their recordings that is recognised, in percent."""
    entry = registry.load().get("hmm-spoken-digits")
    with tempfile.TemporaryDirectory() as folder:
        model = train(entry, Path(folder), Options(quiet=True), recordings("train", speaker, without=True))
    found = [evaluate(model, "recognised", data=recordings(s, speaker, without=False)) for s in ("train", "test")]
    return sum(one.value * one.n for one in found) / sum(one.n for one in found)


def main() -> None:
    """Prints a row for each speaker, and the mean with its standard error over speakers."""
    shares = []
    for speaker in sys.argv[1:] or SPEAKERS:
        shares.append(recognised(speaker))
        print(f"{speaker:10} {shares[-1]:6.2f} %", flush=True)
    if len(shares) > 1:
        error = statistics.stdev(shares) / len(shares) ** 0.5
        print(f"{'mean':10} {statistics.mean(shares):6.2f} ± {error:.2f} %")


if __name__ == "__main__":
    main()
