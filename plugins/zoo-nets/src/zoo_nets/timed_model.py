"""The base of models with one network of noisy data, time and label: DDPM, path models, consistency models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from zoo_core.interfaces import Condition, ConditionSpec, Model, SampleSpace
from zoo_nets.mlp import TimeMLP
from zoo_nets.unet import UNet

__all__ = ["TimedModel", "make_network"]

CLASSES, TIME_BIAS = "network.class_embedding.weight", "network.time_embedding.linear_2.bias"
"""Names in a state: the class embedding, and the last bias of the time embedding, to which it is added."""


class TimedModel(Model):
    """A model with a network of noisy data and time, a sample space, and an optional condition ``label``.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [−1, 1], ``[dimensions]`` for points.
        network: ``{"kind": "unet", …}`` with the arguments of :class:`zoo_nets.unet.UNet`, or ``{"kind": "mlp", …}``
            with those of :class:`zoo_nets.mlp.TimeMLP`; channels and classes are filled in.
        shown: input channels of the network, as a multiple of the channels of a sample.
        answers: output channels of the network, as a multiple of the channels of a sample.
        classes: number of values of the condition ``label``; ``None`` for an unconditional model.

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
        """Evaluates the network; the output has the type of ``x``, even where the network has half precision.

        Args:
            x: input of the network, ``(n, *shape)``, or with more channels.
            clock: time input of the network, ``(n,)``, or ``(1,)`` for all samples.
            condition: condition with a ``label``, for models with classes; the label ``classes``, or none, means no
                label.

        Raises:
            ConditionError: a label is out of range, or given to an unconditional model.
        """
        if condition is not None:
            condition.check(self.conditions)
        label = (condition["label"],) if condition is not None and "label" in condition else ()
        return self.network(x.to(self.dtype), clock, *label).to(x.dtype)

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adapts the state of a start that has labels where this model has none, or the reverse.

        With an unconditional start the class embeddings begin at zero.  An unconditional model becomes the conditional
        start without a label: the null class is added to the last bias of the time embedding.
        """
        mine = {k: v for k, v in self.state_dict().items() if k == CLASSES}
        begun = {**mine, **state}
        if not mine and CLASSES in state:
            begun[TIME_BIAS] = state[TIME_BIAS] + begun.pop(CLASSES)[-1]
        return begun


def make_network(
    spec: Mapping[str, Any], shape: Sequence[int], shown: int = 1, answers: int = 1, classes: int | None = None
) -> nn.Module:
    """Makes the network of a configuration.

    Args:
        spec: configuration with ``kind`` (``unet`` or ``mlp``) and the arguments of that network.
        shape: shape of one sample, ``[channels, height, width]`` or ``[dimensions]``.
        shown: input channels of the network, as a multiple of the channels of a sample.
        answers: output channels of the network, as a multiple of the channels of a sample.
        classes: number of labels; see :class:`zoo_nets.class_embedding.ClassEmbedding`.

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
