r"""A pipeline in diffusers' repository format as a model on a Gaussian path.

| scheduler                          | path                                | network's time  | prediction         |
|------------------------------------|-------------------------------------|-----------------|--------------------|
| ``DDPMScheduler``, ``DDIMScheduler`` | table ᾱ_k                           | k               | ε, x or v          |
| ``FlowMatchEulerDiscreteScheduler`` | α = 1 − t, σ = t                    | 1000·t          | velocity ε − x     |
| ``ScoreSdeVeScheduler``            | α = 1, σ = σ_min·(σ_max/σ_min)^t    | σ               | score              |

Everything else of a scheduler, such as its time grid, belongs to samplers, and all path samplers work.  Images are in
[−1, 1], those of the score SDE in [0, 1].  A network with classes is a conditional model without a null, so it needs a
label.  Parameters keep diffusers' names in state dicts, so that a pipeline's weights file is valid for this model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from zoo_core.errors import ConditionError, IncompatibleError, WeightsError
from zoo_core.interfaces import Condition, ConditionSpec, Denoiser, Model, Prediction, SampleSpace
from zoo_core.paths import DiscretePath, GaussianPath, LinearPath, PredictionType, VarianceExploding, to_prediction
from zoo_diffusers.clock import Table
from zoo_diffusers.schedules import alpha_bars
from zoo_diffusers.unet import make_unet

__all__ = ["DiffusersPipeline"]

_PREDICTIONS: dict[str, PredictionType] = {"epsilon": "noise", "sample": "data", "v_prediction": "v"}
_VARIANCES = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned",
}
_OLD_NAMES = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))


class DiffusersPipeline(Model, Denoiser):
    """The denoiser of a diffusers pipeline.

    Args:
        unet: contents of ``unet/config.json``.
        scheduler: contents of ``scheduler/scheduler_config.json``, with ``_class_name``.
        old_names: whether attention's parameters are ``query``, ``key``, ``value`` and ``proj_attn`` in the file.

    Raises:
        WeightsError: a setting has no counterpart here; the message names it.
    """

    def __init__(self, unet: Mapping[str, Any], scheduler: Mapping[str, Any], old_names: bool = False) -> None:
        super().__init__()
        self.network = make_unet(unet)
        kind = str(scheduler.get("_class_name"))
        channels, out = self.network.conv_in.in_channels, self.network.conv_out.out_channels
        low = 0.0 if kind == "ScoreSdeVeScheduler" else -1.0
        self.space = SampleSpace("image", (channels, *_size(unet)), low=low, high=1.0)
        self.path, self.prediction = _path(kind, scheduler)
        variance = scheduler.get("variance_type", "fixed_small") if kind == "DDPMScheduler" else "fixed_small"
        if variance not in _VARIANCES:
            raise WeightsError(f"scheduler: variance_type = {variance!r} has no counterpart here")
        self.variance = cast(Literal["fixed_small", "fixed_large", "learned"], _VARIANCES[variance])
        if out != channels * (2 if self.variance == "learned" else 1):
            raise WeightsError(f"unet: {out} channels come out of {channels}, with variance_type = {variance!r}")
        entries = self.network.time_proj.num_embeddings if isinstance(self.network.time_proj, Table) else None
        if entries is not None and not (isinstance(self.path, DiscretePath) and self.path.steps <= entries):
            raise WeightsError(f"unet: num_train_timesteps = {entries} learned times are too few for {kind}")
        classes = None if self.network.class_embedding is None else self.network.class_embedding.num_embeddings
        self.conditions = {} if classes is None else {"label": ConditionSpec.label(classes)}
        self.old_names = old_names
        self.register_state_dict_post_hook(_with_their_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_our_names)  # type: ignore[no-untyped-call]

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        label = self.label(condition)
        clock = self.clock(t)
        if self.network.divides and not bool((clock > 0.0).all()):
            raise IncompatibleError(
                "time_embedding_type = 'fourier' takes the log of the time, and entry 0 of this scheduler's table has "
                "none (diffusers answers NaN); take ddim with trailing steps, which does not ask for it"
            )
        output = self.network(x_t.to(self.dtype), clock.to(x_t.device), label).to(x_t.dtype)
        mix = None
        if self.variance == "learned":
            output, mix = output.chunk(2, dim=1)
            mix = (mix + 1.0) / 2.0
        said = to_prediction(self.path, self.prediction, x_t, t, output)
        return Prediction(said.data, said.noise, mix)

    def label(self, condition: Condition | None) -> Tensor | None:
        """Returns the labels in a condition, ``(n,)``; ``None`` for an unconditional model.

        Raises:
            ConditionError: a label is missing, out of range, or given to an unconditional model.
        """
        if condition is not None:
            condition.check(self.conditions)
        if not self.conditions:
            return None
        if condition is None or "label" not in condition:
            last = (self.conditions["label"].classes or 1) - 1
            raise ConditionError(
                f"this model needs a condition 'label' in 0 … {last} and cannot be asked without one (as guidance does)"
            )
        return condition["label"]

    def name_in_file(self, name: str) -> str:
        """Converts the name of a network's parameter to its name in the pipeline's file."""
        if self.old_names:
            for new, old in _OLD_NAMES:
                name = name.replace(f".{new}.", f".{old}.")
        return name

    def clock(self, t: float | Tensor) -> Tensor:
        """Returns the network's time input at time ``t``, float32 ``(1,)`` or ``(n,)``."""
        times, path = (t.tolist() if isinstance(t, Tensor) else [t]), self.path
        if isinstance(path, DiscretePath):
            return torch.tensor([path.index(u) for u in times], dtype=torch.float32)
        if isinstance(path, VarianceExploding):
            return torch.tensor([path.sigma(u) for u in times], dtype=torch.float32)
        return torch.tensor([1000.0 * u for u in times], dtype=torch.float32)


def _size(unet: Mapping[str, Any]) -> tuple[int, int]:
    size = unet.get("sample_size")
    pair = (size, size) if type(size) is int else tuple(size) if isinstance(size, (list, tuple)) else ()
    if len(pair) != 2 or not all(type(s) is int and 0 < s <= 1 << 14 for s in pair):
        raise WeightsError(f"unet: sample_size = {size!r}; expected the size of its images")
    return pair[0], pair[1]


def _path(kind: str, scheduler: Mapping[str, Any]) -> tuple[GaussianPath, PredictionType]:
    if kind == "FlowMatchEulerDiscreteScheduler":
        return LinearPath(), "velocity"
    if kind == "ScoreSdeVeScheduler":
        ends = scheduler.get("sigma_min", 0.01), scheduler.get("sigma_max", 1348.0)
        try:
            return VarianceExploding(*ends), "score"
        except (TypeError, ValueError) as err:
            raise WeightsError(f"scheduler: {err}") from err
    if kind not in ("DDPMScheduler", "DDIMScheduler"):
        raise WeightsError(
            f"scheduler: {kind} is not known here; DDPM, DDIM, FlowMatchEulerDiscrete and ScoreSdeVe are"
        )
    name = scheduler.get("prediction_type", "epsilon")
    if name not in _PREDICTIONS:
        raise WeightsError(f"scheduler: prediction_type = {name!r}; expected one of {', '.join(_PREDICTIONS)}")
    if scheduler.get("rescale_betas_zero_snr"):
        raise WeightsError("scheduler: rescale_betas_zero_snr has no counterpart here: its last ᾱ is 0")
    try:
        return DiscretePath(alpha_bars(scheduler)), _PREDICTIONS[name]
    except ValueError as err:
        raise WeightsError(f"scheduler: {err}") from err


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
