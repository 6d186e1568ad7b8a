"""The interface of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.space import SampleSpace
from zoo_core.randomness import Streams

if TYPE_CHECKING:
    from zoo_core.interfaces.dataset import DataSet
    from zoo_core.registry.entry import Entry

__all__ = ["Model"]


class Model(nn.Module):
    """A generative model: an ``nn.Module`` with a sample space, built from JSON values.

    The constructor's keyword arguments are JSON values; ``factory(**config)`` and a state dict determine the model.
    All learned values are parameters or buffers, so that ``.to()``, EMA and safetensors include them.

    Attributes:
        space: sample space, the set that samples belong to.
        conditions: specifications of what the model can be conditioned on, by name; empty for an unconditional model.
            Without a condition, a conditional model works unconditionally or raises ``ConditionError``.
        discrete: whether ``log_prob`` is a probability of discrete values (8-bit images, tokens), not a density.
        binarises: whether ``log_prob`` is a probability of black and white pixels.  Training and evaluation then draw
            white with the grey level as its probability, and the model is given zeros and ones.
        takes_missing: whether NaN in data, or a token of −1, means a missing value.  ``log_prob`` of such a row is then
            that of its other values, log ∫ p(x) over the missing ones, and its statistics objectives take it too.
        marginals_are: whether that integral is exact, or ``learned`` by itself for each set of known values, as by a
            model of any order: a normalised density of them, which agrees with the integral as far as training brings
            it.
        entry: registry entry that the model was built from, if any.
        players: parts that objectives train, by name (``{"generator": …, "critic": …}``); ``{"model": self}`` unless a
            family overrides it.
    """

    space: SampleSpace
    conditions: Mapping[str, ConditionSpec] = {}
    discrete: bool = False
    binarises: bool = False
    takes_missing: bool = False
    marginals_are: Literal["exact", "learned"] = "exact"
    entry: Entry | None = None

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data than it was written for.

        Sets ``shape``, and ``classes`` where the config has it, unless a family overrides it.

        Args:
            config: keyword arguments of the constructor.
            data: data set to train on.
            shape: shape of an example inside the model.

        Raises:
            IncompatibleError: no config of the family fits the data.
        """
        adapted = dict(config)
        if "shape" in adapted:
            adapted["shape"] = list(shape)
        if "classes" in adapted and data.y is not None:
            adapted["classes"] = max(len(data.names.get("label", ())), int(data.y.max()) + 1)
        return adapted

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Returns values of a recipe that other data need than those it was written for, by dotted key.

        None, unless a family overrides it.  The arguments are those of :meth:`config_for`.
        """
        return {}

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"model": self}

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The networks that take most of the time, which are called with tensors only and give one tensor.

        ``zoo train --fast`` replays their calls on a GPU; none unless a family names them.
        """
        return ()

    def lacks(self) -> Mapping[str, str]:
        """Names the capabilities of the class that this instance does not have, each with the reason.

        Small and large Boltzmann machines are of one class, for example, but only small ones have an exact density: a
        large one returns ``{"Density": "the normaliser of 200 hidden units is not known"}``.
        """
        return {}

    def draw_condition(self, streams: Streams) -> Condition | None:
        """Draws the condition of samples for which none was given, one row per stream; ``None`` unless overridden.

        A model that is better with a label than without draws it from the shares of the labels in its training data, so
        that samples are of p(x) = Σ p(label)·p(x | label).
        """
        return None

    def start(self, batch: Batch[Any], streams: Streams) -> None:
        """Initialises parameters that depend on data (the scales of ActNorm); a second call changes nothing.

        Does nothing unless a family overrides it.

        Args:
            batch: whole batch of the first step, the same in every process.
            streams: one random stream per example.
        """
        return

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adapts the state of the model that a recipe names as its ``start``, to begin training with.

        Returns ``state`` unless a family overrides it: a conditional model may start from an unconditional one, whose
        state lacks the parameters that read the condition.  The result must have exactly the keys of this model.
        """
        return state

    @property
    def state_dtype(self) -> torch.dtype:
        """The type of samples and random numbers: float64 for a model in float64, else float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next(iter([*self.parameters(), *self.buffers()]), torch.empty(0)).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the model's parameters."""
        for value in [*self.parameters(), *self.buffers()]:
            if value.is_floating_point():
                return value.dtype
        return torch.get_default_dtype()
