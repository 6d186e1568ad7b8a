"""Models that are one network of noisy data, a time and perhaps a label: DDPM, path models, consistency models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from zoo_core.interfaces import Condition, ConditionSpec, Model, SampleSpace
from zoo_nets.mlp import TimeMLP
from zoo_nets.unet import UNet

__all__ = ["TimedModel", "make_network"]

CLASSES, TIME_BIAS = "network.class_embedding.weight", "network.time_embedding.linear_2.bias"
"""In a state: what is added to the embedding of time, and the bias that ends that embedding."""


class TimedModel(Model):
    """The network, the space of its samples, and the label it may be told.

    Args:
        shape: one sample: ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; channels and classes are filled in.
        shown: how many times the channels of a sample the network is shown.
        answers: how many times the channels of a sample the network answers.
        classes: labels 0 … classes − 1 of the condition ``label``; ``None`` for an unconditional model.

    Raises:
        ValueError: an unknown kind of network, or one that does not fit the shape.
    """

    network: nn.Module

    def __init__(
        self,
        shape: list[int],
        network: Mapping[str, Any],
        *,
        shown: int = 1,
        answers: int = 1,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        self.space = SampleSpace.of(shape, low=-1.0, high=1.0)
        self.classes = classes
        if classes is not None:
            self.conditions = {"label": ConditionSpec.label(classes, null=True)}
        self.network = make_network(network, shape, shown, answers, classes)

    def ask(self, x: Tensor, clock: Tensor, condition: Condition | None = None) -> Tensor:
        """The network's own output, in the type of ``x``: a network may be of half precision, the state is not.

        Args:
            x: what the network is shown, ``(n, *shape)``, or with more channels.
            clock: its time, ``(n,)`` or ``(1,)`` for all alike.
            condition: the ``label``, of a model with classes; the number of classes itself, and none, mean no label.

        Raises:
            ConditionError: a label out of range, or for an unconditional model.
        """
        if condition is not None:
            condition.check(self.conditions)
        label = (condition["label"],) if condition is not None and "label" in condition else ()
        return self.network(x.to(self.dtype), clock, *label).to(x.dtype)

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """As in :class:`~zoo_core.interfaces.Model`; what either of the two lacks of classes begins as no label.

        Of an unconditional start the classes begin at zero.  An unconditional model takes over what a conditional one
        answers without a label: the null class joins the embedding of time, to which it is added for every time alike.
        """
        mine = {k: v for k, v in self.state_dict().items() if k == CLASSES}
        begun = {**mine, **state}
        if not mine and CLASSES in state:
            begun[TIME_BIAS] = state[TIME_BIAS] + begun.pop(CLASSES)[-1]
        return begun


def make_network(
    spec: Mapping[str, Any], shape: Sequence[int], shown: int = 1, answers: int = 1, classes: int | None = None
) -> nn.Module:
    """The network of a configuration.

    Args:
        spec: ``kind`` (``unet`` or ``mlp``) and the arguments of that network.
        shape: one sample: ``[channels, height, width]`` or ``[dimensions]``.
        shown: how many times the channels of a sample the network is shown.
        answers: how many times the channels of a sample the network answers.
        classes: see :class:`zoo_nets.class_embedding.ClassEmbedding`.

    Raises:
        ValueError: an unknown kind, or images of a size that the network cannot take.
    """
    kinds = {"unet": UNet, "mlp": TimeMLP}
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"network.kind = {kind!r}; expected one of {', '.join(kinds)}")
    made: nn.Module = kinds[kind](shown * shape[0], answers * shape[0], classes=classes, **options)
    if isinstance(made, UNet) and len(shape) == 3:
        made.check_size(shape[1], shape[2])
    return made
