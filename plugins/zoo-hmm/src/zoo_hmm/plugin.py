"""Registers what zoo-hmm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family, its objective and its data sets."""
    catalogue.family(
        "hmm",
        "zoo_hmm.model:HiddenMarkov",
        "hidden Markov models of tokens or of frames of numbers, one chain for each class (Rabiner 1989)",
        capabilities=["Density", "DirectSampler", "Completer"],
    )
    catalogue.objective(
        "baum-welch",
        "zoo_hmm.objective:BaumWelch",
        "expectation–maximisation of hidden Markov models (Baum et al. 1970)",
        families=["hmm"],
    )
    catalogue.dataset(
        "casino", "zoo_hmm.casino:casino", "throws of a fair die and a loaded one, in games of any length"
    )
