"""The capability of a model that decodes what another model draws: outer ∘ inner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from zoo_core.interfaces.model import Model

__all__ = ["Composition"]


class Composition(ABC):
    """Has a model of codes inside, and decodes its samples, as latent diffusion does.

    A sampler that needs what this model is not draws from the inner model, and what it drew is decoded: so every path
    sampler works, and so do guidance and films.  The conditions of the two are the same.

    Attributes:
        inner: model whose samples are the codes.
    """

    inner: Model

    @abstractmethod
    def decoded(self, codes: Tensor) -> Tensor:
        """Decodes samples of the inner model, ``(n, *inner.space.shape)``, to samples of this one."""
