"""Hidden Markov models over sequences of open length, as a stranger would publish them."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    catalogue.family(
        "trial-hmm", "zoo_trial_hmm.model:HMM", "hidden Markov models", capabilities=["Density", "DirectSampler"]
    )
    catalogue.objective("trial-baum-welch", "zoo_trial_hmm.model:BaumWelch", "Baum–Welch", families=["trial-hmm"])
    catalogue.dataset(
        "trial-casino", "zoo_trial_hmm.data:casino", "throws of an honest die and a loaded one, of open length"
    )
