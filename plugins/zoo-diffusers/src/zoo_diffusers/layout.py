"""Reads diffusers' repository format: makes a registry entry from a pipeline's JSON files, without torch.

model_index.json   scheduler/scheduler_config.json   unet/config.json   unet/diffusion_pytorch_model.safetensors

As in diffusers, parts may be at the top level in place of a folder, as in the first published pipelines, and
``model_index.json`` may be missing.  A latent pipeline has an autoencoder, too (``vqvae/`` or ``vae/``), and may have a
``transformer/`` in place of ``unet/``.  The weights of a part are one file, or several files (shards) listed in an
index, or a variant of these, such as fp16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.fetching.repository_formats import Repository
from zoo_diffusers.default_sampler import sampler
from zoo_diffusers.files import has_old_names, home_of, read_json, weights_of

__all__ = ["entry_table"]

NETWORKS = {"unet": ("UNet2DModel",), "transformer": ("DiTTransformer2DModel", "Transformer2DModel")}
AUTOENCODERS = {"vqvae": ("VQModel", "AutoencoderKL"), "vae": ("AutoencoderKL", "VQModel")}
"""Parts of a pipeline, with the classes that each may be of."""

GUIDANCE = 4.0
"""Strength of guidance by a label in diffusers' pipeline of a diffusion transformer."""


def entry_table(repository: Repository) -> dict[str, Any]:
    """Makes the registry entry of a pipeline; see :meth:`zoo_core.plugins.catalogue.Catalogue.layout`.

    Args:
        repository: repository with the files.

    Raises:
        WeightsError: the pipeline is of another kind, or its files are invalid.
    """
    index = read_json(repository, "model_index.json") if repository.find("model_index.json") else {}
    network, autoencoder = _parts(index)
    home = home_of(repository, network)
    shelf = home_of(repository, "scheduler", "scheduler_config.json")
    scheduler = read_json(repository, f"{shelf}scheduler_config.json")
    if index:
        scheduler.setdefault("_class_name", index["scheduler"][-1])
    config: dict[str, Any] = {"unet": read_json(repository, f"{home}config.json"), "scheduler": scheduler}
    if network == "transformer" and config["unet"].get("_class_name") == "Transformer2DModel":
        config["unet"]["_class_name"] = "DiTTransformer2DModel"  # the name of its class before diffusers 0.29
    files = weights_of(repository, home)
    old = {"unet": any(has_old_names(repository.fetch(file)) for file in files)}
    chosen = sampler(scheduler)
    if autoencoder is not None:
        config["autoencoder"] = {"_class_name": index[autoencoder][-1]} | read_json(
            repository, f"{autoencoder}/config.json"
        )
        more = weights_of(repository, f"{autoencoder}/")
        old["autoencoder"] = any(has_old_names(repository.fetch(file)) for file in more)
        files += more
        if network == "transformer":
            chosen["guidance"] = GUIDANCE
    config["old_names"] = old["unet"] if autoencoder is None else sorted(part for part, is_old in old.items() if is_old)
    return {
        "family": "diffusers-pipeline" if autoencoder is None else "diffusers-latent",
        "plugin": "zoo-diffusers",
        "summary": f"{index.get('_class_name', 'pipeline')} in diffusers' layout, {scheduler.get('_class_name')}"[:200],
        "config": config,
        "sampler": chosen,
        "weights": {"files": files},
    }


def _parts(index: Mapping[str, Any]) -> tuple[str, str | None]:
    """Returns the names of the network and of the autoencoder, if there is one, of a pipeline's index.

    Raises:
        WeightsError: the pipeline has other parts, or parts of other classes.
    """
    if not index:
        return "unet", None
    parts = {name: value for name, value in index.items() if isinstance(value, list) and any(value)}
    kind = str(index.get("_class_name"))[:80]
    for name, value in parts.items():
        if len(value) != 2 or value[0] != "diffusers":
            said = ", ".join(str(word)[:40] for word in value)
            raise WeightsError(f"model_index.json: {kind}: {name[:40]} = [{said}] is no class of diffusers; refused")
    named = set(parts) - {"scheduler"}
    for network, networks in NETWORKS.items():
        for autoencoder, autoencoders in (None, ()), *AUTOENCODERS.items():
            if (
                "scheduler" in parts
                and named == {network, autoencoder} - {None}
                and parts[network][-1] in networks
                and (autoencoder is None or parts[autoencoder][-1] in autoencoders)
                and (autoencoder is not None or network == "unet")
            ):
                return network, autoencoder
    raise WeightsError(
        f"model_index.json: {kind} is no pipeline of one UNet2DModel and one scheduler, with or without an "
        "autoencoder; refused"
    )
