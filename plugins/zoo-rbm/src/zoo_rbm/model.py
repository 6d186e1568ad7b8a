r"""Restricted Boltzmann machines: visible units u, hidden bits h, and no connections within either side.

    E(u, h) = E₀(u) − aᵀu − bᵀh − uᵀWh                                      (Smolensky 1986; Hinton 2002)
    F(u) = E₀(u) − aᵀu − Σ_j log(1 + exp(b_j + (Wᵀu)_j)),    p(u) = exp(−F(u))/Z
    p(h_j = 1 | u) = σ(b_j + (Wᵀu)_j),    p(u_i | h) ∝ exp(f_i u_i − E₀(u_i)) with the field f = a + Wh

|                 | u        | E₀(u) | u_i given h         | log ∫ exp(f u_i − E₀(u_i)) |
|-----------------|----------|-------|---------------------|----------------------------|
| Bernoulli units | bits v   | 0     | 1 with odds exp(f)  | log(1 + exp(f))            |
| Gaussian units  | v/s      | ½‖u‖² | N(f, 1)             | ½f² + ½ log 2π + log s     |

s is the standard deviation of each visible unit given h (Welling et al. 2004); log s in the last column makes Z that of
v, not of u.

A sweep draws h given v, then v given h: it leaves p invariant, and is reversible.  A machine *annealed* to β has the
biases (1 − β)·a₀ + βa and βb, and weights βW: independent units at β = 0, this machine at β = 1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Density, DirectSampler, EnergyBased, Model, SampleSpace, Streams
from zoo_rbm.enumeration import MOST_UNITS, log_weights

__all__ = ["BernoulliRBM", "GaussianRBM", "RestrictedBoltzmannMachine"]

FIRST_WEIGHTS = 0.01
"""Standard deviation of initial weights (Hinton 2010)."""

UNEXPLAINED = 0.5
"""Initial s as a share of the data's standard deviation: with all of it, W = 0 would be a saddle of the likelihood."""


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiplies in the type of the weights, which may be a half type; the result has the type of ``x``."""
    return (x.to(matrix.dtype) @ matrix).to(x.dtype)


def drawn_bits(p: Tensor, streams: Streams) -> Tensor:
    """Draws bits that are 1 with probabilities ``(n, k)``, in the type of these."""
    return streams.uniform(p.shape[1]).lt_(p).to(p.dtype)  # in place of the uniform draws: no mask is allocated


class RestrictedBoltzmannMachine(Model, Density, DirectSampler, EnergyBased):
    """A restricted Boltzmann machine whose visible units are of any kind.

    Args:
        shape: shape of a sample; three axes are an image.
        hidden: number of hidden bits, at least 1.
        chains: number of chains whose states are stored with the weights, from which samples can go on.

    Attributes:
        W: weights, ``(visible, hidden)``.
        a, b: visible and hidden biases.
        base: biases a₀ of independent visible units with the means of the data.

    Raises:
        IncompatibleError: a number is out of its range.
    """

    def __init__(self, shape: Sequence[int], hidden: int, chains: int = 0) -> None:
        super().__init__()
        visible = math.prod(shape)
        if visible < 1 or hidden < 1 or chains < 0:
            raise IncompatibleError(
                f"shape = {list(shape)}, hidden = {hidden}, chains = {chains}; expected at least one visible and one "
                "hidden unit, and no negative number of chains"
            )
        self.W = nn.Parameter(FIRST_WEIGHTS * torch.randn(visible, hidden))
        self.a, self.b = nn.Parameter(torch.zeros(visible)), nn.Parameter(torch.zeros(hidden))
        self.base: Tensor
        self.register_buffer("base", torch.zeros(visible))
        self.started: Tensor
        self.register_buffer("started", torch.tensor(False))
        self.chains: Tensor | None
        self.register_buffer("chains", torch.zeros(chains, *shape) if chains else None)

    @property
    def visible(self) -> int:
        """The number of visible units."""
        return len(self.a)

    @property
    def hidden(self) -> int:
        """The number of hidden units."""
        return len(self.b)

    @abstractmethod
    def units(self, x: Tensor) -> Tensor:
        """Returns the visible units u of data, ``(n, visible)``."""

    @abstractmethod
    def own_energy(self, u: Tensor) -> Tensor:
        """Computes E₀(u), ``(n,)``."""

    @abstractmethod
    def log_integral(self, field: Tensor) -> Tensor:
        """Computes log ∫ exp(fᵀu − E₀(u)) dv, or the sum over bits, of fields ``(n, visible)``; ``(n,)``."""

    @abstractmethod
    def mean(self, field: Tensor) -> Tensor:
        """Returns the mean of v in the fields ``(n, visible)``, ``(n, *space.shape)``."""

    @abstractmethod
    def draw_visible(self, field: Tensor, streams: Streams) -> Tensor:
        """Draws v in the fields ``(n, visible)``, ``(n, *space.shape)``."""

    def inputs(self, x: Tensor) -> Tensor:
        """Computes what hidden units receive, b + Wᵀu, ``(n, hidden)``."""
        return self.b + _product(self.units(x), self.W)

    def draw_hidden(self, inputs: Tensor, streams: Streams) -> Tensor:
        """Draws h given what the hidden units receive, ``(n, hidden)``."""
        return drawn_bits(torch.sigmoid(inputs), streams)

    def bias_at(self, beta: float) -> Tensor:
        """Returns the visible bias of the machine annealed to β."""
        return torch.lerp(self.base, self.a, beta) if beta < 1.0 else self.a

    def energy_at(self, x: Tensor, inputs: Tensor, beta: float = 1.0) -> Tensor:
        """Computes the free energy of the machine annealed to β.

        Args:
            x: data on the model's side, ``(n, *space.shape)``.
            inputs: :meth:`inputs` of ``x``.
            beta: level of annealing in [0, 1].
        """
        u = self.units(x)
        return self.own_energy(u) - _product(u, self.bias_at(beta)) - functional.softplus(beta * inputs).sum(1)

    def sweep_at(self, inputs: Tensor, streams: Streams, beta: float = 1.0) -> Tensor:
        """Draws h, then v, of the machine annealed to β, from the :meth:`inputs` of the state before."""
        h = self.draw_hidden(beta * inputs, streams)
        return self.draw_visible(self.bias_at(beta) + beta * _product(h, self.W.T), streams)

    def lacks(self) -> Mapping[str, str]:
        missing = {}
        if (units := self.fewest()) > MOST_UNITS:
            missing["Density"] = f"the normaliser is a sum over 2^{units} states; measure ais-nll, which estimates it"
        if self.hidden > MOST_UNITS:
            missing["DirectSampler"] = f"p(h) has 2^{self.hidden} states; use gibbs or persistent-chains"
        return missing

    def fewest(self) -> int:
        """Counts the bits over whose states Z is summed."""
        return self.hidden

    def hidden_log_weights(self) -> Tensor:
        """Computes log p(h) + log Z of every state h, ``(2^hidden,)`` in float64."""
        b, weights = self.b.double(), self.W.double()
        return log_weights(self.hidden, lambda h: h @ b + self.log_integral(self.a + h @ weights.T), b.device)

    def log_normaliser(self) -> Tensor:
        """Computes log Z exactly, in float64; gradients pass through it.

        Raises:
            IncompatibleError: the states are too many.
        """
        if reason := self.lacks().get("Density"):
            raise IncompatibleError(reason)
        return self.hidden_log_weights().logsumexp(0)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws h from its own distribution, by enumeration, then v given h: independent samples of p.

        Raises:
            IncompatibleError: the states are too many.
        """
        if reason := self.lacks().get("DirectSampler"):
            raise IncompatibleError(reason)
        which = streams.categorical(torch.softmax(self.hidden_log_weights(), 0))
        h = (which[:, None] >> torch.arange(self.hidden, device=which.device) & 1).to(streams.dtype)
        return self.draw_visible(self.a + _product(h, self.W.T), streams)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        energy = self.free_energy(x)
        return (-energy - self.log_normaliser()).to(energy.dtype)

    def free_energy(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        return self.energy_at(x, self.inputs(x))

    def gibbs_step(self, x: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.sweep_at(self.inputs(x), streams)

    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws independent visible units with the means of the data."""
        return self.draw_visible(self.base.expand(len(streams), -1), streams)

    def persistent_chains(self) -> Tensor | None:
        return self.chains

    def start(self, batch: Batch[Any], streams: Streams) -> None:
        """Sets the visible biases so that independent units have the means of the batch (Hinton 2010)."""
        if not self.started:
            with torch.no_grad():
                self.set_scale(batch.x)
                self.base.copy_(self.bias_of(self.units(batch.x)))
                self.a.copy_(self.base)
                self.started.fill_(True)

    def set_scale(self, x: Tensor) -> None:
        """Sets the units in which visible values are measured, from data; nothing for bits."""
        return

    @abstractmethod
    def bias_of(self, u: Tensor) -> Tensor:
        """Returns the bias of independent units that are most likely to be ``u``, ``(visible,)``."""


class BernoulliRBM(RestrictedBoltzmannMachine):
    """A machine whose visible units are bits: pixels that are black or white."""

    discrete = binarises = True

    def __init__(self, shape: Sequence[int], hidden: int, chains: int = 0) -> None:
        super().__init__(shape, hidden, chains)
        self.space = SampleSpace.of(shape, 0.0, 1.0)

    def units(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def own_energy(self, u: Tensor) -> Tensor:
        return u.new_zeros(len(u))

    def log_integral(self, field: Tensor) -> Tensor:
        return functional.softplus(field).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return torch.sigmoid(field).view(-1, *self.space.sizes)

    def draw_visible(self, field: Tensor, streams: Streams) -> Tensor:
        return drawn_bits(torch.sigmoid(field), streams).view(-1, *self.space.sizes)

    def bias_of(self, u: Tensor) -> Tensor:
        return torch.logit((u.sum(0) + 1) / (len(u) + 2))  # one black and one white pixel more: no infinite bias

    def fewest(self) -> int:
        return min(self.hidden, self.visible)

    def log_normaliser(self) -> Tensor:
        if self.hidden <= self.visible:
            return super().log_normaliser()
        if reason := self.lacks().get("Density"):
            raise IncompatibleError(reason)
        return log_weights(self.visible, lambda v: -self.double_energy(v), self.a.device).logsumexp(0)

    def double_energy(self, v: Tensor) -> Tensor:
        """Computes the free energy of bits ``(n, visible)`` in float64."""
        inputs = self.b.double() + v @ self.W.double()
        return -(v @ self.a.double()) - functional.softplus(inputs).sum(1)


class GaussianRBM(RestrictedBoltzmannMachine):
    """A machine whose visible units are real numbers, normal given the hidden bits; their scale is learned.

    Given h the visible values are N(s·(a + Wh), s²), so that p is a mixture of 2^hidden normal distributions with one
    diagonal covariance.

    Attributes:
        log_scale: log s of each visible unit.
    """

    def __init__(self, shape: Sequence[int], hidden: int, chains: int = 0) -> None:
        super().__init__(shape, hidden, chains)
        self.space = SampleSpace.of(shape, -1.0, 1.0)
        self.log_scale = nn.Parameter(torch.zeros(self.visible))

    def units(self, x: Tensor) -> Tensor:
        return x.flatten(1) * torch.exp(-self.log_scale)

    def own_energy(self, u: Tensor) -> Tensor:
        return 0.5 * u.square().sum(1)

    def log_integral(self, field: Tensor) -> Tensor:
        return (0.5 * field.square() + 0.5 * math.log(2 * math.pi) + self.log_scale).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        return (field * torch.exp(self.log_scale)).view(-1, *self.space.sizes)

    def draw_visible(self, field: Tensor, streams: Streams) -> Tensor:
        return self.mean(field + streams.normal(self.visible).to(field.dtype))

    def set_scale(self, x: Tensor) -> None:
        if len(x) > 1:
            self.log_scale.copy_((UNEXPLAINED * x.flatten(1).std(0)).clamp(min=1e-3).log())

    def bias_of(self, u: Tensor) -> Tensor:
        return u.mean(0)
