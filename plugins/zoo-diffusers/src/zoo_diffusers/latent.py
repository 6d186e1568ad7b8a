r"""A latent pipeline of diffusers: a path model of codes, and the decoder of an autoencoder (Rombach et al. 2022).

Codes are z = s·E(x) with the autoencoder's ``scaling_factor`` s, on a path as images of a pixel model are; samples are
x = D(z/s).  A VQ-VAE's decoder first takes the nearest entry of its codebook.  The autoencoder is diffusers' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from zoo_core.errors import WeightsError
from zoo_core.interfaces import Composition, Model, SampleSpace
from zoo_diffusers import theirs
from zoo_diffusers.default_sampler import sampler
from zoo_diffusers.model import DiffusersPipeline
from zoo_diffusers.names import name_in_file

__all__ = ["LatentPipeline"]

_LARGEST_SIDE = 1 << 14


class LatentPipeline(Model, Composition):
    """A diffusers pipeline whose path runs among the codes of an autoencoder.

    Args:
        unet: contents of ``unet/config.json``, or of ``transformer/config.json``.
        scheduler: contents of ``scheduler/scheduler_config.json``, with ``_class_name``.
        autoencoder: contents of ``vqvae/config.json`` or ``vae/config.json``, with ``_class_name``.
        old_names: parts (``unet``, ``autoencoder``) whose attention has the parameters ``query``, ``key``, ``value``
            and ``proj_attn`` in the file.

    Raises:
        WeightsError: a setting has no counterpart here; the message names it.
        PluginError: diffusers is not installed.
    """

    def __init__(
        self,
        unet: Mapping[str, Any],
        scheduler: Mapping[str, Any],
        autoencoder: Mapping[str, Any],
        old_names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if autoencoder.get("_class_name") not in theirs.AUTOENCODERS:
            named = str(autoencoder.get("_class_name"))[:80]
            has = " and ".join(theirs.AUTOENCODERS)
            raise WeightsError(f"autoencoder: _class_name = {named!r} has no counterpart here; {has} have")
        for key in ("shift_factor", "latents_mean", "latents_std"):
            if autoencoder.get(key) is not None:
                raise WeightsError(f"autoencoder: {key} = {str(autoencoder[key])[:80]} has no counterpart here")
        bounds = (-1.0, 1.0) if sampler(scheduler).get("clip") else (None, None)
        self.inner = DiffusersPipeline(unet, scheduler, "unet" in old_names, bounds)
        self.autoencoder = theirs.build("autoencoder", autoencoder)
        known: Any = self.autoencoder.config
        self.scale = known.scaling_factor
        if type(self.scale) not in (int, float) or not 0.0 < abs(self.scale) < 1e6:
            raise WeightsError(f"autoencoder: scaling_factor = {str(self.scale)[:80]}; expected a number other than 0")
        codes, height, width = self.inner.space.sizes
        channels = getattr(known, "vq_embed_dim", None) or known.latent_channels
        if channels != codes:
            raise WeightsError(f"autoencoder: codes of {channels} channels; those of the network have {codes}")
        halvings = len(known.block_out_channels) - 1
        if max(height, width) << min(halvings, 30) > _LARGEST_SIDE:
            raise WeightsError(
                f"autoencoder: codes of {height}×{width} after {halvings} halvings; images have {_LARGEST_SIDE} at most"
            )
        times = 2**halvings
        self.space = SampleSpace("image", (known.out_channels, height * times, width * times), low=-1.0, high=1.0)
        self.conditions = self.inner.conditions
        self.old_names = "autoencoder" in old_names
        self.register_state_dict_post_hook(_with_their_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_our_names)  # type: ignore[no-untyped-call]

    def decoded(self, codes: Tensor) -> Tensor:
        images: Tensor = self.autoencoder.decode((codes / self.scale).to(self.dtype)).sample  # type: ignore[operator]
        return images.to(codes.dtype)


def _with_their_names(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    """Renames the parameters of both parts in a state dict to the files' names, in place."""
    assert isinstance(module, LatentPipeline)
    inner, outer = f"{prefix}inner.", f"{prefix}autoencoder."
    for name in list(state):
        if name.startswith(inner):
            state[prefix + name.removeprefix(inner)] = state.pop(name)
        elif name.startswith(outer):
            state[prefix + name_in_file(name.removeprefix(outer), module.old_names)] = state.pop(name)


def _with_our_names(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Renames the files' parameters to those of the parts, in place; torch reports missing and unexpected ones."""
    assert isinstance(module, LatentPipeline)
    for name in module.autoencoder.state_dict():
        if (theirs := prefix + name_in_file(name, module.old_names)) in state:
            state[f"{prefix}autoencoder.{name}"] = state.pop(theirs)
    for name in module.inner.state_dict():
        if prefix + name in state:
            state[f"{prefix}inner.{name}"] = state.pop(prefix + name)
