"""What the core itself offers, registered the way a plugin does it."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue

__all__ = ["zoo_register"]


def zoo_register(catalogue: Catalogue) -> None:
    """Registers the samplers that need a capability only, and the data sets."""
    from zoo_core.datasets import BUILTIN

    samplers = "zoo_core.samplers"
    catalogue.sampler("direct", f"{samplers}.direct:Direct", "draws in one go", needs=["DirectSampler"])
    catalogue.sampler(
        "ancestral", f"{samplers}.ancestral:Ancestral", "the reverse Markov chain (Ho et al. 2020)", needs=["Denoiser"]
    )
    catalogue.sampler(
        "ddim", f"{samplers}.ddim:DDIM", "implicit, any steps, any η (Song et al. 2021)", needs=["Denoiser"]
    )
    for name, (target, summary) in BUILTIN.items():
        catalogue.dataset(name, target, summary)
