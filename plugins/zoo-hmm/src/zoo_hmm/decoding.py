r"""The most probable path of states, by dynamic programming (Viterbi 1967).

δ_1 = log π + log b_1,    δ_t(j) = max_i (δ_{t−1}(i) + log A_ij) + log b_t(j),    log p = max_i (δ_T + log e)(i).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_hmm.chain import Chain
from zoo_hmm.one_thread import one_thread
from zoo_hmm.packed import Packed

__all__ = ["best_path"]


@one_thread()
def best_path(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns the states of the most probable path, int64 ``(F,)``, and log p(x, z) of each sorted sequence, ``(n,)``.

    Args:
        chain: chain of states.
        log_b: log b_t(i), ``(F, S)``.
        packed: places of the frames.
    """
    moves, came = chain.moves.log().mT.contiguous(), torch.zeros(log_b.shape, dtype=torch.int64, device=log_b.device)
    best, before = log_b.clone(), None
    for here in packed.steps():
        now = best[here]
        if before is None:
            now += chain.start.log()
        else:
            value, came[here] = (before[: len(now), None] + moves).max(2)
            now += value
        before = now
    score, last = (best[packed.last] + chain.end.log()).max(1)
    path = torch.zeros(len(log_b), dtype=torch.int64, device=log_b.device)
    path[packed.last] = last
    after = None
    for here in reversed(list(packed.steps())):
        if after is not None:
            k = after.stop - after.start
            path[here][:k] = came[after].gather(1, path[after, None]).squeeze(1)
        after = here
    return path, score
