r"""Variational autoencoders (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014).

A decoder η(z) gives the distribution of data x for a latent code z, and an encoder approximates the posterior of z:

    p(z) = N(0, I),      p(x | z) = p(x; η(z)),      q(z | x) = N(μ(x), diag σ(x)²).

log p(x) = log ∫ p(x | z) p(z) dz has no closed form.  With the importance weights of k draws z_i ~ q(z | x),

    w_i = p(x | z_i) p(z_i) / q(z_i | x),
    L_k = E log (1/k) Σ_i w_i,          L_1 ≤ L_2 ≤ … ≤ log p(x)       (Burda, Grosse & Salakhutdinov 2016, eq. 8),

where L_1 is the evidence lower bound, which is also

    ELBO = E_q log p(x | z) − KL(q(z | x) ‖ p(z))                      (Kingma & Welling 2014, eq. 3).

**Binarisation.**  A Bernoulli likelihood is for black-and-white images, and MNIST is grey.  The zoo uses *dynamic
binarisation*: a pixel of grey level v in [0, 1] is white with probability v, drawn again at every training step, and
drawn once from the evaluation's seed for the test set.  This happens before the model sees the data (its attribute
``binarises`` requests it), so that all bounds of one evaluation are for one binary image.  Results for other
binarisations are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, DataSet, Density, DirectSampler, LatentVariable, Model, SampleSpace, Streams
from zoo_vae.gaussian import DiagonalGaussian, standard_log_prob
from zoo_vae.likelihood import make_likelihood
from zoo_vae.networks import make_networks

__all__ = ["VAE"]


class VAE(Model, Density, DirectSampler, LatentVariable):
    """A variational autoencoder: an encoder, a decoder and a likelihood of the decoder's output.

    Args:
        shape: shape of one sample, ``[channels, height, width]`` for images in [0, 1], ``[dimensions]`` for points.
        latent: number of dimensions of the code z.
        network: configuration of the networks, ``{"kind": "conv", "widths": [32, 64], "hidden": 256, "blocks": 0}`` or
            ``{"kind": "mlp", "hidden": [512, 512]}``; see :mod:`zoo_vae.networks`.
        likelihood: configuration of p(x | z), ``{"kind": "bernoulli"}``, ``{"kind": "continuous-bernoulli"}`` or
            ``{"kind": "gaussian", "sigma": 1.0, "learned": false}``; see :mod:`zoo_vae.likelihood`.
        draws: result of :meth:`draw`, the ``mean`` of p(x | z) or a ``sample`` from it.  Unless given, means for images
            (since samples have independent noise on every pixel) and samples for points.

    Raises:
        ValueError: an argument is not one of its allowed values.

    Attributes:
        binarises: whether the likelihood is for binarised data (Bernoulli); ``discrete`` is then true, and ``log_prob``
            is that of a binary image, not of grey levels.
        bound_draws: number of codes per example in :meth:`log_prob`.
    """

    log_prob_is = "bound"
    bound_draws = 8

    def __init__(
        self,
        shape: list[int],
        latent: int,
        network: Mapping[str, Any],
        likelihood: Mapping[str, Any],
        draws: Literal["mean", "sample"] | None = None,
    ) -> None:
        super().__init__()
        if len(shape) not in (1, 3):
            raise ValueError(f"shape = {list(shape)}; expected [channels, height, width] or [dimensions]")
        if latent < 1:
            raise ValueError(f"latent = {latent}; expected at least 1 dimension")
        if draws not in (None, "mean", "sample"):
            raise ValueError(f"draws = {draws!r}; expected mean or sample")
        image = len(shape) == 3
        self.likelihood = make_likelihood(likelihood)
        ends = (0.0, 1.0) if image or self.likelihood.bounded else (None, None)
        self.space = SampleSpace("image" if image else "points", tuple(shape), *ends)
        self.latent = latent
        self.draws = draws or ("mean" if image else "sample")
        self.binarises = self.discrete = self.likelihood.binary
        self.encoder, self.decoder = make_networks(network, shape, latent)

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data: images with colours or greys get a Gaussian likelihood with a learned σ."""
        adapted = super().config_for(config, data, shape)
        if len(shape) == 3 and config["likelihood"]["kind"] == "bernoulli" and not data.is_black_and_white:
            adapted["likelihood"] = {"kind": "gaussian", "sigma": 0.3, "learned": True}
        return adapted

    def posterior(self, x: Tensor) -> DiagonalGaussian:
        """Computes q(z | x) for data ``(n, *shape)``."""
        # outputs in half precision (autocast) become float32 before they are exponentiated or summed
        mean, log_sigma = self.encoder(x.to(self.dtype)).to(x.dtype).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_sigma)

    def eta(self, z: Tensor) -> Tensor:
        """Computes the decoder's output η(z), ``(…, *shape)``, for codes ``(…, latent)``."""
        answer = self.decoder(z.reshape(-1, self.latent).to(self.dtype)).to(z.dtype)
        return answer.view(*z.shape[:-1], *answer.shape[1:])

    def conditional_log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """Computes log p(x | z) in nats, ``(…, n)``, for data ``(n, *shape)`` and codes ``(…, n, latent)``."""
        terms = self.likelihood.log_prob(x, self.eta(z))
        return terms.flatten(-len(self.space.shape)).sum(-1)

    def log_weight(self, x: Tensor, posterior: DiagonalGaussian, noise: Tensor) -> Tensor:
        """Computes log w = log p(x | z) + log p(z) − log q(z | x) at z = μ + σ·ε.

        Args:
            x: data, ``(n, *shape)``.
            posterior: posterior q(z | x).
            noise: noise ε, ``(…, n, latent)``.

        Returns:
            log w in nats, ``(…, n)``.
        """
        z = posterior.at(noise)
        return self.conditional_log_prob(x, z) + standard_log_prob(z) - posterior.log_prob_at(noise)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the ELBO, a lower bound of log p(x), in nats, ``(n,)``: ``bound_draws`` codes, KL in closed form."""
        if streams is None:
            streams = Streams(0, "bound", 0, len(x), device=x.device, dtype=x.dtype)
        posterior = self.posterior(x)
        noise = streams.normal(self.bound_draws, self.latent).transpose(0, 1)
        return self.conditional_log_prob(x, posterior.at(noise)).mean(0) - posterior.kl().sum(1)

    def importance_log_prob(self, x: Tensor, k: int, streams: Streams, *, chunk: int = 10) -> Tensor:
        """Computes log (1/k) Σ w_i, the importance-weighted bound of k codes; k = 1 is the ELBO.

        Args:
            x: data, ``(n, *shape)``.
            k: number of codes per example, at least 1.
            streams: random streams, one per example.
            chunk: number of codes per example that are decoded at once, which affects only the memory.

        Returns:
            bounds of log p(x) in nats, ``(n,)``.

        Raises:
            ValueError: ``k`` or ``chunk`` is below 1.
        """
        if k < 1 or chunk < 1:
            raise ValueError(f"k = {k} and chunk = {chunk}; expected at least 1 of each")
        posterior = self.posterior(x)
        # all noise is drawn at once, since draws in parts would give numbers that depend on the chunk
        noise = streams.normal(k, self.latent).transpose(0, 1)
        total = x.new_full((len(x),), -math.inf)
        for start in range(0, k, chunk):
            part = noise[start : start + chunk]
            total = torch.logaddexp(total, torch.logsumexp(self.log_weight(x, posterior, part), dim=0))
        return total - math.log(k)

    def draw_latent(self, streams: Streams) -> Tensor:
        """Draws z ~ N(0, I), ``(len(streams), latent)``."""
        return streams.normal(self.latent)

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes μ(x), ``(n, latent)``; a Bernoulli model encodes grey pixels, the expectation of binary ones."""
        return self.posterior(x).mean

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes E[x | z], ``(n, *shape)``."""
        return self.likelihood.mean(self.eta(z))

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Decodes codes drawn from the prior: the mean of p(x | z) or a sample from it, according to ``draws``."""
        eta = self.eta(self.draw_latent(streams))
        return self.likelihood.mean(eta) if self.draws == "mean" else self.likelihood.draw(eta, streams)
