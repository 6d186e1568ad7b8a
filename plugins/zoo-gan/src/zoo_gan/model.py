r"""Generative adversarial networks (Goodfellow et al. 2014).

A generator maps noise to samples, x = G(z, y) with z ~ N(0, I); a critic scores samples by a(x, y), and the two are
trained against each other (``objective.py`` has the losses).  The model is the distribution of G(z, y): it has samples
and latent codes, but no density that could be evaluated.  The critic is not needed for sampling; it is stored since
further training needs both.

With classes, y is a label; unless given it is drawn uniformly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import ConditionError
from zoo_core.interfaces import Condition, ConditionSpec, DirectSampler, LatentVariable, Model, SampleSpace, Streams
from zoo_gan.networks import ConvCritic, ConvGenerator, Critic, Generator, MLPCritic, MLPGenerator

__all__ = ["GAN"]


class GAN(Model, LatentVariable, DirectSampler):
    """A generator and its critic.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        latent: number of dimensions of z, at least 1.
        generator: configuration of the generator, ``{"kind": "dcgan", …}`` with ``widths`` and ``norm`` of
            :class:`~zoo_gan.networks.ConvGenerator`, or ``{"kind": "mlp", …}`` with ``width`` and ``depth`` of
            :class:`~zoo_gan.networks.MLPGenerator`.
        critic: configuration of the critic, with the arguments of :class:`~zoo_gan.networks.ConvCritic` (``dcgan``) or
            :class:`~zoo_gan.networks.MLPCritic` (``mlp``).
        classes: number of labels, at least 2; ``None`` for an unconditional model.
        pac: number of samples that the critic sees at once (Lin et al. 2018), which must divide the batch size.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: list[int],
        latent: int,
        generator: Mapping[str, Any],
        critic: Mapping[str, Any],
        classes: int | None = None,
        pac: int = 1,
    ) -> None:
        super().__init__()
        if len(shape) not in (1, 3):
            raise ValueError(f"shape = {shape}; expected [dimensions] or [channels, height, width]")
        if latent < 1 or pac < 1:
            raise ValueError(f"latent = {latent} and pac = {pac}; expected at least 1 of each")
        if classes is not None and classes < 2:
            raise ValueError(f"classes = {classes}; expected at least 2, or none for an unconditional model")
        image = len(shape) == 3
        self.space = SampleSpace.of(shape, low=-1.0, high=1.0)
        self.conditions = {} if classes is None else {"label": ConditionSpec.label(classes)}
        self.latent, self.classes = latent, classes
        labels = classes or 0
        make_generator, generator = _choose("generator", generator, {"dcgan": ConvGenerator, "mlp": MLPGenerator})
        make_critic, critic = _choose("critic", critic, {"dcgan": ConvCritic, "mlp": MLPCritic})
        self.generator: Generator = make_generator(shape, latent + labels, image, **generator)
        self.critic: Critic = make_critic(shape, labels, pac, **critic)

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "critic": self.critic}

    def draw_latent(self, streams: Streams) -> Tensor:
        """Draws z ~ N(0, I), ``(n, latent)``."""
        return streams.normal(self.latent)

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes G(z, y), ``(n, *shape)``.

        Args:
            z: codes, ``(n, latent)``.
            condition: condition with ``label`` ``(n,)``, for a conditional model.

        Raises:
            ConditionError: a label is missing, out of range, or given to an unconditional model.
        """
        return self.generate(z, self.one_hot(condition))

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws one sample per stream; a conditional model draws labels uniformly where ``condition`` has none.

        Raises:
            ConditionError: a label is out of range, or given to an unconditional model.
        """
        z = self.draw_latent(streams)  # drawn before the label, so that z does not depend on whether a label is given
        if self.classes is not None and (condition is None or "label" not in condition):
            condition = Condition(label=streams.integers(self.classes))
        return self.decode(z, condition=condition)

    def generate(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Computes G(z, y) for one-hot labels (:meth:`one_hot`), differentiably, for the objectives."""
        return self.generator(z.to(self.dtype), label).to(z.dtype)  # samples are float32 even if the network is not

    def one_hot(self, condition: Condition | None) -> Tensor | None:
        """Returns one-hot labels y, ``(n, classes)``; ``None`` for an unconditional model.

        Raises:
            ConditionError: as :meth:`decode`.
        """
        if condition is not None:
            condition.check(self.conditions)
        if self.classes is None:
            return None
        if condition is None or "label" not in condition:
            raise ConditionError(f"this model needs a condition 'label' in 0 … {self.classes - 1}; none was given")
        return torch.nn.functional.one_hot(condition["label"], self.classes).to(self.dtype)


def _choose(part: str, spec: Mapping[str, Any], kinds: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns the class that ``spec["kind"]`` names, and the other options."""
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"{part}.kind = {kind!r}; expected one of {', '.join(kinds)}")
    return kinds[kind], options
