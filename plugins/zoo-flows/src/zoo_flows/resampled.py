r"""A Glow with learned rejection sampling (Stimper, Schölkopf & Hernández-Lobato 2022; Bauer & Mnih 2019).

A flow proposes x ~ q, which is accepted with a probability a(x) that a network computes; after T − 1 rejections the
next proposal is always accepted.  The density of the samples is known (Stimper et al. 2022, eq. 4–5):

    p(x) = q(x)·[(1 − α)·a(x)/Z + α],      Z = E_q a(x),      α = (1 − Z)^{T−1}

A flow is continuous, so it maps a Gaussian to a connected region: some of its samples lie between the digits, and these
are rejected.  Here a(x) = σ(l(x) − γ), where l is the log-odds that x is data and not a proposal, learned by logistic
regression, with l = log p_data/q at the optimum (Azadi et al. 2019, §3).  A greater γ gives samples nearer to the data,
but needs more proposals, 1/Z per sample.

Z is estimated by a mean over m proposals, with a standard error of √((1 − Z)/(Z·m)) nats of log Z, equal for all x:
0.03 for Z = 0.06 and 16,384 proposals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Model, Streams
from zoo_flows.glow import Glow
from zoo_flows.networks import zeroed

__all__ = ["Acceptance", "AcceptanceRegression", "ResampledGlow"]

BLOCK = 128  # proposals decoded at once


class Acceptance(nn.Module):
    """The network l(x), ``(n,)``: log-odds that images ``(n, *shape)`` in [0, 1] are data, not proposals; 0 at first.

    Args:
        shape: shape of one image, ``[channels, height, width]``, with height and width multiples of 4.
        width: channels at half the resolution; half as many at full resolution, twice as many at a quarter.
        dropout: dropout probability of the features before the last layer.
    """

    def __init__(self, shape: Sequence[int], width: int = 48, dropout: float = 0.3) -> None:
        super().__init__()
        channels, height, rows = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.last = zeroed(nn.Linear(2 * width * (height // 4) * (rows // 4), 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        centred = (2.0 * x - 1.0).to(self.last.weight.dtype).contiguous(memory_format=torch.channels_last)
        return self.last(self.features(centred))[:, 0].to(x.dtype)


class ResampledGlow(Glow):
    """A Glow with learned rejection sampling of its proposals.

    Args:
        shape: shape of one image, ``[channels, height, width]``.
        tries: number T of proposals per sample, at least 1; with 1 all proposals are accepted.
        reluctance: number γ, subtracted from the log-odds.
        acceptance_width, dropout: options of :class:`Acceptance`.
        glow: options of the proposal, a :class:`~zoo_flows.glow.Glow`, without classes or dequantisation.

    Raises:
        ValueError: an argument is not one of its allowed values.

    Attributes:
        Z: share of proposals that is accepted, a buffer; see :meth:`measure`.
    """

    Z: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        tries: int = 200,
        reluctance: float = 1.0,
        acceptance_width: int = 48,
        dropout: float = 0.3,
        **glow: Any,
    ) -> None:
        if unknown := sorted(set(glow) & {"classes", "context", "dequantisation"}):
            raise ValueError(f"{unknown[0]} = {glow[unknown[0]]!r}; resampled flows take no classes or dequantisation")
        if tries < 1 or acceptance_width < 2:
            raise ValueError(f"tries = {tries} and acceptance_width = {acceptance_width}; expected at least 1 and 2")
        super().__init__(shape, **glow)
        self.tries, self.reluctance = tries, float(reluctance)
        self.acceptance = Acceptance(shape, acceptance_width, dropout)
        self.register_buffer("Z", torch.sigmoid(torch.tensor(-self.reluctance)))  # exact for a new model, whose l is 0

    @property
    def players(self) -> dict[str, nn.Module]:
        """The trainable parts: the acceptance alone, since the proposal is a trained Glow, the recipe's ``start``."""
        return {"acceptance": self.acceptance}

    def started_from(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        """Adapts the state of a Glow, to which a new acceptance is added, or of a model of this class."""
        own = {k: v for k, v in self.state_dict().items() if k == "Z" or k.startswith("acceptance.")}
        return {**own, **state}

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) in nats, ``(n,)``, exact except for the error of Z."""
        return super().log_prob(x, condition=condition, streams=streams) + self.log_ratio(x)

    def log_ratio(self, x: Tensor) -> Tensor:
        """Computes log p(x)/q(x) = log [(1 − α)·a(x)/Z + α], ``(n,)``."""
        Z = self.Z.to(x.dtype)
        log_alpha = (self.tries - 1) * torch.log1p(-Z)
        taken = torch.log(-torch.expm1(log_alpha)) - Z.log() + F.logsigmoid(self.acceptance(x) - self.reluctance)
        return torch.logaddexp(taken, log_alpha)

    def accepts(self, x: Tensor) -> Tensor:
        """Computes the acceptance probability a(x), ``(n,)``."""
        return torch.sigmoid(self.acceptance(x) - self.reluctance)

    def draw_latent(self, streams: Streams, temperature: float = 1.0) -> Tensor:
        """Draws codes of accepted proposals, ``(n, dimensions)``; a row depends on its own stream alone."""
        n, propose = len(streams), super().draw_latent
        taken = torch.empty(n, self.dimensions, device=streams.device, dtype=streams.dtype)
        waiting, tried = torch.arange(n, device=streams.device), 0
        while len(waiting):
            # Few remaining rows get several proposals each at once.
            ahead = min(max(1, min(n, BLOCK) // len(waiting)), self.tries - tried)
            drawn = [(propose(streams, temperature), streams.uniform()) for _ in range(ahead)]
            z = torch.stack([z for z, _ in drawn], 1)[waiting]
            u = torch.stack([u for _, u in drawn], 1)[waiting]
            tried += ahead
            accepted = u < self.accepts(self.decode(z.flatten(0, 1))).view_as(u)
            accepted[:, -1] |= tried == self.tries
            done, first = accepted.any(1), accepted.int().argmax(1)
            taken[waiting[done]] = z[done, first[done]].to(taken.dtype)
            waiting = waiting[~done]
        return taken

    def propose(self, streams: Streams) -> Tensor:
        """Draws proposals x ~ q, ``(n, *shape)``."""
        return self.decode(super().draw_latent(streams))

    @torch.no_grad()
    def measure(self, proposals: int, seed: int) -> None:
        """Sets Z to the mean of a(x) over proposals."""
        total = self.Z.new_zeros((), dtype=torch.float64)
        for begin in range(0, proposals, BLOCK):
            size = min(BLOCK, proposals - begin)
            streams = Streams(seed, "normaliser", begin, size, device=self.device, dtype=self.dtype)
            total += self.accepts(self.propose(streams)).double().sum()
        self.Z.copy_(total / proposals)


class AcceptanceRegression(GradientObjective[ResampledGlow]):
    """Logistic regression of data against an equal number of proposals: E_data softplus(−l(x)) + E_q softplus(l(x)).

    Args:
        proposals: number of proposals with which Z is measured after training, at least 1.

    Raises:
        ValueError: ``proposals`` is below 1.
    """

    def __init__(self, proposals: int = 2**14) -> None:
        if proposals < 1:
            raise ValueError(f"proposals = {proposals}; expected at least 1")
        self.proposals = proposals

    def losses(self, model: ResampledGlow, batch: Batch, streams: Streams) -> Iterator[Loss]:
        with torch.no_grad():
            proposed = model.propose(streams)
        data, other = model.acceptance(torch.cat([batch.x, proposed])).chunk(2)
        right = 0.5 * ((data > 0).float().mean() + (other < 0).float().mean())
        loss = F.softplus(-data).mean() + F.softplus(other).mean()
        yield Loss(loss, "acceptance", {"right": right})

    def finish(self, model: Model, seed: int) -> None:
        assert isinstance(model, ResampledGlow)
        training = model.training
        model.eval().measure(self.proposals, seed)
        model.train(training)
