"""Hidden Markov models over sequences of open length, as a stranger would publish them."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    catalogue.family("hmm", "zoo_hmm.model:HMM", "hidden Markov models", capabilities=["Density", "DirectSampler"])
    catalogue.objective("baum-welch", "zoo_hmm.model:BaumWelch", "Baum–Welch", families=["hmm"])
    catalogue.dataset("casino", "zoo_hmm.data:casino", "throws of an honest die and a loaded one, of open length")
