"""The base of models with one network of noisy data, time and label: DDPM, path models, consistency models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.interfaces import Condition, ConditionSpec, DataSet, Model, SampleSpace, Streams
from zoo_nets.mlp import TimeMLP
from zoo_nets.unet import UNet

__all__ = ["Classes", "TimedModel", "make_network"]

Classes = int | Sequence[int]
"""The number of labels, or the number of training examples with each of them."""

CLASSES, TIME_BIAS = "network.class_embedding.weight", "network.time_embedding.linear_2.bias"
"""Names in a state: the class embedding, and the last bias of the time embedding, to which it is added."""

SPANS = "network.span_embedding."
"""Beginning of the names of the embedding of spans."""


class TimedModel(Model):
    """A model with a network of noisy data and time, a sample space, and an optional condition ``label``.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; channels and classes are filled in.
        shown: input channels of the network, as a multiple of the channels of a sample.
        answers: output channels of the network, as a multiple of the channels of a sample.
        classes: number of values of the condition ``label``, or the number of training examples with each value: then a
            sample without a label gets one, drawn in proportion.  ``None`` for an unconditional model.
        spans: whether the network has a span of time as a second time input.

    Raises:
        ValueError: an unknown kind of network, one that does not fit the shape, or a negative number of examples.
    """

    network: nn.Module

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        *,
        shown: int = 1,
        answers: int = 1,
        classes: Classes | None = None,
        spans: bool = False,
    ) -> None:
        super().__init__()
        self.space = SampleSpace.of(shape, low=-1.0, high=1.0)
        self.examples = None if classes is None or isinstance(classes, int) else tuple(classes)
        if self.examples is not None and (min(self.examples, default=0) < 0 or sum(self.examples) == 0):
            raise ValueError(f"classes = {list(self.examples)}; expected numbers of examples, not all of them 0")
        classes = len(self.examples) if self.examples is not None else cast("int | None", classes)
        self.classes = classes
        if classes is not None:
            self.conditions = {"label": ConditionSpec.label(classes, null=True)}
        self.network = make_network(network, shape, shown, answers, classes, spans)

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data; numbers of examples of each label become those of the data."""
        adapted = super().config_for(config, data, shape)
        if isinstance(config.get("classes"), Sequence):
            adapted["classes"] = None if data.y is None else data.y.bincount(minlength=adapted["classes"]).tolist()
        return adapted

    def draw_condition(self, streams: Streams) -> Condition | None:
        if self.examples is None:
            return None
        return Condition(label=streams.categorical(torch.tensor(self.examples, dtype=torch.float64)))

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.network,)

    def ask(
        self, x: Tensor, clock: Tensor, condition: Condition | None = None, *, span: Tensor | None = None
    ) -> Tensor:
        """Evaluates the network; the output has the type of ``x``, even where the network has half precision.

        Args:
            x: input of the network, ``(n, *shape)``, or with more channels.
            clock: time input of the network, ``(n,)``, or ``(1,)`` for all samples.
            condition: condition with a ``label``, for models with classes; the label ``classes``, or none, means no
                label.
            span: second time input of a network with spans, ``(n,)`` or ``(1,)``; 0 unless given.

        Raises:
            ConditionError: a label is out of range, or given to an unconditional model.
        """
        if condition is not None:
            condition.check(self.conditions)
        label = condition["label"] if condition is not None and "label" in condition else None
        further: tuple[Tensor | None, ...] = () if label is None else (label,)
        if span is not None:
            further = (label, span)
        return self.network(x.to(self.dtype), clock, *further).to(x.dtype)

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adapts the state of a start that has labels where this model has none, or the reverse, or has no spans.

        With an unconditional start the class embeddings begin at zero.  An unconditional model becomes the conditional
        start without a label: the null class is added to the last bias of the time embedding.
        """
        mine = {k: v for k, v in self.state_dict().items() if k == CLASSES or k.startswith(SPANS)}
        begun = {**mine, **state}
        if CLASSES not in mine and CLASSES in state:
            begun[TIME_BIAS] = state[TIME_BIAS] + begun.pop(CLASSES)[-1]
        return begun


def make_network(
    spec: Mapping[str, Any],
    shape: Sequence[int],
    shown: int = 1,
    answers: int = 1,
    classes: int | None = None,
    spans: bool = False,
) -> nn.Module:
    """Makes the network of a configuration.

    Args:
        spec: configuration with ``kind`` (``unet`` or ``mlp``) and the arguments of that network.
        shape: shape of one sample, ``[channels, height, width]`` or ``[dimensions]``.
        shown: input channels of the network, as a multiple of the channels of a sample.
        answers: output channels of the network, as a multiple of the channels of a sample.
        classes: number of labels; see :class:`zoo_nets.class_embedding.ClassEmbedding`.
        spans: whether the network has a span of time as a second time input.

    Raises:
        ValueError: an unknown kind, or images of a size that the network cannot take.
    """
    kinds = {"unet": UNet, "mlp": TimeMLP}
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"network.kind = {kind!r}; expected one of {', '.join(kinds)}")
    made: nn.Module = kinds[kind](shown * shape[0], answers * shape[0], classes=classes, spans=spans, **options)
    if isinstance(made, UNet) and len(shape) == 3:
        made.check_size(shape[1], shape[2])
    return made
