"""Likelihood by the probability-flow ODE of 2,000 points: the zoo against torchdiffeq's dopri5 at rtol = atol = 1e-5.

The peer solves the velocity's equation in the model's own time with the exact trace, one gradient per dimension, as one
writes it with torchdiffeq; in turns with ours, in one run.  The errors of both are root mean squares over the first 500
points, against dopri5 in float64 at 1e-9; where a ratio is asked for, ours must not be greater.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from comparison import Row, in_turns
from torch import Tensor
from torchdiffeq import odeint

import zoo_core
from zoo_core import datasets
from zoo_core.interfaces import Denoiser, Density, Model
from zoo_flow_matching.cnf import CNF

MODELS = ("cfm-moons", "otcfm-eight-gaussians", "score-moons", "score-eight-gaussians", "cnf-moons")
POINTS, JUDGED, ROUNDS = 2_000, 500, 3
ASKED = {"cfm-moons": 1.0}

Velocity = Callable[[Tensor, float], Tensor]


def velocity(model: Model) -> Velocity:
    """dx_t/dt at one time for all."""
    if isinstance(model, CNF):
        return lambda x, t: model.velocity(x, torch.full((1,), t))
    assert isinstance(model, Denoiser)
    path = model.path

    def of_path(x: Tensor, t: float) -> Tensor:
        prediction = model.predict(x, t)
        return path.alpha_dot(t) * prediction.data + path.sigma_dot(t) * prediction.noise

    return of_path


def peers_log_prob(model: Model, x: Tensor, tolerance: float) -> tuple[Tensor, int]:
    """log p(x) by torchdiffeq, and how often it asked."""
    asked, flow = 0, velocity(model)
    first, last, shrunk, spread = 0.0, 1.0, 1.0, 1.0
    if isinstance(model, Denoiser):
        path = model.path
        first, last = path.t_min, path.t_max
        shrunk, spread = path.alpha(first), path.sigma(last)

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal asked
        asked += 1
        with torch.enable_grad():
            y = state[0].detach().requires_grad_()
            v = flow(y, t.item())
            trace = torch.zeros_like(state[1])
            for i in range(y.shape[1]):
                (row,) = torch.autograd.grad(v[:, i].sum(), y, retain_graph=i < y.shape[1] - 1)
                trace = trace + row[:, i]
        return v.detach(), trace

    times = torch.tensor([first, last], dtype=x.dtype)
    start = (shrunk * x, torch.zeros(len(x), dtype=x.dtype))
    y, trace = (part[-1] for part in odeint(field, start, times, rtol=tolerance, atol=tolerance, method="dopri5"))
    d = x.shape[1]
    normal = -0.5 * (y / spread).square().sum(1) - d * (0.5 * math.log(2.0 * math.pi) + math.log(spread))
    return normal + trace + d * math.log(shrunk), asked


def measure() -> list[Row]:
    """A row for every model."""
    rows = []
    for name in MODELS:
        model = zoo_core.load(name)
        assert isinstance(model, Density)
        assert model.entry is not None
        x = datasets.load(model.entry.recipe["data"]["name"], "test", n=POINTS).x
        assert isinstance(x, Tensor)
        truth, _ = peers_log_prob(zoo_core.load(name, dtype="float64"), x[:JUDGED].double(), 1e-9)
        found: dict[str, Tensor] = {}
        calls: list[int] = []

        def ours(model: Density = model, x: Tensor = x, found: dict[str, Tensor] = found) -> None:
            with torch.inference_mode():
                found["ours"] = model.log_prob(x)

        def theirs(
            model: Model = model, x: Tensor = x, found: dict[str, Tensor] = found, calls: list[int] = calls
        ) -> None:
            found["theirs"], asked = peers_log_prob(model, x, 1e-5)
            calls.append(asked)

        took = in_turns({"ours": ours, "theirs": theirs}, ROUNDS)
        errors = {who: value[:JUDGED].double() - truth for who, value in found.items()}
        size = {who: error.square().mean().sqrt().item() for who, error in errors.items()}
        if name in ASKED and size["ours"] > size["theirs"]:
            raise SystemExit(f"{name}: log-densities are off by {size['ours']:.2g} nats, theirs {size['theirs']:.2g}")
        note = (
            f"error {size['ours']:.1e} nats, theirs {size['theirs']:.1e} in {calls[-1]} evaluations; of the mean "
            f"{errors['ours'].mean().item():+.0e} and {errors['theirs'].mean().item():+.0e}"
        )
        what = f"likelihood of 2,000 points, {name}"
        rows.append(Row(what, "torchdiffeq `dopri5`, 1e-5", took["ours"], took["theirs"], ASKED.get(name), note))
    return rows
