r"""What a VAE is trained on: the ELBO and the importance-weighted bound, in nats per example.

    ELBO:   E_q log p(x | z) − β_s·Σ_j max(λ, KL_j),        KL_j = KL(q(z_j | x) ‖ N(0, 1))
    IWAE:   E log (1/k) Σ_i w_i,  k draws of q              (Burda, Grosse & Salakhutdinov 2016, eq. 8)

with z = μ + σ·ε, so that both have low-variance gradients.  β > 1 trades reconstruction for independent latent
dimensions (Higgins et al. 2017).  *KL annealing* lets β_s grow from 0 to β over the first steps, and *free bits* let
every latent dimension have λ nats for nothing; both keep a strong decoder from ignoring its code (Bowman et al. 2016;
Kingma et al. 2016, app. C).  There, the maximum is of the batch's mean KL_j; here it is taken example by example: then
a loss is a mean over examples, and two machines with half a batch each train as one does.

Where the model binarises, every step is given images that were binarised anew (dynamic binarisation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_vae.model import VAE

__all__ = ["ELBO", "IWAE"]


class ELBO(GradientObjective[VAE]):
    """Minus the evidence lower bound, KL in closed form (Kingma & Welling 2014, eq. 7).

    Args:
        beta: weight of the KL divergence.
        annealing: steps over which the weight grows from 0 to ``beta``; 0 for the full weight from the start.
        free_bits: λ, in nats, per latent dimension.
        samples: codes drawn per example.

    Raises:
        ValueError: a negative weight, number of steps or λ; no sample.

    The terms of its loss: ``elbo`` (of β = 1, λ = 0, whatever is trained), ``reconstruction`` and ``kl``.
    """

    def __init__(self, beta: float = 1.0, annealing: int = 0, free_bits: float = 0.0, samples: int = 1) -> None:
        if beta < 0 or annealing < 0 or free_bits < 0:
            raise ValueError(f"beta = {beta}, annealing = {annealing}, free_bits = {free_bits}; none may be negative")
        if samples < 1:
            raise ValueError(f"samples = {samples}; at least 1 code is drawn per example")
        self.beta, self.annealing, self.free_bits, self.samples = beta, annealing, free_bits, samples

    def weight(self, step: int | None) -> float:
        """Computes β_s at a training step.

        Raises:
            ValueError: the weight grows, and no step is given.
        """
        if self.annealing == 0:
            return self.beta
        if step is None:
            raise ValueError("annealing needs to know the training step; expected a batch with a step")
        return self.beta * min(1.0, step / self.annealing)

    def losses(self, model: VAE, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        posterior = model.posterior(x)
        noise = streams.normal(self.samples, model.latent).transpose(0, 1)
        reconstruction = model.conditional_log_prob(x, posterior.at(noise)).mean()
        per_dimension = posterior.kl()
        kl = per_dimension.sum(1).mean()
        charged = per_dimension.clamp(min=self.free_bits).sum(1).mean() if self.free_bits else kl
        terms = {"elbo": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        yield Loss(self.weight(batch.step) * charged - reconstruction, terms=_detached(terms))


class IWAE(GradientObjective[VAE]):
    """Minus the importance-weighted bound; k = 1 is the ELBO, with the KL divergence sampled.

    Args:
        k: codes drawn per example.

    Raises:
        ValueError: k below 1.

    The terms of its loss: ``bound``, and ``elbo``, of which the same draws are k estimates.
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"k = {k}; at least 1 code is drawn per example")
        self.k = k

    def losses(self, model: VAE, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        noise = streams.normal(self.k, model.latent).transpose(0, 1)
        log_w = model.log_weight(x, model.posterior(x), noise)
        bound = (torch.logsumexp(log_w, dim=0) - math.log(self.k)).mean()
        yield Loss(-bound, terms=_detached({"bound": bound, "elbo": log_w.mean()}))


def _detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in terms.items()}
