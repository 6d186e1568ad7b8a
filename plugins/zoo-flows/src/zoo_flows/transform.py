r"""Transforms: invertible maps f from data x to codes z, with their log-determinants.

    z = f(x),      log p(x) = log p(z) + log |det ∂z/∂x|                          (change of variables)

The direction is that of the density, from data to code.  For a composition f = f_L ∘ … ∘ f_1 the last terms add up:

    log |det ∂z/∂x| = Σ_l log |det ∂f_l/∂(its input)|                             (Rezende & Mohamed 2015, eq. 7).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import cast

from torch import Tensor, nn

__all__ = ["Compose", "Flatten", "Inverse", "Transform"]


class Transform(nn.Module, ABC):
    """An invertible map of ``(n, …)``, row by row.

    The map may also depend on ``context`` ``(n, width)``, the embedding of a condition.
    """

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes z = f(x) and log |det ∂z/∂x| ``(n,)`` in one evaluation."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes x = f⁻¹(z)."""

    def log_abs_det_jacobian(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes log |det ∂f/∂x| at x, ``(n,)``."""
        return self(x, context)[1]

    def inverse_and_log_det(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes x = f⁻¹(z) and log |det ∂x/∂z| ``(n,)``."""
        x = self.inverse(z, context)
        return x, -self.log_abs_det_jacobian(x, context)

    def start(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Initialises parameters that depend on data (ActNorm), and returns f(x).

        Args:
            x: first batch, ``(n, …)``.
            context: context of the first batch, ``(n, width)``.
        """
        return self(x, context)[0]


class Compose(Transform):
    """The composition f_L ∘ … ∘ f_1, whose first transform is applied to the data first."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def __len__(self) -> int:
        return len(self.transforms)

    def __iter__(self) -> Iterator[Transform]:
        return (cast(Transform, transform) for transform in self.transforms)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for transform in self.transforms:
            x, log_det = transform(x, context)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for transform in reversed([*self]):
            z = transform.inverse(z, context)
        return z

    def inverse_and_log_det(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for transform in reversed([*self]):
            z, log_det = transform.inverse_and_log_det(z, context)
            total = total + log_det
        return z, total

    def start(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        for transform in self:
            x = transform.start(x, context)
        return x


class Inverse(Transform):
    """The inverse f⁻¹ as a transform, which turns a masked autoregressive flow into an inverse autoregressive one."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse_and_log_det(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.transform(z, context)[0]

    def inverse_and_log_det(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.transform(z, context)
        return x, log_det


class Flatten(Transform):
    """The reshape ``(n, *shape)`` to ``(n, d)``, which preserves volume."""

    def __init__(self, shape: Iterable[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.view(len(z), *self.shape)
