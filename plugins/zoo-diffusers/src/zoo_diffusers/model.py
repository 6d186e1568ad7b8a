r"""A pipeline in diffusers' repository format as a model on a Gaussian path.

The scheduler's configuration says on which path the network was trained (:mod:`zoo_diffusers.formulations`), and the
network's says what it may be told (:mod:`zoo_diffusers.networks`).  All path samplers work.  A network with classes is
a conditional model; without a null it needs a label.  Parameters keep diffusers' names in state dicts, so that a
pipeline's weights file is valid for this model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import ConditionError, IncompatibleError, WeightsError
from zoo_core.interfaces import Condition, Denoiser, Model, Prediction, SampleSpace
from zoo_core.paths import DiscretePath
from zoo_diffusers.formulations import formulation
from zoo_diffusers.names import name_in_file
from zoo_diffusers.networks import make_network

__all__ = ["DiffusersPipeline"]


class DiffusersPipeline(Model, Denoiser):
    """The denoiser of a diffusers pipeline.

    Args:
        unet: contents of ``unet/config.json``, or of ``transformer/config.json``.
        scheduler: contents of ``scheduler/scheduler_config.json``, with ``_class_name``.
        old_names: whether attention's parameters are ``query``, ``key``, ``value`` and ``proj_attn`` in the file.
        bounds: least and greatest value of a pixel; unless given, those of images for this scheduler.

    Raises:
        WeightsError: a setting has no counterpart here; the message names it.
        PluginError: the network is diffusers' own, and diffusers is not installed.
    """

    def __init__(
        self,
        unet: Mapping[str, Any],
        scheduler: Mapping[str, Any],
        old_names: bool = False,
        bounds: tuple[float | None, float | None] | None = None,
    ) -> None:
        super().__init__()
        self.told = make_network(unet)
        self.network = self.told.module
        self.means = formulation(scheduler)
        self.path, self.prediction, self.variance = self.means.path, self.means.prediction, self.means.variance
        low, high = bounds or (self.means.low, 1.0)
        channels, kind = self.told.channels, str(scheduler.get("_class_name"))
        self.space = SampleSpace("image", (channels, *self.told.size), low=low, high=high)
        self.conditions = self.told.conditions
        # A transformer's variance is only for schedulers that use it; the pipeline leaves it out for the others.
        self.spare = self.variance != "learned" and "num_embeds_ada_norm" in unet and self.told.out_channels > channels
        if self.told.out_channels != channels * (2 if self.variance == "learned" or self.spare else 1):
            what = f"{self.told.out_channels} channels come out of {channels}"
            raise WeightsError(f"unet: {what}, with variance_type = {scheduler.get('variance_type', 'fixed_small')!r}")
        entries = self.told.entries
        if entries is not None and not (isinstance(self.path, DiscretePath) and self.path.steps <= entries):
            raise WeightsError(f"unet: num_train_timesteps = {entries} learned times are too few for {kind}")
        self.old_names = old_names
        self.register_state_dict_post_hook(_with_their_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_our_names)  # type: ignore[no-untyped-call]

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        label = self.label(condition, len(x_t), x_t.device)
        clock = self.clock(t)
        if self.told.divides and not bool((clock > 0.0).all()):
            raise IncompatibleError(
                "time_embedding_type = 'fourier' takes the log of the time, and entry 0 of this scheduler's table has "
                "none (diffusers answers NaN); take ddim with trailing steps, which does not ask for it"
            )
        shown = self.means.shown(x_t, t).to(self.dtype)
        output = self.told.ask(shown, clock.to(x_t.device), label).to(x_t.dtype)
        mix = None
        if self.variance == "learned":
            output, mix = output.chunk(2, dim=1)
            mix = (mix + 1.0) / 2.0
        elif self.spare:
            output = output.chunk(2, dim=1)[0]
        said = self.means.read(x_t, t, output)
        return Prediction(said.data, said.noise, mix)

    def label(self, condition: Condition | None, count: int, device: torch.device) -> Tensor | None:
        """Returns the labels in a condition, or the null where there is one; ``None`` for an unconditional model.

        Args:
            condition: condition of the samples.
            count: number of samples.
            device: device of the samples.

        Raises:
            ConditionError: a label is missing, out of range, or given to an unconditional model.
        """
        if condition is not None:
            condition.check(self.conditions)
        if not self.conditions:
            return None
        if condition is not None and "label" in condition:
            return condition["label"]
        spec = self.conditions["label"]
        if spec.null:
            null = spec.absent(count, device)
            assert isinstance(null, Tensor)
            return null
        wanted = f"in 0 … {spec.classes - 1} " if spec.classes else ""
        raise ConditionError(
            f"this model needs a condition 'label' {wanted}and cannot be asked without one (as guidance does)"
        )

    def name_in_file(self, name: str) -> str:
        """Converts the name of a network's parameter to its name in the pipeline's file."""
        return name_in_file(name, self.old_names)

    def clock(self, t: float | Tensor) -> Tensor:
        """Returns the network's time at time ``t``, float32 ``(1,)`` or ``(n,)``."""
        times = t.tolist() if isinstance(t, Tensor) else [t]
        return torch.tensor([self.means.clock(u) for u in times], dtype=torch.float32)


def _with_their_names(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    """Renames our parameters in a state dict to the file's names, in place."""
    assert isinstance(module, DiffusersPipeline)
    start = f"{prefix}network."
    for name in [name for name in state if name.startswith(start)]:
        state[prefix + module.name_in_file(name.removeprefix(start))] = state.pop(name)


def _with_our_names(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Renames the file's parameters to ours, in place; torch reports missing and unexpected ones."""
    assert isinstance(module, DiffusersPipeline)
    for name in module.network.state_dict():
        if (theirs := prefix + module.name_in_file(name)) in state:
            state[f"{prefix}network.{name}"] = state.pop(theirs)
