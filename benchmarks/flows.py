"""Flows over vectors, batch 256: a training step, the density and samples of 10,000 points, against three libraries.

RealNVP of six affine coupling layers and a spline flow of four layers with eight bins, conditioners 64 – 64, d = 2 and
d = 64, without linear layers between them.  All in one run, taking turns.  zuko couples through masked networks of two
passes, as its own flows do; normflows and nflows split.  The peers' networks are theirs and differ a little in size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from comparison import Row, in_turns
from torch import Tensor, distributions, nn

from zoo_core.interfaces import Batch, Streams
from zoo_flows.flow import Flow
from zoo_flows.nsf import NSF
from zoo_flows.realnvp import RealNVP

BATCH, POINTS, ROUNDS, BINS, BOUND = 256, 10_000, 11, 8, 5.0
LAYERS = {"RealNVP": 6, "spline flow": 4}
ASKED = 1.2

Parts = tuple[list[nn.Parameter], Callable[[Tensor], Tensor], Callable[[int], Tensor]]
"""Parameters, log p(x), and n samples."""


def ours(kind: str, d: int) -> Parts:
    """The zoo's; samples from codes that are at hand, since a generator for each is a property of streams, not of f."""
    layers = LAYERS[kind]
    model: Flow = (
        RealNVP([d], layers=layers, actnorm=False)
        if kind == "RealNVP"
        else NSF([d], layers=layers, bins=BINS, linear=False)
    )
    model.start(Batch(data(BATCH, d)), Streams(0, "start", 0, BATCH))
    return list(model.parameters()), model.log_prob, lambda n: model.decode(torch.randn(n, d))


def of_zuko(kind: str, d: int) -> Parts:
    import zuko

    if kind == "RealNVP":
        flow = zuko.flows.MAF(d, transforms=LAYERS[kind], passes=2, hidden_features=(64, 64))
    else:
        flow = zuko.flows.NSF(d, bins=BINS, transforms=LAYERS[kind], passes=2, hidden_features=(64, 64))
    return list(flow.parameters()), lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


def of_nflows(kind: str, d: int) -> Parts:
    from nflows.distributions.normal import StandardNormal
    from nflows.flows import Flow as Its
    from nflows.nn.nets import MLP
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        PiecewiseRationalQuadraticCouplingTransform,
    )

    def network(features: int, out: int) -> nn.Module:
        its = MLP([features], [out], [64, 64], activation=nn.functional.relu)

        class WithoutContext(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = its

            def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
                return self.net(x)

        return WithoutContext()

    steps = []
    for index in range(LAYERS[kind]):
        mask = ((torch.arange(d) < d // 2) if index % 2 else (torch.arange(d) >= d // 2)).int()
        if kind == "RealNVP":
            steps.append(AffineCouplingTransform(mask, network))
        else:
            steps.append(
                PiecewiseRationalQuadraticCouplingTransform(
                    mask, network, num_bins=BINS, tails="linear", tail_bound=BOUND
                )
            )
    flow = Its(CompositeTransform(steps), StandardNormal([d]))
    return list(flow.parameters()), flow.log_prob, flow.sample


def of_normflows(kind: str, d: int) -> Parts:
    import normflows as nf

    steps: list[nn.Module] = []
    for index in range(LAYERS[kind]):
        if kind == "RealNVP":
            half = d // 2
            steps += [
                nf.flows.AffineCouplingBlock(nf.nets.MLP([half, 64, 64, 2 * (d - half)], init_zeros=True)),
                nf.flows.Permute(d, mode="swap"),
            ]
        else:
            steps.append(
                nf.flows.CoupledRationalQuadraticSpline(
                    d, 2, 64, num_bins=BINS, tail_bound=BOUND, reverse_mask=index % 2 == 1
                )
            )
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(d, trainable=False), steps)
    return [p for p in flow.parameters() if p.requires_grad], flow.log_prob, lambda n: flow.sample(n)[0]


def data(n: int, d: int) -> Tensor:
    """Points to fit."""
    return Streams(0, "benchmark", 0, n).normal(d)


def jobs(parts: Parts, d: int) -> dict[str, Callable[[], object]]:
    """What is timed."""
    parameters, log_prob, draw = parts
    optimiser = torch.optim.Adam(parameters, 1e-4, fused=True)
    small, large = data(BATCH, d), data(POINTS, d)

    def step() -> None:
        for _ in range(10):
            optimiser.zero_grad()
            (-log_prob(small).mean()).backward()
            optimiser.step()

    def density() -> None:
        with torch.no_grad():
            log_prob(large)

    def samples() -> None:
        with torch.no_grad():
            draw(POINTS)

    return {"ten training steps": step, "density": density, "samples": samples}


def measure() -> list[Row]:
    """A row for every model, dimension and job, against the quickest of the three."""
    rows = []
    kind_of = distributions.Distribution
    before = kind_of._validate_args
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the peers' own
            for kind in LAYERS:
                for d in (2, 64):
                    torch.manual_seed(0)
                    made = {
                        "zoo": jobs(ours(kind, d), d),
                        "zuko": jobs(of_zuko(kind, d), d),
                        "nflows": jobs(of_nflows(kind, d), d),
                        "normflows": jobs(of_normflows(kind, d), d),
                    }
                    for job in ("ten training steps", "density", "samples"):
                        took = in_turns({name: its[job] for name, its in made.items()}, ROUNDS)
                        mine = took.pop("zoo")
                        peer = min(took, key=took.__getitem__)
                        note = ", ".join(f"{name} {seconds:.4f} s" for name, seconds in took.items())
                        rows.append(Row(f"{kind}, d = {d}: {job}", peer, mine, took[peer], ASKED, note))
    finally:
        kind_of._validate_args = before  # importing zuko switches the checks of arguments off
    return rows
