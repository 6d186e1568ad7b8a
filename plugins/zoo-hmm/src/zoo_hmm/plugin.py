"""Registers what zoo-hmm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family, its objective, its metric, its plot and its data sets."""
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
    catalogue.dataset("casino", "zoo_hmm.casino:casino", "throws of a fair and a loaded die, in games of any length")
    catalogue.dataset(
        "spoken-digits-mfcc",
        "zoo_hmm.spoken_digits:spoken_digits_mfcc",
        "cepstral coefficients of 3,000 spoken digits; takes 0–4 of each speaker are for testing",
    )
    catalogue.metric(
        "recognised",
        "zoo_hmm.recognition:Recognised",
        "share of held-out sequences whose class is the most probable one, in percent",
        needs=["Density"],
        families=["hmm"],
        requires=["conditional"],
    )
    catalogue.plot(
        "states",
        "zoo_hmm.plots:states",
        "probabilities of the hidden states over time in held-out sequences, and the most probable path",
        families=["hmm"],
    )
