r"""What both regressions share: the condition ``inputs``, and z = (1, x − o) with an origin o near the data.

With the origin nothing cancels for inputs with an offset.  A coefficient vector b of z has slopes w = b₁… and the
intercept b₀ − w·o.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.errors import ConditionError, ZooError
from zoo_core.interfaces import Batch, Condition, ConditionSpec, Model

__all__ = ["Regression", "solve"]


class Regression(Model):
    """A model conditioned on a vector of inputs.

    Args:
        inputs: number D of inputs, at least 1.
        outputs: number m of linear functions of the inputs.

    Raises:
        ValueError: ``inputs`` is below 1.

    The buffer ``origin`` ``(D,)`` is o, ``coefficients`` ``(1 + D, m)`` has a column b for each output, and ``count``
    ``()`` is the number of examples, or the sum of their weights.
    """

    origin: Tensor
    coefficients: Tensor
    count: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if inputs < 1:
            raise ValueError(f"inputs = {inputs}; expected at least 1")
        self.inputs = inputs
        self.conditions = {"inputs": ConditionSpec("vector", shape=(inputs,))}
        self.register_buffer("origin", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("coefficients", torch.zeros(inputs + 1, outputs, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @property
    def slopes(self) -> Tensor:
        """The slopes of the outputs, ``(m, D)``."""
        return self.coefficients[1:].double().mT

    @property
    def intercepts(self) -> Tensor:
        """The outputs at inputs of 0, ``(m,)``."""
        return self.intercept_direction() @ self.coefficients.double()

    def begin(self, batch: Batch[Tensor]) -> None:
        """Sets the origin to the mean of the first inputs."""
        self.origin.copy_(self.design(batch.condition, len(batch))[:, 1:].mean(0) + self.origin)

    def design(self, condition: Condition | None, count: int) -> Tensor:
        """Returns z, ``(n, 1 + D)`` in float64.

        Raises:
            ConditionError: there are no valid inputs, one row for each of ``count`` samples.
        """
        if condition is None or "inputs" not in condition:
            raise ConditionError(
                f"{type(self).__name__} needs the condition 'inputs', {self.inputs} numbers per sample"
            )
        condition.check(self.conditions)
        x = condition["inputs"].double()
        if len(x) != count:
            raise ConditionError(f"condition 'inputs' has {len(x)} rows for {count} samples; expected one row each")
        return torch.cat([torch.ones_like(x[:, :1]), x - self.origin], 1)

    def intercept_direction(self) -> Tensor:
        """Returns c with the intercept b·c, ``(1 + D,)``: the value of z at x = 0."""
        return torch.cat([torch.ones_like(self.origin[:1]), -self.origin])


def solve(information: Tensor, right: Tensor, what: str) -> Tensor:
    """Solves a symmetric positive definite system.

    Args:
        information: matrix, ``(k, k)``.
        right: right-hand side, ``(k, m)``.
        what: cause of a singular matrix, for the message.

    Raises:
        ZooError: the matrix is singular.
    """
    size = information.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    factor, failed = torch.linalg.cholesky_ex(information / size[:, None] / size[None, :])
    if int(failed) or bool((factor.diagonal() < 1e-7).any()):
        raise ZooError(f"{what}; leave out inputs that depend on others, or give a prior with precision")
    return torch.cholesky_solve(right / size[:, None], factor) / size[:, None]
