r"""Baum–Welch: expectation–maximisation of a hidden Markov model (Baum et al. 1970).

With γ and ξ of :mod:`zoo_hmm.chain`, summed over all frames of all sequences of a class,

    π_i ← Σ γ_1(i),     a_ij ← Σ_t ξ_t(i, j),     e_i ← Σ γ_T(i) / Σ_t γ_t(i),     B_i ← weighted by Σ_t γ_t(i),

rows normalised.  What is 0 stays 0, so that a topology is kept; a state that no frame was in keeps its parameters.
There is no prior: the likelihood is what is maximised.  A weight of a sequence multiplies its counts and its log p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import ConditionError, ZooError
from zoo_core.interfaces import Batch, Condition, Examples, Ragged, StatisticsObjective
from zoo_core.randomness import generator
from zoo_hmm.clusters import clusters
from zoo_hmm.gaussians import Gaussians
from zoo_hmm.inference import Arithmetic, smoothed
from zoo_hmm.model import HiddenMarkov
from zoo_hmm.packed import Packed, pack

__all__ = ["BaumWelch", "Part"]

Part = Literal["start", "transitions", "stop", "emissions", "prior"]


class BaumWelch(StatisticsObjective[HiddenMarkov, Ragged]):
    """Baum–Welch, over sequences of different lengths, with missing frames and with weights too.

    Args:
        fixed: parts that keep their start: ``start``, ``transitions``, ``stop``, ``emissions`` and ``prior``.
        floor: least variance of a Gaussian, or what is added to the diagonal of a full covariance; at least 0.
        arithmetic: ``scaled``, or ``log``, which gives the same and takes longer.

    Raises:
        ValueError: an argument is out of its range.
    """

    weighs = True

    def __init__(self, fixed: Sequence[Part] = (), floor: float = 0.0, arithmetic: Arithmetic = "scaled") -> None:
        for part in fixed:
            if part not in get_args(Part):
                raise ValueError(f"fixed has {part!r}; expected some of {', '.join(get_args(Part))}")
        if floor < 0.0:
            raise ValueError(f"floor = {floor}; expected at least 0")
        if arithmetic not in get_args(Arithmetic):
            raise ValueError(f"arithmetic = {arithmetic!r}; expected one of {', '.join(get_args(Arithmetic))}")
        self.fixed, self.floor, self.arithmetic = frozenset(fixed), floor, arithmetic

    def initialise(self, model: HiddenMarkov, data: Examples, seed: int) -> None:
        """Draws π and a at random where the topology is free, and divides the frames among the states.

        From left to right, each sequence is cut into S parts of equal length; otherwise frames are clustered.
        """
        whole: Batch[Ragged] = next(data.batches())
        labels = _labels(model, whole.condition)
        model.stop.fill_(len(whole) / float(whole.x.lengths.sum()))
        for label, rows in model.groups(labels, len(whole)):
            source = generator(seed, "start", label)
            if model.topology == "free":
                for value in (model.start_probabilities, model.transitions):
                    random = -torch.rand(value.shape[1:], generator=source, dtype=torch.float64).log()
                    value[label] = (random / random.sum(-1, keepdim=True)).to(value)
            packed = pack(whole.x[rows])
            weights = _frame_weights(whole.weights, rows, packed)
            frames = packed.frames
            if model.topology == "left-right":
                state = _equal_parts(packed, model.states)
            elif model.discrete:
                state = torch.zeros_like(packed.rows)
            else:
                filled = torch.where(torch.isnan(frames), frames.double().nanmean(0), frames.double())
                seen = weights > 0
                state = torch.zeros_like(packed.rows)
                state[seen] = clusters(filled[seen], model.states, weights[seen], source)
            model.emissions.begin(frames, state, weights, label, source)

    def statistics(self, model: HiddenMarkov, batch: Batch[Ragged]) -> dict[str, Tensor]:
        """Computes the expected counts of starts, moves, ends and visits, those of the emissions, and log p.

        Raises:
            ZooError: a sequence has probability 0, as the topology or an emission of probability 0 forbids it.
            ConditionError: the model has classes, and the batch has no labels.
        """
        c, s, n = model.classes, model.states, len(batch)
        sums = {
            "start": torch.zeros(c, s, dtype=torch.float64, device=batch.x.device),
            "transitions": torch.zeros(c, s, s, dtype=torch.float64, device=batch.x.device),
            "ends": torch.zeros(c, s, dtype=torch.float64, device=batch.x.device),
            "visits": torch.zeros(c, s, dtype=torch.float64, device=batch.x.device),
            "prior": torch.zeros(c, dtype=torch.float64, device=batch.x.device),
            "log_likelihood": torch.zeros((), dtype=torch.float64, device=batch.x.device),
        }
        emitted: dict[str, Tensor] = {}
        for label, rows in model.groups(_labels(model, batch.condition), n):
            packed = pack(batch.x if len(rows) == n else batch.x[rows])
            log_b = model.emissions.log_density(packed.frames, label)
            weights = None if batch.weights is None else _frame_weights(batch.weights, rows, packed)
            of_row = torch.ones(len(packed.order)).to(log_b) if weights is None else weights[: len(packed.order)]
            given = None if weights is None else of_row
            found = smoothed(model.chain(label), log_b, packed, given, self.arithmetic)
            if not bool(torch.isfinite(found.log_likelihood[of_row > 0]).all()):
                raise ZooError("a sequence has probability 0 in this topology; use fewer states, or leave it out")
            # A sequence of weight 0 may have probability 0, and then NaN for γ.
            gamma = found.gamma if weights is None else (found.gamma * weights[:, None]).nan_to_num(0.0)
            sums["start"][label] += gamma[: len(of_row)].sum(0)
            sums["transitions"][label] += found.xi
            sums["ends"][label] += gamma[packed.last].sum(0)
            sums["visits"][label] += gamma.sum(0)
            sums["prior"][label] += of_row.sum()
            sums["log_likelihood"] += of_row @ found.log_likelihood.masked_fill(of_row == 0, 0.0)
            for name, value in model.emissions.statistics(packed.frames, gamma, label).items():
                emitted[name] = emitted[name] + value if name in emitted else value
        return {**sums, **{f"emissions.{k}": v for k, v in emitted.items()}, "count": sums["prior"].sum().cpu()}

    def maximise(self, model: HiddenMarkov, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parts that are not fixed.

        Raises:
            ZooError: a state's variance is not positive, which a greater ``floor`` prevents.
        """
        learned = {
            "start": (model.start_probabilities, statistics["start"]),
            "transitions": (model.transitions, statistics["transitions"]),
            "prior": (model.prior, statistics["prior"]),
        }
        for part, (value, count) in learned.items():
            total = count.sum(-1, keepdim=True)
            if part not in self.fixed:
                value.copy_(torch.where(total > 0, count / total, value))
        if "stop" not in self.fixed:
            ends, visits = statistics["ends"], statistics["visits"]
            if model.length == "geometric":
                ends, visits = ends.sum(1, keepdim=True), visits.sum(1, keepdim=True)
            model.stop.copy_(torch.where(visits > 0, ends / visits, model.stop).clamp_max(1.0))
        if "emissions" not in self.fixed:
            if isinstance(model.emissions, Gaussians):
                model.emissions.floor = self.floor
            prefix = "emissions."
            model.emissions.maximise({k.removeprefix(prefix): v for k, v in statistics.items() if k.startswith(prefix)})


def _labels(model: HiddenMarkov, condition: Condition | None) -> Tensor:
    labels = model.labels(condition)
    if labels is None:
        raise ConditionError("the model has a chain for each class; train it on data with a column label")
    return labels


def _frame_weights(weights: Tensor | None, rows: Tensor, packed: Packed) -> Tensor:
    """Returns the weight of each frame's sequence, ``(F,)``; the first n are those of the sorted sequences."""
    if weights is None:
        return torch.ones(len(packed.rows), dtype=torch.float64, device=packed.rows.device)
    return weights.double()[rows][packed.order][packed.rows]


def _equal_parts(packed: Packed, states: int) -> Tensor:
    """Returns the state of each frame where a sequence of T frames is cut into S equal parts, int64 ``(F,)``."""
    counts = torch.tensor(packed.counts, device=packed.rows.device)
    time = torch.repeat_interleave(torch.arange(len(counts), device=packed.rows.device), counts)
    lengths = torch.bincount(packed.rows)
    return time * states // lengths[packed.rows]
