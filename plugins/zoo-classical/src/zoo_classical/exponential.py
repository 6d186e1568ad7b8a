r"""Waiting times between events that happen at a constant rate.

    p(x) = λ e^{−λx} for x ≥ 0,        T = x,        η = −λ,        A = −log λ.

Maximum likelihood gives λ = n/Σx.  Under a gamma(shape, rate) prior of λ the mode is (n + shape − 1)/(Σx + rate).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_classical.estimation import Parameter, prior_of
from zoo_classical.exponential_family import ExponentialFamily
from zoo_classical.intervals import exponential_rate
from zoo_core.errors import ZooError
from zoo_core.interfaces import Condition, SampleSpace, Streams
from zoo_core.interfaces.columns import Column

__all__ = ["Exponential"]


class Exponential(ExponentialFamily):
    """An exponential distribution.

    Args:
        name: name of the column of waiting times.

    The buffer ``rate`` ``()`` is λ.
    """

    scalar = "rate"
    rate: Tensor

    def __init__(self, name: str = "time") -> None:
        super().__init__(1)
        self.space = SampleSpace("table", (1,), columns=(Column(name, low=0.0),))
        self.register_buffer("rate", torch.tensor(1.0, dtype=torch.float64))

    def holds(self, x: Tensor) -> Tensor:
        return (x >= 0).all(1)

    def sufficient(self, x: Tensor) -> Tensor:
        return x.double()

    def natural(self) -> Tensor:
        return -self.rate.double()[None]

    def log_normaliser(self) -> Tensor:
        return -self.rate.double().log()

    def mean(self) -> Tensor:
        return 1.0 / self.rate.double()[None]

    def set_mean(self, mean: Tensor) -> None:
        if not float(mean) > 0.0:
            raise ZooError(
                f"the mean waiting time is {float(mean):.3g}; expected more than 0: give a prior with a rate"
            )
        self.rate.copy_(1.0 / mean[0])

    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns n₀ and S₀ of a gamma prior, ``{"shape": …, "rate": …}``; 1 and 0 are flat."""
        given = prior_of(prior, {"shape": 1.0, "rate": 0.0})
        return given["shape"] - 1.0, torch.tensor([given["rate"]], dtype=torch.float64)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return (-torch.log1p(-streams.uniform(1).double()) / self.rate.double()).to(streams.dtype)

    def free(self, level: float) -> Iterator[Parameter]:
        n, rate = float(self.count), float(self.rate)
        yield Parameter("rate", rate, rate / math.sqrt(n), exponential_rate(float(self.sums[0]), n, level))
