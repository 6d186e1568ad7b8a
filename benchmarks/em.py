"""EM for a Gaussian mixture, 20,000 × 64, k = 8, full covariance: the zoo against scikit-learn's default."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from comparison import Row, in_turns
from sklearn.mixture import GaussianMixture as SklearnMixture

from zoo_core.interfaces import Batch
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

N, D, K, ITERATIONS, REG = 20_000, 64, 8, 10, 1e-6


def data() -> torch.Tensor:
    """Eight correlated clusters."""
    source = torch.Generator().manual_seed(0)
    parts = []
    for _ in range(K):
        mixing = torch.randn(D, D, dtype=torch.float64, generator=source) / D**0.5
        centre = 0.5 * torch.randn(D, dtype=torch.float64, generator=source)
        parts.append(torch.randn(N // K, D, dtype=torch.float64, generator=source) @ mixing + centre)
    return torch.cat(parts)


@dataclass(frozen=True)
class Whole:
    """All examples as one float64 batch, which is how EM wants them at the start."""

    x: torch.Tensor

    def __len__(self) -> int:
        return len(self.x)

    def first(self) -> Batch:
        return Batch(self.x)

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        yield Batch(self.x)


def measure() -> list[Row]:
    """Ten iterations from the same start; the likelihoods they reach agree to six digits, or there is no row."""
    x = data()
    numpy_x = x.numpy()
    begin = GaussianMixture([D], K)
    ExpectationMaximisation(reg=REG).initialise(begin, Whole(x), 0)
    start = {k: v.clone() for k, v in begin.state_dict().items()}
    precisions = np.linalg.inv(begin.covariances().numpy())
    reached: dict[str, float] = {}
    fitted: list[SklearnMixture] = []

    def theirs() -> None:
        mixture = SklearnMixture(
            K,
            tol=0.0,
            reg_covar=REG,
            max_iter=ITERATIONS,
            weights_init=start["log_weights"].exp().numpy(),
            means_init=start["means"].numpy(),
            precisions_init=precisions,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has not converged: we asked for ten iterations
            mixture.fit(numpy_x)
        fitted.append(mixture)

    def ours(name: str, dtype: str) -> None:
        model = GaussianMixture([D], K)
        model.load_state_dict(start)
        em = ExpectationMaximisation(reg=REG, data_dtype=dtype)  # type: ignore[arg-type]
        for _ in range(ITERATIONS):
            em.maximise(model, em.statistics(model, Batch(x)))
        last = em.statistics(model, Batch(x))  # scikit-learn ends with an E-step too
        reached[name] = (last["log_likelihood"] / last["count"]).item()

    work = {
        "theirs": theirs,
        "float32": lambda: ours("float32", "float32"),
        "float64": lambda: ours("float64", "float64"),
    }
    took = in_turns(work, 7)
    reached["theirs"] = fitted[-1].score(numpy_x)
    rows = []
    for name, asked in (("float32", 1.8), ("float64", None)):
        gap = abs(reached[name] / reached["theirs"] - 1.0)
        if gap > 1e-6:
            raise SystemExit(f"EM in {name} reached {reached[name]:.9f}, scikit-learn {reached['theirs']:.9f}")
        note = f"EM's mean log-likelihood {reached[name]:.7f}, theirs {reached['theirs']:.7f}"
        what = f"EM, 20,000 × 64, k = 8, full, ten iterations, pass in {name}"
        rows.append(Row(what, "scikit-learn `GaussianMixture`", took[name], took["theirs"], asked, note))
    return rows
