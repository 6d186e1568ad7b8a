"""Trains a feature extractor.

    python -m zoo_metrics.extractor mnist --out src/zoo_metrics/extractors

writes ``mnist-v1.safetensors`` (the network), ``mnist-v1.train.safetensors`` (mean and covariance root of the features
of the whole training set) and ``mnist-v1.json`` (training and accuracy), and prints the hashes to pin.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core import datasets
from zoo_core.loading import weights_file
from zoo_core.randomness import generator
from zoo_metrics.extractor import PINNED, images
from zoo_metrics.extractor.network import Classifier
from zoo_metrics.frechet import root_of
from zoo_metrics.moments import Moments

EPOCHS = {"mnist": 4, "fashion-mnist": 15, "digits": 80}
BATCH = 128
PEAK_RATE = 2e-3


def train(name: str, seed: int = 0) -> tuple[Classifier, dict[str, Tensor], dict[str, object]]:
    """Trains the network; returns it with the statistics of its features over the training set, and facts about it."""
    pinned = PINNED[name]
    training, test = datasets.load(pinned.dataset, "train"), datasets.load(pinned.dataset, "test")
    assert training.y is not None
    assert test.y is not None
    x, y, epochs = images(training), training.y, EPOCHS[pinned.dataset]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(pinned.side)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator(seed, name, epoch))
        for rows in torch.split(order, BATCH):
            loss = F.cross_entropy(network.activations(x[rows])[1], y[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        print(f"{name}: epoch {epoch + 1} of {epochs}, test accuracy {accuracy(network, images(test), test.y):.4f}")
    network.eval().requires_grad_(False)
    network.standardise(torch.cat([network.activations(part)[0] for part in torch.split(x, 500)]))
    moments = Moments.empty(len(network.centre))
    for part in torch.split(x, 500):
        moments = moments.merge(Moments.of(network(part)[0]))
    covariance = moments.covariance()
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp_min(0)
    p = eigenvalues / eigenvalues.sum()
    about = {
        "name": name,
        "dataset": pinned.dataset,
        "images": len(x),
        "accuracy": round(accuracy(network, images(test), test.y), 4),
        "epochs": epochs,
        "batch": BATCH,
        "peak_rate": PEAK_RATE,
        "seed": seed,
        "torch": torch.__version__,
        "least_feature_variance": float(f"{covariance.diagonal().min().item():.3g}"),
        "effective_rank": float(f"{(-(p * p.clamp_min(1e-300).log()).sum()).exp().item():.3g}"),
    }
    statistics = {"n": torch.tensor(moments.n), "mean": moments.mean(), "root": root_of(covariance)}
    return network, statistics, about


@torch.no_grad()
def accuracy(network: Classifier, x: Tensor, y: Tensor) -> float:
    """Computes the share of correctly classified images."""
    found = torch.cat([network.activations(part)[1].argmax(1) for part in torch.split(x, 500)])
    return (found == y).double().mean().item()


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[name.removesuffix("-v1") for name in PINNED])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    name = f"{arguments.name}-v1"
    network, statistics, about = train(name)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file, tensors in ((f"{name}.safetensors", network.state_dict()), (f"{name}.train.safetensors", statistics)):
        content = weights_file.serialise(tensors)
        (arguments.out / file).write_bytes(content)
        print(f"{file}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    (arguments.out / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
