r"""Counts: successes in trials, outcomes of trials, events at a constant rate.

    binomial       C(n, x) pˣ (1 − p)ⁿ⁻ˣ           T = (x, n − x)      η = (log p, log(1 − p))    A = 0
    multinomial    n!/Πx_j! · Πp_j^{x_j}           T = x               η = log p                  A = 0
    Poisson        λˣ e^{−λ}/x!                    T = x               η = log λ                  A = λ

Maximum likelihood: p = Σx/(n·examples), p_j = Σx_j/(n·examples), λ = Σx/examples.  The conjugate priors are beta,
Dirichlet and gamma: the mode has (Σx + α − 1) successes and (Σ(n − x) + β − 1) failures, Σx_j + α_j − 1 outcomes,
or the rate (Σx + shape − 1)/(examples + rate).  Entropies are sums over the support, since h(x) is not constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_classical.estimation import Parameter, prior_of
from zoo_classical.exponential_family import ExponentialFamily, dot
from zoo_classical.intervals import clopper_pearson, garwood
from zoo_classical.probabilities import Outcomes, normalised
from zoo_core.errors import ZooError
from zoo_core.interfaces import Condition, SampleSpace, Streams
from zoo_core.interfaces.columns import Column

__all__ = ["Binomial", "Multinomial", "Poisson"]


def _whole(x: Tensor) -> Tensor:
    return (x >= 0) & (x == x.floor())


def _log_choose(trials: int, x: Tensor) -> Tensor:
    n = torch.tensor(float(trials), dtype=torch.float64, device=x.device)
    return torch.lgamma(n + 1.0) - torch.lgamma(x + 1.0) - torch.lgamma((n - x).clamp_min(0.0) + 1.0)


class Binomial(ExponentialFamily):
    """The number of successes in a fixed number of trials; Bernoulli where there is one.

    Args:
        trials: number of trials of one sample, at least 1.
        name: name of the column of successes.

    Raises:
        ValueError: ``trials`` is below 1.

    The buffer ``p`` ``()`` is the probability of a success.
    """

    discrete = True
    scalar = "p"
    p: Tensor

    def __init__(self, trials: int = 1, name: str = "successes") -> None:
        super().__init__(2)
        if trials < 1:
            raise ValueError(f"trials = {trials}; expected at least 1")
        self.trials = trials
        self.space = SampleSpace("table", (1,), columns=(Column(name, "integer", low=0.0, high=float(trials)),))
        self.register_buffer("p", torch.tensor(0.5, dtype=torch.float64))

    def holds(self, x: Tensor) -> Tensor:
        return (_whole(x) & (x <= self.trials)).all(1)

    def sufficient(self, x: Tensor) -> Tensor:
        return torch.cat([x.double(), self.trials - x.double()], 1)

    def natural(self) -> Tensor:
        return torch.stack([self.p.double().log(), torch.log1p(-self.p.double())])

    def log_normaliser(self) -> Tensor:
        return torch.zeros_like(self.log_base)

    def mean(self) -> Tensor:
        return self.trials * torch.stack([self.p.double(), 1.0 - self.p.double()])

    def set_mean(self, mean: Tensor) -> None:
        self.p.copy_(normalised(mean)[0])

    def log_base_measure(self, x: Tensor) -> Tensor:
        return _log_choose(self.trials, x[:, 0].double())

    def table(self) -> Tensor:
        """Computes the probabilities of 0 … trials successes, ``(trials + 1,)``."""
        x = torch.arange(self.trials + 1, dtype=torch.float64, device=self.p.device)[:, None]
        return self.log_prob(x).exp()

    def expected_log_base(self) -> Tensor:
        x = torch.arange(self.trials + 1, dtype=torch.float64, device=self.p.device)
        return self.table() @ _log_choose(self.trials, x)

    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns n₀ and S₀ of a beta prior, ``{"alpha": …, "beta": …}``; 1 and 1 are flat."""
        given = prior_of(prior, {"alpha": 1.0, "beta": 1.0})
        extra = torch.tensor([given["alpha"] - 1.0, given["beta"] - 1.0], dtype=torch.float64)
        return float(extra.sum()) / self.trials, extra

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return streams.categorical(self.table()).unsqueeze(1).to(streams.dtype)

    def free(self, level: float) -> Iterator[Parameter]:
        p, n = float(self.p), float(self.count) * self.trials
        yield Parameter("p", p, math.sqrt(p * (1.0 - p) / n), clopper_pearson(float(self.sums[0]), n, level))


class Multinomial(Outcomes):
    """How many of a fixed number of trials had each of several outcomes.

    Args:
        trials: number of trials of one sample, at least 1, which is the sum of its counts.
        outcomes: names of the outcomes, at least one.

    Raises:
        ValueError: an argument is out of its range.

    The buffer ``probabilities`` ``(k,)`` has those of the outcomes.
    """

    def __init__(self, trials: int, outcomes: Sequence[str]) -> None:
        k = len(outcomes)
        if trials < 1 or k < 1:
            raise ValueError(f"trials = {trials} and {k} outcomes; expected at least 1 of each")
        super().__init__(trials, (k,))
        columns = tuple(Column(name, "integer", low=0.0, high=float(trials)) for name in outcomes)
        self.space = SampleSpace("table", (k,), columns=columns)

    def holds(self, x: Tensor) -> Tensor:
        return _whole(x).all(1) & (x.sum(1) == self.trials)

    def sufficient(self, x: Tensor) -> Tensor:
        return x.double()

    def log_base_measure(self, x: Tensor) -> Tensor:
        return math.lgamma(self.trials + 1.0) - torch.lgamma(x.double().clamp_min(0.0) + 1.0).sum(1)

    def expected_log_base(self) -> Tensor:
        """Computes log n! − Σ_j E log x_j!, each x_j being binomial."""
        x = torch.arange(self.trials + 1, dtype=torch.float64, device=self.probabilities.device)
        p = self.probabilities.double()[:, None]
        log_p = _log_choose(self.trials, x) + torch.special.xlogy(x, p) + torch.special.xlog1py(self.trials - x, -p)
        return math.lgamma(self.trials + 1.0) - (log_p.exp() * torch.lgamma(x + 1.0)).sum()

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        p = self.probabilities.double()
        outcome = streams.categorical(p.expand(len(streams), self.trials, len(p)))
        return torch.nn.functional.one_hot(outcome, len(p)).sum(1).to(streams.dtype)

    def names(self) -> list[str]:
        return [f"p({column.name})" for column in self.space.columns]


class Poisson(ExponentialFamily):
    """The number of events that happen at a constant rate.

    Args:
        name: name of the column of counts.

    The buffer ``rate`` ``()`` is the mean λ.
    """

    discrete = True
    scalar = "rate"
    rate: Tensor

    def __init__(self, name: str = "events") -> None:
        super().__init__(1)
        self.space = SampleSpace("table", (1,), columns=(Column(name, "integer", low=0.0),))
        self.register_buffer("rate", torch.tensor(1.0, dtype=torch.float64))

    def holds(self, x: Tensor) -> Tensor:
        return _whole(x).all(1)

    def sufficient(self, x: Tensor) -> Tensor:
        return x.double()

    def natural(self) -> Tensor:
        return self.rate.double().log()[None]

    def log_normaliser(self) -> Tensor:
        return self.rate.double()

    def mean(self) -> Tensor:
        return self.rate.double()[None]

    def set_mean(self, mean: Tensor) -> None:
        if not float(mean) >= 0.0:
            raise ZooError(f"rate = {float(mean):.3g} at the mode; expected at least 0: raise the prior's shape")
        self.rate.copy_(mean[0])

    def log_base_measure(self, x: Tensor) -> Tensor:
        return -torch.lgamma(x[:, 0].double().clamp_min(0.0) + 1.0)

    def counts(self) -> Tensor:
        """Returns the counts 0 … m, beyond which the probability is below 2⁻⁵³, ``(m + 1,)``."""
        rate = float(self.rate)
        return torch.arange(math.ceil(rate + 12.0 * math.sqrt(rate) + 40.0), dtype=torch.float64).to(self.rate.device)

    def expected_log_base(self) -> Tensor:
        x = self.counts()[:, None]
        return dot(self.log_prob(x).exp(), self.log_base_measure(x))

    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns n₀ and S₀ of a gamma prior, ``{"shape": …, "rate": …}``; 1 and 0 are flat."""
        given = prior_of(prior, {"shape": 1.0, "rate": 0.0})
        return float(given["rate"]), torch.tensor([given["shape"] - 1.0], dtype=torch.float64)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        probabilities = self.log_prob(self.counts()[:, None]).exp()
        return streams.categorical(probabilities).unsqueeze(1).to(streams.dtype)

    def free(self, level: float) -> Iterator[Parameter]:
        n, rate = float(self.count), float(self.rate)
        yield Parameter("rate", rate, math.sqrt(rate / n), garwood(float(self.sums[0]), n, level))
