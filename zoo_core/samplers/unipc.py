r"""UniPC (Zhao et al. 2023): a predictor of order p, and a corrector of order p + 1 that costs no evaluation.

With λ = log(α/σ), h = λ_s − λ_t, the last data predictions x̂_0, x̂_1, … at λ_t, λ_1, … and r_j = (λ_j − λ_t)/h < 0,
D_j = (x̂_j − x̂_0)/r_j,

    predictor:  x_s = (σ_s/σ_t)·x_t − α_s·(e^{−h} − 1)·(x̂_0 + Σ_{j<p} ρ_j·D_j),
    corrector:  x_s^c by this formula with another ρ and one more term, D_p = x̂_s − x̂_0 at r_p = 1,

where x̂_s is predicted at x_s, and ρ solves Σ_j r_j^{k−1}·ρ_j = b_k for k = 1, 2, …, with (eq. 5 for B(h) = e^h − 1,
"bh2", at −h)

    b_k = k!·h_k/(e^{−h} − 1),      h_1 = (e^{−h} − 1)/(−h) − 1,      h_{k+1} = h_k/(−h) − 1/(k + 1)!.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, Spacing
from zoo_core.samplers.dpm_solver import half_log_snr
from zoo_core.samplers.path import Correction, PathSampler, Step

__all__ = ["UniPC"]


class UniPC(PathSampler):
    """The unified predictor–corrector method UniPC.

    Args:
        steps: number of solver steps, each of one network evaluation.
        order: order p of the predictor, 1 … 3.
        corrector: whether the state is corrected with the x̂ that is predicted at it.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "unipc"

    def __init__(
        self,
        steps: int = 20,
        order: int = 2,
        corrector: bool = True,
        spacing: Spacing = "trailing",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if order not in (1, 2, 3):
            raise IncompatibleError(f"order = {order}; expected 1, 2 or 3")
        self.order, self.corrector = order, corrector

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        path, count = model.path, len(times) - 1
        steps: list[Step] = []
        correction: Correction | None = None
        for i, (t, s) in enumerate(pairwise(times)):
            order = min(self.order, i + 1, count - i)
            if path.sigma(s) == 0.0:
                steps.append(Step(t, 1.0, 0.0, correction=correction))
                continue
            before = [half_log_snr(path, times[i - j]) for j in range(order)]  # λ_t, λ_1, …
            data, past = _coefficients(path, s, before, half_log_snr(path, s), known=False)
            kept = path.sigma(s) / path.sigma(t)
            # weight 0 keeps the older predictions, which the correction needs
            padded = (*past, *[0.0] * (self.order - len(past)))
            steps.append(Step(t, data, kept, past=padded, correction=correction))
            if self.corrector:
                found, older = _coefficients(path, s, before, half_log_snr(path, s), known=True)
                correction = Correction(kept, older[-1], (found, *older[:-1]))
        return steps


def _coefficients(
    path: GaussianPath, s: float, before: Sequence[float], end: float, *, known: bool
) -> tuple[float, list[float]]:
    """Returns the weights of x̂_0 and of x̂_1, x̂_2, … in x_s; with ``known``, x̂_s is the last of these."""
    h = end - before[0]
    alpha, B = path.alpha(s), math.expm1(-h)
    order = len(before)
    nodes = [(value - before[0]) / h if math.isfinite(h) else -math.inf for value in before[1:]]
    nodes = [*nodes, 1.0] if known else nodes
    finite = [r for r in nodes if math.isfinite(r)]
    if not finite or not math.isfinite(h):
        return -alpha * B, [0.0] * len(nodes)
    if (not known and order == 2) or (known and order == 1):
        rho = [0.5]
    else:
        rho = _solve([[r**k for r in finite] for k in range(len(finite))], _moments(-h, len(finite)))
    weights = iter(-alpha * B * p / r for p, r in zip(rho, finite, strict=True))
    others = [next(weights) if math.isfinite(r) else 0.0 for r in nodes]
    return -alpha * B - sum(others), others


def _moments(hh: float, count: int) -> list[float]:
    """Returns b_1 … b_count."""
    B = math.expm1(hh)
    phi, factorial, found = B / hh - 1.0, 1, []
    for k in range(1, count + 1):
        found.append(phi * factorial / B)
        factorial *= k + 1
        phi = phi / hh - 1.0 / factorial
    return found


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solves a small linear system by Gaussian elimination with pivoting."""
    n = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(n):
            if k != i:
                share = rows[k][i] / rows[i][i]
                rows[k] = [a - share * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [rows[i][n] / rows[i][i] for i in range(n)]
