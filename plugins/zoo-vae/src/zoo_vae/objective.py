r"""The training objectives of VAEs: the ELBO and the importance-weighted bound, in nats per example.

    ELBO:   E_q log p(x | z) − β_s·Σ_j max(λ, KL_j),        KL_j = KL(q(z_j | x) ‖ N(0, 1))
    IWAE:   E log (1/k) Σ_i w_i,  k draws of q              (Burda, Grosse & Salakhutdinov 2016, eq. 8)

with z = μ + σ·ε, so that both have low-variance gradients.  β > 1 trades reconstruction for independent latent
dimensions (Higgins et al. 2017).  *KL annealing* increases β_s from 0 to β over the first steps, and *free bits* exempt
λ nats of every latent dimension from the penalty; both keep a strong decoder from ignoring its code (Bowman et al.
2016; Kingma et al. 2016, app. C).  Kingma et al. take the maximum of the batch's mean KL_j; here it is taken for each
example, so that the loss is a mean over examples and does not depend on how a batch is split over machines.

For models that binarise, images are binarised again at every step (dynamic binarisation).
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
    """The negative evidence lower bound, with the KL divergence in closed form (Kingma & Welling 2014, eq. 7).

    Args:
        beta: weight β of the KL divergence, at least 0.
        annealing: number of steps over which the weight grows from 0 to ``beta``; 0 for no annealing.
        free_bits: number λ of nats per latent dimension without penalty, at least 0.
        samples: number of codes per example, at least 1.

    Raises:
        ValueError: an argument is outside its range.

    The logged terms are ``elbo`` (with β = 1 and λ = 0), ``reconstruction`` and ``kl``.
    """

    def __init__(self, beta: float = 1.0, annealing: int = 0, free_bits: float = 0.0, samples: int = 1) -> None:
        if beta < 0 or annealing < 0 or free_bits < 0:
            raise ValueError(f"beta = {beta}, annealing = {annealing}, free_bits = {free_bits}; expected at least 0")
        if samples < 1:
            raise ValueError(f"samples = {samples}; expected at least 1 code per example")
        self.beta, self.annealing, self.free_bits, self.samples = beta, annealing, free_bits, samples

    def weight(self, step: int | None) -> float:
        """Computes β_s at a training step.

        Raises:
            ValueError: there is annealing, and no step is given.
        """
        if self.annealing == 0:
            return self.beta
        if step is None:
            raise ValueError("annealing needs the training step; expected a batch whose step is set")
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
    """The negative importance-weighted bound; for k = 1 it is the ELBO with a sampled KL divergence.

    Args:
        k: number of codes per example, at least 1.

    Raises:
        ValueError: k is below 1.

    The logged terms are ``bound``, and ``elbo``, the mean over the k codes.
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"k = {k}; expected at least 1 code per example")
        self.k = k

    def losses(self, model: VAE, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        noise = streams.normal(self.k, model.latent).transpose(0, 1)
        log_w = model.log_weight(x, model.posterior(x), noise)
        bound = (torch.logsumexp(log_w, dim=0) - math.log(self.k)).mean()
        yield Loss(-bound, terms=_detached({"bound": bound, "elbo": log_w.mean()}))


def _detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in terms.items()}
