"""Random numbers and what is made of them, against ``torch.randn``, scikit-learn and a bare network.

``torch.randn`` fills everything from one stream; ours gives each row its own, the same in any batch.  Samples of a
mixture are drawn as scikit-learn draws them from the same mixture; those of a spline flow against the bare network,
which is shown the same noise.  In turns, in one run.
"""

from __future__ import annotations

import torch
from comparison import Row, in_turns
from sklearn.mixture import GaussianMixture as Theirs

import zoo_core
from zoo_core.interfaces import Streams
from zoo_flows.flow import Flow
from zoo_gmm.model import GaussianMixture

SHAPES = ((100_000, 2), (1000, 784))
POINTS, ROUNDS = 100_000, 9
MIXTURE, FLOW = "gmm-eight-gaussians", "nsf-moons"
ASKED = {MIXTURE: 1 / 5, FLOW: 1 / 1.5}


def of_sklearn(model: GaussianMixture) -> Theirs:
    """The same mixture, as scikit-learn has it."""
    with torch.no_grad():
        factors = model.factors()
        covariances = factors @ factors.mT
    theirs = Theirs(model.components, covariance_type="full")
    theirs.weights_ = model.log_weights.double().exp().numpy()
    theirs.means_, theirs.covariances_ = model.means.double().numpy(), covariances.numpy()
    return theirs


def normals() -> list[Row]:
    """A row for narrow rows and one for wide ones."""
    rows = []
    for n, d in SHAPES:
        took = in_turns(
            {
                "ours": lambda n=n, d=d: Streams(0, "benchmark", 0, n).normal(d),
                "randn": lambda n=n, d=d: torch.randn(n, d),
            },
            4 * ROUNDS,
        )
        milliseconds = {name: 1000 * seconds for name, seconds in took.items()}
        what = f"{n:,} × {d} normals, a stream for each row"
        rows.append(Row(what, "torch.randn", milliseconds["ours"], milliseconds["randn"], unit="ms"))
    return rows


def samples() -> list[Row]:
    """A row for the mixture and one for the flow."""
    mixture, flow = zoo_core.load(MIXTURE), zoo_core.load(FLOW)
    assert isinstance(mixture, GaussianMixture)
    assert isinstance(flow, Flow)
    theirs, noise = of_sklearn(mixture), Streams(0, "sample", 0, POINTS).normal(2)

    def bare() -> None:
        with torch.inference_mode():
            flow.decode(noise)

    rows = []
    for model, peer, work in (
        (mixture, "scikit-learn's sample", lambda: theirs.sample(POINTS)),
        (flow, "the bare network, noise at hand", bare),
    ):
        assert model.entry is not None
        name = model.entry.id
        took = in_turns({"ours": lambda model=model: zoo_core.sample(model, POINTS), "peer": work}, ROUNDS)
        rows.append(Row(f"{name}: {POINTS:,} samples", peer, took["ours"], took["peer"], ASKED[name]))
    return rows


def measure() -> list[Row]:
    """Four rows."""
    return [*normals(), *samples()]
