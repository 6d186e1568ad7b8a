r"""DPM-Solver++ (Lu et al. 2022): exponential integrators in λ = log(α/σ) for data predictions.

The probability-flow ODE has the exact solution

    x_s = (σ_s/σ_t)·x_t + σ_s·∫_{λ_t}^{λ_s} e^λ·x̂(λ) dλ,

where x̂ is approximated by a polynomial of degree 0, 1 or 2 in λ through the last predictions.  With h = λ_s − λ_t and
the previous steps h_1 and h_2 as shares r_j = h_j/h,

    D_1 = (x̂_0 − x̂_1)/r_1,     D_1′ = (x̂_1 − x̂_2)/r_2,
    D = D_1 + r_1/(r_1 + r_2)·(D_1 − D_1′),     D_2 = 2·(D_1 − D_1′)/(r_1 + r_2),

    order 1:  x_s = (σ_s/σ_t)·x_t − α_s·(e^{−h} − 1)·x̂_0                                    (= DDIM)
    order 2:  … − ½·α_s·(e^{−h} − 1)·D_1                                                     (2M, alg. 2)
    order 3:  … + α_s·((e^{−h} − 1)/h + 1)·D − α_s·((e^{−h} − 1 + h)/h² − ½)·D_2            (3M)

and for the reverse SDE (SDE-DPM-Solver++, orders 1 and 2)

    x_s = (σ_s/σ_t)·e^{−h}·x_t + α_s·(1 − e^{−2h})·(x̂_0 + ½·D_1) + σ_s·√(1 − e^{−2h})·z.

Since D_1 ≈ h·x̂′ − r_1·h²·x̂″/2 and D_1′ ≈ h·x̂′ − (2r_1 + r_2)·h²·x̂″/2, D_2 is h²·x̂″ and the method has order 3.
The authors' code, and diffusers with it, omit the factor of 2, so that their "third order" converges with order 2
(measured in tests/test_path_samplers.py).  The option ``published`` reproduces their formula.

The first step has order 1, the second at most 2, and the last, to σ = 0, returns x̂; with fewer than 15 steps the last
but one has at most order 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, Spacing
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["DPMSolver"]


class DPMSolver(PathSampler):
    """Multistep DPM-Solver++, with one network evaluation per step.

    Args:
        steps: number of solver steps, each of one network evaluation.
        order: order of the method, 1, 2 or 3.
        sde: whether the reverse SDE is solved in place of the ODE, for orders 1 and 2.
        published: whether order 3 is the formula of other libraries, with half of D_2.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "dpm-solver"

    def __init__(
        self,
        steps: int = 20,
        order: int = 2,
        sde: bool = False,
        published: bool = False,
        spacing: Spacing = "trailing",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if order not in ((1, 2) if sde else (1, 2, 3)):
            raise IncompatibleError(f"order = {order}; expected 1, 2 or, without sde, 3")
        self.order, self.sde, self.stochastic = order, sde, sde
        self.published = published

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        path, count = model.path, len(times) - 1
        steps = []
        for i, (t, s) in enumerate(pairwise(times)):
            order = min(self.order, i + 1)
            if count < 15 and i == count - 2:
                order = min(order, 2)
            if path.sigma(s) == 0.0:
                steps.append(Step(t, 1.0, 0.0))
                continue
            lengths = [half_log_snr(path, b) - half_log_snr(path, a) for a, b in pairwise(times[i - order + 1 : i + 2])]
            steps.append(self._step(path, t, s, [*reversed(lengths)]))
        return steps

    def _step(self, path: GaussianPath, t: float, s: float, lengths: list[float]) -> Step:
        """Returns the step from t to s; ``lengths`` are h, h_1, h_2 as far as the order needs them."""
        h, order = lengths[0], len(lengths)
        alpha, sigma = path.alpha(s), path.sigma(s)
        decay = math.expm1(-h)  # e^{−h} − 1, −1 for an infinite first step
        slope = [length / h if math.isfinite(h) else math.inf for length in lengths[1:]]
        if self.sde:
            whole = -math.expm1(-2.0 * h)
            data, past = alpha * whole, [0.0] * (order - 1)
            if order == 2:
                share = 0.5 * alpha * whole / slope[0]
                data, past = data + share, [-share]
            return Step(t, data, sigma / path.sigma(t) * math.exp(-h), sigma * math.sqrt(whole), past=tuple(past))
        data, past = -alpha * decay, [0.0] * (order - 1)
        if order == 2:
            share = -0.5 * alpha * decay / slope[0]
            data, past = data + share, [-share]
        elif order == 3:
            r_1, r_2 = slope
            tilt, bend = alpha * (decay / h + 1.0), -alpha * ((decay + h) / h**2 - 0.5)
            first = 1.0 / r_1  # D_1 = first·(x̂_0 − x̂_1)
            second = 1.0 / r_2
            more = r_1 / (r_1 + r_2) if math.isfinite(r_2) else 0.0
            both = (1.0 if self.published else 2.0) / (r_1 + r_2)
            on_first = tilt * (1.0 + more) + bend * both  # what D_1 is multiplied with
            on_second = -tilt * more - bend * both  # and D_1′
            data += on_first * first
            past = [-on_first * first + on_second * second, -on_second * second]
        return Step(t, data, sigma / path.sigma(t), past=tuple(past))


def half_log_snr(path: GaussianPath, t: float) -> float:
    """Returns λ = log(α/σ)."""
    return 0.5 * path.log_snr(t)
