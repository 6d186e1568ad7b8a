r"""A pipeline in diffusers' layout as a model on a Gaussian path.

| scheduler                          | path                                | network's clock | its answer         |
|------------------------------------|-------------------------------------|-----------------|--------------------|
| ``DDPMScheduler``, ``DDIMScheduler`` | table ᾱ_k                           | k               | ε, x or v          |
| ``FlowMatchEulerDiscreteScheduler`` | α = 1 − t, σ = t                    | 1000·t          | velocity ε − x     |
| ``ScoreSdeVeScheduler``            | α = 1, σ = σ_min·(σ_max/σ_min)^t    | σ               | score              |

What the schedulers add of their own, time grids above all, is a sampler's business, and any of ours will do.  Images
are in [−1, 1], those of the score SDE in [0, 1].  A network with classes is a conditional model, which has no null: it
needs a label.  The parameters keep diffusers' names in state dicts, so that the file of a pipeline is this model's
weights file as it stands.
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
    """The denoiser of a pipeline.

    Args:
        unet: what ``unet/config.json`` says.
        scheduler: what ``scheduler/scheduler_config.json`` says, ``_class_name`` among it.
        old_names: the file calls attention's parameters ``query``, ``key``, ``value`` and ``proj_attn``.

    Raises:
        WeightsError: something that the network or the paths cannot express, with the reason.
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
        """The labels in a condition, ``(n,)``; ``None`` for an unconditional model.

        Raises:
            ConditionError: one is missing, out of range, or not wanted.
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
        """What the pipeline's file calls a parameter of the network."""
        if self.old_names:
            for new, old in _OLD_NAMES:
                name = name.replace(f".{new}.", f".{old}.")
        return name

    def clock(self, t: float | Tensor) -> Tensor:
        """What the network is told at time ``t``, float32 ``(1,)`` or ``(n,)``."""
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
    """Our names of a state dict give way to the file's, in place."""
    assert isinstance(module, DiffusersPipeline)
    start = f"{prefix}network."
    for name in [name for name in state if name.startswith(start)]:
        state[prefix + module.name_in_file(name.removeprefix(start))] = state.pop(name)


def _with_our_names(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """The file's names give way to ours, in place; torch says what is missing and what is left over."""
    assert isinstance(module, DiffusersPipeline)
    for name in module.network.state_dict():
        if (theirs := prefix + module.name_in_file(name)) in state:
            state[f"{prefix}network.{name}"] = state.pop(theirs)
