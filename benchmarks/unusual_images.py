"""How well ``zoo score`` tells clothes from digits and digits from clothes: the table of docs/fill-and-score.md.

python benchmarks/unusual_images.py            the models of the registry
python benchmarks/unusual_images.py FOLDER …   models of your own, trained on MNIST or Fashion-MNIST

Every model scores 1,000 test pictures of either set (300 where it is a model on a path, whose density takes many
passes), without labels, as a reader's files have none.  Printed is the probability that a picture of the other set has
the greater score (AUROC), by −log p(x) and by the profile.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from sklearn.metrics import roc_auc_score

import zoo_core
from zoo_core import datasets
from zoo_core.interfaces import Density, Model, can
from zoo_core.scoring import score

SETS = ("mnist", "fashion-mnist")
NAMES = ("realnvp-mnist", "glow-mnist", "vae-mnist", "ddpm-mnist", "cfm-mnist", "ddpm-fashion")
VARIANTS = (
    'zoo train vae-mnist --dataset fashion-mnist --set steps=2500 --set \'config.likelihood={"kind": "bernoulli"}\'',
    "zoo train realnvp-mnist --dataset fashion-mnist --set steps=1200 --set config.width=24 --set batch=128 "
    "--set config.alpha=1e-6",
)


def auroc(model: Model, statistic: str, n: int) -> float:
    """Computes the probability that a picture of the other set is scored as the more unusual one."""
    assert model.entry is not None
    trained_on = model.entry.dataset
    own, other = sorted(SETS, key=lambda name: name != trained_on)
    usual, unusual = (
        score(model, replace(datasets.load(name, "test", n=n), columns={}), statistic=statistic, n=1000).score
        for name in (own, other)
    )
    return float(roc_auc_score([0] * n + [1] * n, [*usual.tolist(), *unusual.tolist()]))


def main() -> None:
    """Prints a row for each model, and how the variants of the page are trained."""
    for name in sys.argv[1:] or NAMES:
        model = zoo_core.load(name)
        slow = not can(model, Density) or bool(getattr(model, "many_passes", False))
        n = 300 if slow else 1000
        surprise = "" if slow else f"{auroc(model, 'surprise', n):.3f}"
        print(f"| {name} | {surprise} | {auroc(model, 'profile', n):.3f} |", flush=True)
    if not sys.argv[1:]:
        print("\n".join(["", "Variants, whose folders are arguments:", *VARIANTS]))


if __name__ == "__main__":
    main()
