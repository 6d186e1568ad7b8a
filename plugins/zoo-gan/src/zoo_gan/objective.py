r"""The adversarial losses of generator and critic.

With the critic's score a = a(x, y), D = 1/(1 + e^{−a}) the probability that x is data, and softplus(a) = log(1 + e^a):

| objective      | loss of the critic                               | loss of the generator           | paper          |
|----------------|--------------------------------------------------|---------------------------------|----------------|
| minimax        | −V = E softplus(−a_data) + E softplus(a_G)       | E log(1 − D) = −E softplus(a_G) | [1], eq. 1     |
| non-saturating | −V                                               | −E log D = E softplus(−a_G)     | [1], §3        |
| least squares  | ½E(a_data − 1)² + ½E a_G²                        | ½E(a_G − 1)²                    | [2], eq. 9     |
| WGAN           | E a_G − E a_data, then every weight into [−c, c] | −E a_G                          | [3], alg. 1    |
| WGAN-GP        | E a_G − E a_data + λ·E(‖∇a(x̂)‖ − 1)²             | −E a_G                          | [4], eq. 3     |

[1] Goodfellow et al. 2014, [2] Mao et al. 2017, [3] Arjovsky et al. 2017, [4] Gulrajani et al. 2017.

At the optimal critic V = 2·JS(data, G) − log 4.  In the penalty x̂ = u·x + (1 − u)·G(z), u ~ U[0, 1], and the norm is
that of one example's gradient, over all its dimensions.  A pack counts as one example.

Every critic step has its own data, noise and labels; the generator's step continues the random streams of the last one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import softplus

from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_gan.model import GAN
from zoo_gan.networks import Critic

__all__ = ["Adversarial", "LeastSquares", "Minimax", "NonSaturating", "Wasserstein", "WassersteinGP"]


class Adversarial(GradientObjective[GAN]):
    """The base of adversarial objectives: ``n_critic`` steps of the critic, then one of the generator.

    Args:
        n_critic: number of steps of the critic, at least 1, each with its own batch.

    Raises:
        ValueError: ``n_critic`` is below 1.
    """

    def __init__(self, n_critic: int = 1) -> None:
        if n_critic < 1:
            raise ValueError(f"n_critic = {n_critic}; expected at least 1 step of the critic")
        self.batches = n_critic

    @abstractmethod
    def critic_loss(self, data: Tensor, generated: Tensor) -> Tensor:
        """Computes the critic's loss from its scores of data and of samples, ``(n/pac,)`` each."""

    @abstractmethod
    def generator_loss(self, generated: Tensor) -> Tensor:
        """Computes the generator's loss from the critic's scores of its samples, ``(n/pac,)``."""

    def penalty(self, critic: Critic, x: Tensor, fake: Tensor, label: Tensor | None, streams: Streams) -> Tensor | None:
        """Computes the penalty that is added to the critic's loss; ``None`` for no penalty."""
        return None

    def after_critic_step(self, critic: Critic) -> None:
        """Changes the critic after each of its steps, by clipping for example; does nothing by default."""

    def losses(self, model: GAN, batch: Batch, streams: Streams) -> Iterator[Loss]:
        """Yields ``batches`` losses of the critic, then one of the generator.

        Raises:
            ConditionError: the model is conditional and the batch has no labels.
            ValueError: the batch cannot be split into packs of the critic's size.
            ZooError: a loss is not finite.
        """
        for part, own in zip(batch.chunks(self.batches), streams.chunks(self.batches), strict=True):
            label = model.one_hot(part.condition)
            with torch.no_grad():
                fake = model.generate(model.draw_latent(own), label)
            data, generated = model.critic(part.x, label), model.critic(fake, label)
            value = self.critic_loss(data, generated)
            terms = {"score_data": data.mean(), "score_generated": generated.mean()}
            penalty = self.penalty(model.critic, part.x, fake, label, own)
            if penalty is not None:
                value, terms["penalty"] = value + penalty, penalty
            yield _loss("critic", value, terms)
            self.after_critic_step(model.critic)
        generated = model.critic(model.generate(model.draw_latent(own), label), label)
        yield _loss("generator", self.generator_loss(generated), {})


class Minimax(Adversarial):
    """The minimax game, in which the generator's gradient vanishes where the critic is confident (a ≪ 0)."""

    def critic_loss(self, data: Tensor, generated: Tensor) -> Tensor:
        return softplus(-data).mean() + softplus(generated).mean()

    def generator_loss(self, generated: Tensor) -> Tensor:
        return -softplus(generated).mean()


class NonSaturating(Minimax):
    """The non-saturating game: the generator maximises log D, with large gradients where the critic is confident."""

    def generator_loss(self, generated: Tensor) -> Tensor:
        return softplus(-generated).mean()


class LeastSquares(Adversarial):
    """The least-squares game, with targets 1 for data and 0 for samples; the generator's target is 1."""

    def critic_loss(self, data: Tensor, generated: Tensor) -> Tensor:
        return 0.5 * (data - 1.0).square().mean() + 0.5 * generated.square().mean()

    def generator_loss(self, generated: Tensor) -> Tensor:
        return 0.5 * (generated - 1.0).square().mean()


class Wasserstein(Adversarial):
    """The dual of the Wasserstein-1 distance, with clipped weights, which make the critic Lipschitz up to a factor.

    Args:
        n_critic: number of steps of the critic for one of the generator, at least 1.
        clip: bound c > 0 of the critic's weights.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, n_critic: int = 5, clip: float = 0.01) -> None:
        super().__init__(n_critic)
        if not clip > 0.0:
            raise ValueError(f"clip = {clip}; expected a positive number")
        self.clip = clip

    def critic_loss(self, data: Tensor, generated: Tensor) -> Tensor:
        return generated.mean() - data.mean()

    def generator_loss(self, generated: Tensor) -> Tensor:
        return -generated.mean()

    def after_critic_step(self, critic: Critic) -> None:
        with torch.no_grad():
            for weight in critic.parameters():
                weight.clamp_(-self.clip, self.clip)


class WassersteinGP(Adversarial):
    """The dual of the Wasserstein-1 distance, with a penalty for gradient norms other than 1 between data and samples.

    Args:
        n_critic: number of steps of the critic for one of the generator, at least 1.
        weight: weight λ of the penalty, at least 0.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, n_critic: int = 5, weight: float = 10.0) -> None:
        super().__init__(n_critic)
        if not weight >= 0.0:
            raise ValueError(f"weight = {weight}; expected at least 0")
        self.weight = weight

    def critic_loss(self, data: Tensor, generated: Tensor) -> Tensor:
        return generated.mean() - data.mean()

    def generator_loss(self, generated: Tensor) -> Tensor:
        return -generated.mean()

    def penalty(self, critic: Critic, x: Tensor, fake: Tensor, label: Tensor | None, streams: Streams) -> Tensor:
        """Computes λ·E(‖∇a(x̂)‖ − 1)², with one u for each pack."""
        u = streams.uniform(*[1] * (x.ndim - 1))[:: critic.pac].repeat_interleave(critic.pac, dim=0)
        between = torch.lerp(fake, x, u).requires_grad_()
        score = critic(between, label)
        (slope,) = torch.autograd.grad(score.sum(), between, create_graph=True)
        squared = slope.float().reshape(len(score), -1).square().sum(1)
        norm = (squared + 1e-12).sqrt()  # the derivative of √0 would be NaN where the critic is constant
        return self.weight * (norm - 1.0).square().mean()


def _loss(player: str, value: Tensor, terms: dict[str, Tensor]) -> Loss:
    """Makes a loss with detached terms, and refuses one that is not finite before it changes a weight."""
    if not torch.isfinite(value):
        raise ZooError(f"the {player}'s loss is {value.item()}; start again from a checkpoint with a lower lr")
    return Loss(value, player, {name: term.detach() for name, term in terms.items()})
