"""Reads and checks ``unet/config.json`` of a ``UNet2DModel``, and refuses unsupported settings, without torch.

Every refusal is one line with the key and its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zoo_core.errors import WeightsError

__all__ = ["ACTIVATIONS", "Settings", "Stage", "quarter", "settings"]

ACTIVATIONS = ("silu", "swish", "mish", "gelu", "relu")

_CHOICES: dict[str, tuple[Any, ...]] = {  # supported values; the first is diffusers' default
    "_class_name": ("UNet2DModel",),
    "time_embedding_type": ("positional", "fourier", "learned"),
    "mid_block_type": ("UNetMidBlock2D", None),
    "downsample_padding": (1, 0),
    "downsample_type": ("conv", "resnet"),
    "upsample_type": ("conv", "resnet"),
    "act_fn": ACTIVATIONS,
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "class_embed_type": (None,),
    "center_input_sample": (False, True),
    "add_attention": (True, False),
    "flip_sin_to_cos": (True, False),
}


@dataclass(frozen=True)
class Stage:
    """One stage of ``down_block_types`` or ``up_block_types``.

    Attributes:
        attends: whether the stage has self-attention.
        skips: whether an image is processed in parallel to the features, as in NCSN++ (Song et al. 2021, appendix H).
        by_residual: whether a residual block changes the resolution, and not a convolution.
    """

    attends: bool = False
    skips: bool = False
    by_residual: bool = False


_DOWN = {
    "DownBlock2D": Stage(),
    "AttnDownBlock2D": Stage(attends=True),
    "ResnetDownsampleBlock2D": Stage(by_residual=True),
    "SkipDownBlock2D": Stage(skips=True),
    "AttnSkipDownBlock2D": Stage(attends=True, skips=True),
}
_UP = {
    "UpBlock2D": Stage(),
    "AttnUpBlock2D": Stage(attends=True),
    "ResnetUpsampleBlock2D": Stage(by_residual=True),
    "SkipUpBlock2D": Stage(skips=True),
    "AttnSkipUpBlock2D": Stage(attends=True, skips=True),
}


@dataclass(frozen=True)
class Settings:
    """The configuration of a network.

    Attributes:
        channels: number of image channels.
        out_channels: number of output channels.
        widths: channels at each resolution, from the finest.
        layers: number of residual blocks of each stage on the way down; each on the way up has one more.
        down: stages on the way down.
        up: stages on the way up, from the coarsest.
        middle: whether there are blocks between the two ways.
        middle_attends: whether the middle has self-attention.
        middle_scale: number that the sums in the middle are divided by.
        middle_groups: number of groups of the norm before the middle's attention; ``None`` for no norm.
        groups: number of groups of every norm outside of skip stages; ``None`` for a quarter of the channels, at most
            32.
        head_width: channels of one attention head; ``None`` for one head of all channels.
        eps: number ε of every group norm.
        dropout: dropout probability in training.
        activation: name of the activation, one of :data:`ACTIVATIONS`.
        scale_shift: whether the time embedding scales and shifts the output of a norm; otherwise it is added before it.
        padding: padding of strided convolutions, 1 on all sides, or 0 for one row and column below and on the right.
        time: type of the time embedding, sines (``positional``), sines of the log (``fourier``) or a table
            (``learned``).
        time_width: width of the time embedding.
        time_entries: number of entries of the learned table; 0 for none.
        cosine_first: whether cosines come before sines.
        frequency_shift: number subtracted from half the number of sines in the spacing of the frequencies.
        classes: number of labels; ``None`` for an unconditional network.
        centred: whether the network maps its input from [0, 1] to [−1, 1] itself.
    """

    channels: int
    out_channels: int
    widths: tuple[int, ...]
    layers: int
    down: tuple[Stage, ...]
    up: tuple[Stage, ...]
    middle: bool
    middle_attends: bool
    middle_scale: float
    middle_groups: int | None
    groups: int | None
    head_width: int | None
    eps: float
    dropout: float
    activation: str
    scale_shift: bool
    padding: int
    time: str
    time_width: int
    time_entries: int
    cosine_first: bool
    frequency_shift: float
    classes: int | None
    centred: bool


def quarter(channels: int) -> int:
    """Computes the groups of a norm in a skip stage: a quarter of the channels, at most 32."""
    return min(channels // 4, 32)


def settings(config: Mapping[str, Any]) -> Settings:
    """Reads a configuration; keys that are missing have diffusers' defaults.

    Raises:
        WeightsError: a setting has no counterpart here, or is invalid.
    """
    chosen = {key: _choice(config, key) for key in _CHOICES}
    widths = config.get("block_out_channels", [224, 448, 672, 896])
    if not (_is_list(widths) and widths and all(type(w) is int and 0 < w <= 1 << 16 for w in widths)):
        raise WeightsError(f"unet: block_out_channels = {_shown(widths)}; expected a list of widths")
    down, up = _stages(config, len(widths), chosen)
    skipping = any(stage.skips for stage in (*down[:-1], *up[:-1]))
    for key in ("in_channels", "out_channels"):
        if skipping and config.get(key, 3) != 3:
            raise WeightsError(f"unet: {key} = {_shown(config[key])}; networks of skip blocks are for 3 channels alone")
    groups = _count(config, "norm_num_groups", 32, optional=True)
    if groups is None and not all(stage.skips for stage in (*down, *up)):
        raise WeightsError("unet: norm_num_groups = None is for networks of skip blocks alone; expected an integer")
    plain = chosen["resnet_time_scale_shift"] == "default"
    half = max(widths[0] // 2, 1)
    middle_groups = _count(config, "attn_norm_num_groups", None, optional=True)
    return Settings(
        channels=_count(config, "in_channels", 3),
        out_channels=_count(config, "out_channels", 3),
        widths=tuple(widths),
        layers=_count(config, "layers_per_block", 2),
        down=down,
        up=up,
        middle=chosen["mid_block_type"] is not None,
        middle_attends=chosen["add_attention"],
        middle_scale=_number(config, "mid_block_scale_factor", 1.0, lambda v: 0.0 < v < 1e6, "a positive number"),
        middle_groups=middle_groups or ((groups or quarter(widths[-1])) if plain else None),
        groups=groups,
        head_width=_count(config, "attention_head_dim", 8, optional=True),
        eps=_number(config, "norm_eps", 1e-5, lambda v: 0.0 < v < 1.0, "a number between 0 and 1"),
        dropout=_number(config, "dropout", 0.0, lambda v: 0.0 <= v < 1.0, "a probability below 1"),
        activation=chosen["act_fn"],
        scale_shift=not plain,
        padding=chosen["downsample_padding"],
        time=chosen["time_embedding_type"],
        time_width=_count(config, "time_embedding_dim", None, optional=True) or 4 * widths[0],
        time_entries=_count(config, "num_train_timesteps", None) if chosen["time_embedding_type"] == "learned" else 0,
        cosine_first=chosen["flip_sin_to_cos"],
        frequency_shift=_number(
            config, "freq_shift", 0.0, lambda v: 0.0 <= v < half, f"a number from 0 to below {half}"
        ),
        classes=_count(config, "num_class_embeds", None, optional=True),
        centred=chosen["center_input_sample"],
    )


def _stages(config: Mapping[str, Any], levels: int, chosen: Mapping[str, Any]) -> tuple[tuple[Stage, ...], ...]:
    """Reads the stages on the way down and up."""
    sides = []
    for key, known, step, default in (
        ("down_block_types", _DOWN, "downsample_type", ["DownBlock2D", *["AttnDownBlock2D"] * 3]),
        ("up_block_types", _UP, "upsample_type", [*["AttnUpBlock2D"] * 3, "UpBlock2D"]),
    ):
        names = config.get(key, default)
        if not _is_list(names) or len(names) != levels:
            raise WeightsError(f"unet: {key} = {_shown(names)}; expected one for each of {levels} widths")
        stages = []
        for name in names:
            stage = known.get(name.removeprefix("UNetRes")) if isinstance(name, str) else None
            if stage is None:
                raise WeightsError(
                    f"unet: {key} has {_shown(name)}, which has no counterpart here; {', '.join(known)} have"
                )
            if stage == Stage(attends=True) and chosen[step] == "resnet":  # diffusers applies it in these stages only
                stage = Stage(attends=True, by_residual=True)
            stages.append(stage)
        sides.append(tuple(stages))
    down, up = sides
    # The parallel image changes its size in skip stages only, and must always have that of the features.
    if any(later.skips and not stage.skips for stage, later in pairwise(down[:-1])):
        names = _shown(config["down_block_types"])
        raise WeightsError(f"unet: down_block_types = {names} has a skip block after another kind; expected it before")
    if any(stage.skips and not later.skips for stage, later in pairwise(up)):
        names = _shown(config["up_block_types"])
        raise WeightsError(f"unet: up_block_types = {names} has another kind after a skip block; expected it before")
    return down, up


def _choice(config: Mapping[str, Any], key: str) -> Any:
    allowed = _CHOICES[key]
    value = config.get(key, allowed[0])
    value = value.lower() if key == "act_fn" and isinstance(value, str) else value
    for one in allowed:
        if type(one) is type(value) and one == value:
            return one
    words = " or ".join(repr(one) for one in allowed)
    raise WeightsError(f"unet: {key} = {_shown(value)} has no counterpart here; only {words} has")


def _count(config: Mapping[str, Any], key: str, default: int | None, optional: bool = False) -> Any:
    """Reads a positive integer, or ``None`` where that is allowed."""
    value = config.get(key, default)
    if (value is None and optional) or (type(value) is int and 0 < value <= 1 << 16):
        return value
    raise WeightsError(f"unet: {key} = {_shown(value)}; expected a positive integer{' or null' if optional else ''}")


def _number(config: Mapping[str, Any], key: str, default: float, fits: Callable[[float], bool], words: str) -> float:
    value = config.get(key, default)
    if type(value) not in (int, float) or not fits(value):
        raise WeightsError(f"unet: {key} = {_shown(value)}; expected {words}")
    return float(value)


def _shown(value: Any) -> str:
    """Shortens a value to 120 characters, for a message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
