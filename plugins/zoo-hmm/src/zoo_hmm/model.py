r"""Hidden Markov models over sequences x_1 … x_T of any length T ≥ 1, one chain of S states for each of C classes.

    p(x, T | c) = Σ_z π_{z_1} B_{z_1}(x_1) Π_{t>1} (1 − e_{z_{t−1}}) a_{z_{t−1} z_t} B_{z_t}(x_t) · e_{z_T}.

After every frame the sequence ends with probability e, so that p sums to one over all lengths.  With ``length =
"geometric"`` all states share one e, and p(x, T) = p(T) p(x | T) with p(T) = (1 − e)^{T−1} e; with ``"stop"`` each has
its own, so that states say how a sequence ends.

Without a class, p(x, T) = Σ_c p(c) p(x, T | c), and p(c | x, T) ∝ p(c) p(x, T | c) classifies.

Frames, or numbers of frames, may be missing: they are summed and integrated out (B = 1 of a frame without anything).
Unknown frames are drawn exactly given all known ones, from the last back to the first: z_T ~ α_T ∘ e, z_t ~ α_t ∘
A_{· z_{t+1}}, x_t ~ B_{z_t} (forward filtering, backward sampling; Chib 1996).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import (
    Completer,
    Condition,
    ConditionSpec,
    DataSet,
    Density,
    DirectSampler,
    Model,
    Ragged,
    Streams,
)
from zoo_hmm.chain import Chain
from zoo_hmm.decoding import best_path
from zoo_hmm.emissions import Categorical, Emissions
from zoo_hmm.gaussians import Covariance, Gaussians
from zoo_hmm.inference import Arithmetic, filtered, smoothed
from zoo_hmm.packed import pack

__all__ = ["HiddenMarkov", "Length", "Topology"]

Topology = Literal["free", "left-right"]
Length = Literal["geometric", "stop"]


class HiddenMarkov(Model, Density[Ragged], DirectSampler[Ragged], Completer[Ragged]):
    """A hidden Markov model of tokens, or of frames of numbers, computed in float64.

    Args:
        states: number S of states, at least 1.
        symbols: number of different tokens, at least 1; states then have tables of probabilities.
        features: numbers in a frame, at least 1; states then have Gaussians.  Give this or ``symbols``.
        components: Gaussians in the mixture of a state, at least 1.
        covariance: form of the covariances of Gaussians, ``diagonal`` or ``full``.
        topology: ``free``, or ``left-right`` where a sequence begins in state 0 and goes on from i to i or i + 1.
        length: ``geometric`` where all states share the probability of ending, ``stop`` where each has its own.
        classes: number C of classes; ``None`` for an unconditional model.

    Raises:
        ValueError: an argument is out of its range.

    The buffers are ``start_probabilities`` π ``(C, S)``, ``transitions`` a ``(C, S, S)``, ``stop`` e ``(C, S)``,
    ``prior`` p(c) ``(C,)`` and those of ``emissions``.
    """

    takes_missing = True
    start_probabilities: Tensor
    transitions: Tensor
    stop: Tensor
    prior: Tensor

    def __init__(
        self,
        states: int,
        symbols: int | None = None,
        features: int | None = None,
        components: int = 1,
        covariance: Covariance = "diagonal",
        topology: Topology = "free",
        length: Length = "geometric",
        classes: int | None = None,
    ) -> None:
        super().__init__()
        numbers = {"states": states, "symbols": symbols, "features": features, "components": components}
        for name, value in {**numbers, "classes": classes}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value}; expected at least 1")
        if (symbols is None) == (features is None):
            raise ValueError(f"symbols = {symbols} and features = {features}; expected one of the two")
        if topology not in get_args(Topology):
            raise ValueError(f"topology = {topology!r}; expected one of {', '.join(get_args(Topology))}")
        if length not in get_args(Length):
            raise ValueError(f"length = {length!r}; expected one of {', '.join(get_args(Length))}")
        self.states, self.topology, self.length = states, topology, length
        self.discrete = symbols is not None
        self.conditions = {} if classes is None else {"label": ConditionSpec.label(classes)}
        c = classes or 1
        self.emissions: Emissions
        if symbols is not None:
            self.emissions = Categorical(c, states, symbols)
        else:
            assert features is not None
            self.emissions = Gaussians(c, states, features, components, covariance)
        self.space = self.emissions.space
        start, moves = _allowed(states, topology)
        self.register_buffer("start_probabilities", (start / start.sum()).expand(c, -1).clone())
        self.register_buffer("transitions", (moves / moves.sum(1, keepdim=True)).expand(c, -1, -1).clone())
        self.register_buffer("stop", torch.full((c, states), 0.1, dtype=torch.float64))
        self.register_buffer("prior", torch.full((c,), 1.0 / c, dtype=torch.float64))

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data: tokens, or frames of numbers; one chain for all where they have no labels.

        Raises:
            IncompatibleError: the examples are neither.
        """
        adapted, space = super().config_for(config, data, shape), data.sample_space
        adapted.pop("symbols", None)
        adapted.pop("features", None)
        if "classes" in adapted and data.y is None:
            adapted["classes"] = None
        if space.kind == "tokens":
            return {**adapted, "symbols": space.vocabulary}
        if space.kind != "sequence" or len(space.shape) != 2:
            raise IncompatibleError(
                f"{data.name} has examples of {space.words()}; expected tokens or frames of numbers"
            )
        return {**adapted, "features": space.shape[1]}

    @property
    def classes(self) -> int:
        """The number of chains, 1 for an unconditional model."""
        return len(self.prior)

    def chain(self, label: int = 0) -> Chain:
        """Returns the chain of a class, in float64."""
        end = self.stop[label].double()
        moves = (1.0 - end)[:, None] * self.transitions[label].double()
        return Chain(self.start_probabilities[label].double(), moves, end)

    def free_parameters(self) -> int:
        """Counts the free parameters of all classes: those that are not 0 by the topology."""
        start, moves = _allowed(self.states, self.topology)
        chain = int((start > 0).sum()) - 1 + int((moves > 0).sum()) - self.states
        ends = 1 if self.length == "geometric" else self.states
        return self.classes * (chain + ends + self.emissions.free_parameters()) + self.classes - 1

    def log_prob(
        self,
        x: Ragged,
        *,
        condition: Condition | None = None,
        streams: Streams | None = None,
        arithmetic: Arithmetic = "scaled",
    ) -> Tensor:
        """Computes the exact log p(x, T | c) in nats, ``(n,)`` in float64; log p(x, T) without a condition.

        Args:
            x: sequences; NaN, or a token of −1, is missing.
            condition: class of each sequence.
            streams: not used.
            arithmetic: ``scaled``, or ``log``, which gives the same and takes longer.
        """
        labels = self.labels(condition)
        if labels is None:
            return torch.logsumexp(self.class_log_prob(x, arithmetic) + self.prior.double().log(), 1)
        found = torch.empty(len(x), dtype=torch.float64, device=x.device)
        for label, rows in self.groups(labels, len(x)):
            found[rows] = self._log_prob_of(x[rows], label, arithmetic)
        return found

    def class_log_prob(self, x: Ragged, arithmetic: Arithmetic = "scaled") -> Tensor:
        """Computes log p(x, T | c) of every class, ``(n, C)``."""
        return torch.stack([self._log_prob_of(x, label, arithmetic) for label in range(self.classes)], 1)

    def classify(self, x: Ragged) -> Tensor:
        """Computes p(c | x, T), ``(n, C)``, whose rows sum to one."""
        return torch.softmax(self.class_log_prob(x) + self.prior.double().log(), 1)

    def _log_prob_of(self, x: Ragged, label: int, arithmetic: Arithmetic) -> Tensor:
        packed = pack(x)
        log_b = self.emissions.log_density(packed.frames, label)
        return packed.unsorted(filtered(self.chain(label), log_b, packed, arithmetic)[0])

    def posterior(self, x: Ragged, *, condition: Condition | None = None, arithmetic: Arithmetic = "scaled") -> Ragged:
        """Computes p(z_t = i | x, T, c), a Ragged of ``(n, longest, S)``; a model with classes needs the condition."""
        found = torch.zeros(len(x), x.data.shape[1], self.states, dtype=torch.float64, device=x.device)
        for label, rows in self.groups(self._needed(condition), len(x)):
            packed = pack(x[rows])
            log_b = self.emissions.log_density(packed.frames, label)
            gamma = packed.padded(smoothed(self.chain(label), log_b, packed, arithmetic=arithmetic).gamma)
            found[rows, : gamma.shape[1]] = gamma
        return Ragged(found, x.lengths)

    def decode_posterior(self, x: Ragged, *, condition: Condition | None = None) -> Ragged:
        """Finds the most probable state of each frame, a Ragged of ``(n, longest)``."""
        gamma = self.posterior(x, condition=condition)
        return Ragged(gamma.data.argmax(2), x.lengths)

    def viterbi(self, x: Ragged, *, condition: Condition | None = None) -> tuple[Ragged, Tensor]:
        """Finds the most probable path of states, a Ragged of ``(n, longest)``, and its log p(x, T, z), ``(n,)``."""
        states = torch.zeros(len(x), x.data.shape[1], dtype=torch.int64, device=x.device)
        score = torch.empty(len(x), dtype=torch.float64, device=x.device)
        for label, rows in self.groups(self._needed(condition), len(x)):
            packed = pack(x[rows])
            path, best = best_path(self.chain(label), self.emissions.log_density(packed.frames, label), packed)
            padded = packed.padded(path)
            states[rows, : padded.shape[1]] = padded
            score[rows] = packed.unsorted(best)
        return Ragged(states, x.lengths), score

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Ragged:
        n, labels = len(streams), self.labels(condition)
        labels = streams.categorical(self.prior.double()) if labels is None else labels.expand(n)
        rows = torch.arange(n, device=labels.device)
        frames, lengths = [], torch.zeros(n, dtype=torch.int64, device=labels.device)
        state = streams.categorical(self.start_probabilities.double()[labels])
        while True:
            made = self.emissions.draw(labels[rows], state, streams, self.emissions.nothing(len(rows)))
            frame = made.new_zeros((n, *made.shape[1:]), dtype=torch.int64 if self.discrete else streams.dtype)
            frames.append(frame.index_copy_(0, rows, made.to(frame.dtype)))
            lengths[rows] += 1
            on = streams.uniform(1).squeeze(1).double() >= self.stop[labels[rows], state]
            rows, streams = rows[on], streams.rows(on)
            if not len(rows):
                return Ragged(torch.stack(frames, 1), lengths)
            state = streams.categorical(self.transitions.double()[labels[rows], state[on]])

    def complete(self, x: Ragged, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Ragged:
        data = x.data.masked_fill(~known, -1) if self.discrete else x.data.masked_fill(~known, torch.nan)
        partial, labels = Ragged(data, x.lengths), self.labels(condition)
        if labels is None:
            labels = streams.categorical(self.classify(partial))
        labels = labels.expand(len(x))
        alpha = torch.zeros(len(x), data.shape[1], self.states, dtype=torch.float64, device=x.device)
        for label, some in self.groups(labels, len(x)):
            packed = pack(partial[some])
            found = filtered(self.chain(label), self.emissions.log_density(packed.frames, label), packed)[1]
            padded = packed.padded(found)
            alpha[some, : padded.shape[1]] = padded
        made, weights = x.data.clone(), self.stop.double()[labels]
        rows = torch.arange(len(x), device=x.device)
        for back in range(int(x.lengths.max())):
            # A step counts from each row's own end, so that its streams do not know how long the others are.
            on = x.lengths[rows] > back
            rows, streams, weights = rows[on], streams.rows(on), weights[on]
            time = x.lengths[rows] - 1 - back
            state = streams.categorical(alpha[rows, time] * weights)
            made[rows, time] = self.emissions.draw(labels[rows], state, streams, data[rows, time])
            weights = self.transitions.double()[labels[rows], :, state] * (1.0 - self.stop.double()[labels[rows]])
        return Ragged(torch.where(known, x.data, made), x.lengths)

    def labels(self, condition: Condition | None) -> Tensor | None:
        """Returns the classes that a condition says, or 0 for an unconditional model; ``None`` if it says none.

        Raises:
            ConditionError: a class is out of range, or the model has no such condition.
        """
        if condition is not None:
            condition.check(self.conditions)
        if condition is not None and "label" in condition:
            return condition["label"]
        return torch.zeros(1, dtype=torch.int64, device=self.prior.device) if not self.conditions else None

    def _needed(self, condition: Condition | None) -> Tensor:
        labels = self.labels(condition)
        if labels is None:
            raise ConditionError("states belong to a class; give the condition label")
        return labels

    def groups(self, labels: Tensor, n: int) -> list[tuple[int, Tensor]]:
        """Returns each class that occurs, with the numbers of its rows; one class of all where there is one label."""
        labels = labels.expand(n)
        return [(int(label), (labels == label).nonzero().squeeze(1)) for label in torch.unique(labels)]


def _allowed(states: int, topology: Topology) -> tuple[Tensor, Tensor]:
    """Returns 1 where a sequence may begin, ``(S,)``, and where it may go, ``(S, S)``."""
    start, moves = torch.ones(states, dtype=torch.float64), torch.ones(states, states, dtype=torch.float64)
    if topology == "left-right":
        start[1:] = 0.0
        moves = moves.triu().tril(1)
    return start, moves
