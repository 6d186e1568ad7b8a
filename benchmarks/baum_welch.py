"""Baum–Welch, eight states of four numbers with diagonal covariances: the zoo against hmmlearn's quicker arithmetic."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from comparison import Row, in_turns
from hmmlearn.hmm import GaussianHMM

from zoo_core.interfaces import Batch, Ragged
from zoo_hmm.model import HiddenMarkov
from zoo_hmm.objective import BaumWelch

STATES, FEATURES, ITERATIONS = 8, 4, 3
CASES: dict[str, tuple[list[int], float]] = {
    "2,048 sequences × 100": ([100] * 2048, 2.5),
    "one sequence of 100,000": ([100_000], 1.0),
    "500 sequences of 10 … 500": ([10 + 490 * i // 499 for i in range(500)], 1.5),
}
"""Lengths, and the ratio that is asked for."""


def start() -> HiddenMarkov:
    """Returns a model with overlapping states, all of which last for a while."""
    source = torch.Generator().manual_seed(0)
    model = HiddenMarkov(STATES, features=FEATURES)
    moves = torch.rand(STATES, STATES, generator=source, dtype=torch.float64) + 3.0 * torch.eye(STATES)
    model.transitions[0] = moves / moves.sum(1, keepdim=True)
    means = model.emissions.get_buffer("means")
    means.copy_(torch.randn(means.shape, generator=source, dtype=torch.float64))
    return model


def measure_one(name: str, lengths: Sequence[int], asked: float) -> Row:
    """Takes three iterations from the same start; means that differ by 1e-6 are an error."""
    source = torch.Generator().manual_seed(1)
    x = 1.5 * torch.randn(sum(lengths), FEATURES, generator=source, dtype=torch.float64)
    ragged, rows, begin = Ragged.of(list(torch.split(x, list(lengths)))), x.numpy(), start()
    state = {k: v.clone() for k, v in begin.state_dict().items()}
    found: dict[str, torch.Tensor] = {}

    def theirs() -> None:
        model = GaussianHMM(
            STATES, "diag", covars_prior=0.0, covars_weight=1.0, n_iter=ITERATIONS, tol=-1e300, init_params="",
            implementation="scaling",
        )  # fmt: skip
        model.n_features = FEATURES
        model.startprob_, model.transmat_ = state["start_probabilities"][0].numpy(), state["transitions"][0].numpy()
        model.means_ = state["emissions.means"][0, :, 0].numpy()
        model.covars_ = state["emissions.scale"][0, :, 0].square().numpy()
        model.fit(rows, list(lengths))
        found["theirs"] = torch.from_numpy(model.means_)

    def ours() -> None:
        model, objective = HiddenMarkov(STATES, features=FEATURES), BaumWelch()
        model.load_state_dict(state)
        for _ in range(ITERATIONS):
            objective.maximise(model, objective.statistics(model, Batch(ragged)))
        found["ours"] = model.emissions.get_buffer("means")[0, :, 0]

    took = in_turns({"theirs": theirs, "ours": ours}, 5)
    gap = (found["ours"] - found["theirs"]).abs().max().item()
    if gap > 1e-6:
        raise SystemExit(f"Baum–Welch on {name}: means differ by {gap:.3g}")
    what = f"Baum–Welch, {name}, 8 states, 4 numbers, three iterations"
    return Row(
        what, "hmmlearn `GaussianHMM`, scaling", took["ours"], took["theirs"], asked, f"means differ by {gap:.0e}"
    )


def measure() -> list[Row]:
    """Measures many short sequences, a long one, and some of mixed lengths."""
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    return [measure_one(name, lengths, asked) for name, (lengths, asked) in CASES.items()]
