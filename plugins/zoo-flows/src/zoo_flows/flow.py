r"""The base of all flows: an invertible map f between data x and codes z with a simple density.

    log p(x) = log p(z) + log |det ∂z/∂x|,   z = f(x)        (exact, in nats)
    x = f⁻¹(z),   z ~ p(z)                                    (samples)

p(z) is N(0, I), or the logistic density of NICE (Dinh et al. 2015, §3.4).  A class-conditional flow is one flow per
label y with shared parameters: f sees an embedding of y.  Where no label is given its density is the mixture
log p(x) = log (1/K) Σ_y p(x | y), and a sample's label is drawn uniformly.

**Half precision.**  In bfloat16 or float16 the parameters are rounded and the networks of coupling layers compute in
half precision, but x, z and log p are float32, since rounded values could not be inverted and the density would not
integrate to one.

**Images** are in [0, 1] with noise within each grey level (uniform dequantisation), and log p is the density there.
Bits per dimension are −log p/(D·ln 2) + log₂ m for m levels, so that a uniform density over the range scores log₂ m,
8 bits for m = 256.  With variational dequantisation log p is a bound of the probability of the levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.errors import ConditionError
from zoo_core.interfaces import (
    Batch,
    Condition,
    ConditionSpec,
    DataSet,
    Density,
    DirectSampler,
    LatentVariable,
    Model,
    SampleSpace,
    Streams,
)
from zoo_flows.actnorm import ActNorm
from zoo_flows.dequantisation import VariationalDequantisation
from zoo_flows.logit import Logit
from zoo_flows.transform import Compose, Flatten, Transform

__all__ = ["Base", "Flow", "check_layers"]

Base = Literal["normal", "logistic"]


class Flow(Model, Density, DirectSampler, LatentVariable):
    """The base class of normalizing flows, whose families define the transform.

    Args:
        shape: shape of one sample, ``[dimensions]``, or ``[channels, height, width]`` for images.
        classes: number of labels of a class-conditional flow; ``None`` for an unconditional one.
        context: width of the embedding of a label.
        base: density p(z) of the codes, ``normal`` or ``logistic``.
        alpha: number α of the logit, the first transform for images; see :mod:`zoo_flows.logit`.
        dequantisation: options of :class:`~zoo_flows.dequantisation.VariationalDequantisation`, for images; ``None``
            for uniform noise.

    Raises:
        ValueError: an argument is not one of its allowed values.

    Attributes:
        transform: transform f from data, for images after dequantisation, to codes.
        invertible: whether ``decode`` is the inverse of ``encode``.
    """

    log_prob_is = "exact"
    invertible = True

    def __init__(
        self,
        shape: Sequence[int],
        *,
        classes: int | None = None,
        context: int = 16,
        base: Base = "normal",
        alpha: float = 1e-4,
        dequantisation: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"shape = {list(shape)}; expected [dimensions] or [channels, height, width]")
        if base not in ("normal", "logistic"):
            raise ValueError(f"base = {base!r}; expected normal or logistic")
        if classes is not None and (classes < 1 or context < 1):
            raise ValueError(f"classes = {classes} and context = {context}; expected at least 1 of each")
        self.space = SampleSpace.of(shape, low=0.0, high=1.0)
        self.base, self.alpha, self.classes = base, alpha, classes
        self.dimensions = math.prod(shape)
        self.conditions = {} if classes is None else {"label": ConditionSpec.label(classes)}
        self.embedding = None if classes is None else nn.Embedding(classes, context)
        self.context_width = 0 if classes is None else context
        self.dequantiser = self._dequantiser(shape, dequantisation)
        if self.dequantiser is not None:
            self.discrete, self.log_prob_is = True, "bound"
        self.transform: Transform

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data: α of the logit is 10⁻⁶ for black and white images, and 0.05 for others."""
        adapted = super().config_for(config, data, shape)
        if len(shape) == 3:
            adapted["alpha"] = 1e-6 if data.is_black_and_white else 0.05
        return adapted

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) in nats, ``(n,)``: exact, or a bound by variational dequantisation with ``streams``.

        Raises:
            ConditionError: a label is out of range.
        """
        x, log_q = self._dequantised(_precise(x), streams)
        if self.classes is not None and not _has_label(condition, self.conditions):
            each = [self._log_density(x, self._context(torch.full((len(x),), y))) for y in range(self.classes)]
            return torch.logsumexp(torch.stack(each), 0) - math.log(self.classes) - log_q
        return self._log_density(x, self._context_of(condition)) - log_q

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws f⁻¹(z) for z ~ p(z); see :class:`~zoo_flows.sampler.Tempered` for other temperatures."""
        z = self.draw_latent(streams)  # drawn before the label, so that z does not depend on whether a label is given
        return self.decode(z, condition=self.with_label(condition, streams))

    def draw_latent(self, streams: Streams, temperature: float = 1.0) -> Tensor:
        """Draws T·z with z ~ p(z), ``(n, dimensions)``."""
        if self.base == "normal":
            return temperature * _precise(streams.normal(self.dimensions))
        u = _precise(streams.uniform(self.dimensions))
        return temperature * torch.logit(u.clamp(torch.finfo(u.dtype).eps, 1.0 - torch.finfo(u.dtype).eps))

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes z = f(x), ``(n, dimensions)``; with variational dequantisation, of the middle of each level."""
        x = _precise(x)
        if self.dequantiser is not None:
            x = (x * (self.dequantiser.levels - 1) + 0.5) / self.dequantiser.levels
        return self.transform(x, self._context_of(condition))[0]

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes x = f⁻¹(z), ``(n, *shape)``."""
        x = self.transform.inverse(_precise(z), self._context_of(condition))
        if self.dequantiser is not None:
            x = (x * self.dequantiser.levels - 0.5) / (self.dequantiser.levels - 1)
        return x

    def draw_with_log_prob(self, streams: Streams, *, condition: Condition | None = None) -> tuple[Tensor, Tensor]:
        """Draws samples with their log p, differentiably, which is the purpose of inverse autoregressive flows."""
        z = self.draw_latent(streams)
        x, log_det = self.transform.inverse_and_log_det(z, self._context_of(self.with_label(condition, streams)))
        return x, self._base_log_prob(z) - log_det

    def start(self, batch: Batch[Any], streams: Streams) -> None:
        if all(bool(m.started) for m in self.modules() if isinstance(m, ActNorm)):
            return
        with torch.no_grad():
            x, _ = self._dequantised(batch.x, streams)
            self.transform.start(x, self._context_of(batch.condition))

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adapts the state of an unconditional start: the missing parameters that read labels are zero."""
        mine = {k: v for k, v in self.state_dict().items() if k.startswith("embedding.") or ".of_context." in k}
        return {**mine, **state}

    def with_label(self, condition: Condition | None, streams: Streams) -> Condition | None:
        """Returns the condition, with labels drawn uniformly where a conditional flow is given none."""
        if self.classes is None or _has_label(condition, self.conditions):
            return condition
        return Condition(label=streams.integers(self.classes))

    def before(self) -> list[Transform]:
        """Makes the first transforms for this sample space: the logit of images."""
        return [Logit(self.alpha)] if self.space.kind == "image" else []

    def flat_before(self) -> list[Transform]:
        """Makes the first transforms of flows over vectors, which flatten images."""
        shape = self.space.sizes
        return [*self.before(), Flatten(shape)] if self.space.kind == "image" else []

    def assemble(self, transforms: Sequence[Transform]) -> None:
        """Sets :attr:`transform`."""
        self.transform = Compose(transforms)

    def _log_density(self, x: Tensor, context: Tensor | None) -> Tensor:
        z, log_det = self.transform(x, context)
        return self._base_log_prob(z) + log_det

    def _base_log_prob(self, z: Tensor) -> Tensor:
        if self.base == "normal":
            return -0.5 * z.square().sum(1) - 0.5 * self.dimensions * math.log(2.0 * math.pi)
        return -(F.softplus(z) + F.softplus(-z)).sum(1)

    def _context(self, label: Tensor) -> Tensor | None:
        return None if self.embedding is None else self.embedding(label.to(self.embedding.weight.device))

    def _context_of(self, condition: Condition | None) -> Tensor | None:
        if not _has_label(condition, self.conditions):
            if self.classes is not None:
                raise ConditionError(f"this flow needs a condition 'label' in 0 … {self.classes - 1}; none was given")
            return None
        assert condition is not None
        return self._context(condition["label"])

    def _dequantised(self, x: Tensor, streams: Streams | None) -> tuple[Tensor, Tensor | float]:
        if self.dequantiser is None:
            return x, 0.0
        if streams is None:
            streams = Streams(0, "dequantise", 0, len(x), device=x.device, dtype=x.dtype)
        v = (x * (self.dequantiser.levels - 1)).round()
        return self.dequantiser(v, streams.normal(*x.shape[1:]))

    @staticmethod
    def _dequantiser(shape: Sequence[int], options: Mapping[str, Any] | None) -> VariationalDequantisation | None:
        if options is None:
            return None
        if len(shape) != 3 or shape[1] % 2 or shape[2] % 2:
            raise ValueError(f"dequantisation is for images of even size; the shape is {list(shape)}")
        known = {"levels", "width", "layers"}
        if unknown := sorted(set(options) - known):
            raise ValueError(f"dequantisation.{unknown[0]} is no option; expected {', '.join(sorted(known))}")
        return VariationalDequantisation(shape[0], **options)


def check_layers(layers: int) -> None:
    """Raises :class:`ValueError` where ``layers`` is below 1."""
    if layers < 1:
        raise ValueError(f"layers = {layers}; expected at least 1")


def _precise(x: Tensor) -> Tensor:
    """Converts half precision to float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _has_label(condition: Condition | None, known: Mapping[str, ConditionSpec]) -> bool:
    """Checks the condition, and says whether it has a label."""
    if condition is None:
        return False
    condition.check(known)
    return "label" in condition
