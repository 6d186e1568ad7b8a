"""Measures the baselines that take minutes, and writes ``anchors.json``.

    python -m zoo_metrics.anchors                  all
    python -m zoo_metrics.anchors digits           one data set; the rows of other data sets are kept

The baselines are scores of real test images at the usual sample size, for the two-sample metrics on features that are
measured by default.  For other sample sizes or a part of the classes the metrics measure baselines themselves, in the
same way.
"""

from __future__ import annotations

import json
import sys

from zoo_core import datasets
from zoo_metrics import real
from zoo_metrics.collected import TwoSampleMetric
from zoo_metrics.extractor import PINNED
from zoo_metrics.kernels import KernelInceptionDistance
from zoo_metrics.neighbours import Precision, TwoSampleTest

__all__ = ["measure"]

KINDS = (KernelInceptionDistance, Precision, TwoSampleTest)


def measure(metric: TwoSampleMetric, name: str) -> tuple[str, dict[str, dict[str, float]]]:
    """Measures the baselines of a metric at the usual sample size; returns the key of kind and data set too."""
    data = datasets.load(name, "train")
    n = metric.size(data)
    true = metric.rows_of(real.some(data, n, "reference"))
    found = real.anchors(lambda rows: metric.scores(rows, true), metric.rows_of, data, n)
    rounded = {score: {k: float(f"{v:.6g}") for k, v in anchors.items()} for score, anchors in found.items()}
    return f"{metric.kind}/{name}/{n}", rounded


def main() -> None:
    """Runs the command line."""
    table = dict(real.shipped())
    for name in sys.argv[1:] or [pinned.dataset for pinned in PINNED.values()]:
        for kind in KINDS:
            key, anchors = measure(kind(), name)
            table[key] = anchors
            print(key, anchors, flush=True)
            real.SHIPPED.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
