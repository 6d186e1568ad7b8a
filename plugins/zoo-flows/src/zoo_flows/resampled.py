r"""A Glow whose samples must pass an acceptance (Stimper, Schölkopf & Hernández-Lobato 2022; Bauer & Mnih 2019).

A flow proposes x ~ q; a network says with which probability a(x) a proposal is taken; the T-th one in a row is taken
whatever it is.  The density of what comes out is known (Stimper et al. 2022, eq. 4–5):

    p(x) = q(x)·[(1 − α)·a(x)/Z + α],      Z = E_q a(x),      α = (1 − Z)^{T−1}

A flow bends one Gaussian, and cannot tear it: between the digits there are bridges, on which a part of its samples lie.
These are what a(x) refuses.  With a(x) = σ(l(x) − γ) and l the log-odds that x is data and no proposal, which logistic
regression finds, l = log p_data/q at the optimum (Azadi et al. 2019, §3); a greater γ is nearer to the data and takes
longer, 1/Z proposals a sample.

Z is a mean over proposals: its error is that of log p, the same for every x, and small beside the density's own
uncertainty: √((1 − Z)/(Z·m)) nats with m proposals, 0.03 for Z = 0.06 and 16,384 of them.
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
    """l(x), ``(n,)``: the log-odds that images ``(n, *shape)`` in [0, 1] are data and no proposals; 0 at first.

    Args:
        shape: ``[channels, height, width]``, both multiples of 4.
        width: channels at half of the resolution; half of it at the whole, twice at a quarter.
        dropout: of the features before the last layer.
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
    """The model.

    Args:
        shape: ``[channels, height, width]``.
        tries: T, at least 1; with 1 it is the flow itself.
        reluctance: γ.
        acceptance_width, dropout: of :class:`Acceptance`.
        glow: of :class:`~zoo_flows.glow.Glow`, which is the proposal; neither classes nor a dequantisation.

    Raises:
        ValueError: an argument outside its set.

    Attributes:
        Z: the share of proposals that is taken, a buffer; see :meth:`measure`.
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
            raise ValueError(f"{unknown[0]} = {glow[unknown[0]]!r}; a resampled flow is unconditional, of the values")
        if tries < 1 or acceptance_width < 2:
            raise ValueError(f"tries = {tries} and acceptance_width = {acceptance_width}; expected at least 1 and 2")
        super().__init__(shape, **glow)
        self.tries, self.reluctance = tries, float(reluctance)
        self.acceptance = Acceptance(shape, acceptance_width, dropout)
        self.register_buffer("Z", torch.sigmoid(torch.tensor(-self.reluctance)))  # of a fresh one, exactly

    @property
    def players(self) -> dict[str, nn.Module]:
        """The acceptance alone: the proposal is a trained Glow, the recipe's ``start``."""
        return {"acceptance": self.acceptance}

    def started_from(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        """From a Glow, with an acceptance that begins as the same for all; or from one like itself."""
        own = {k: v for k, v in self.state_dict().items() if k == "Z" or k.startswith("acceptance.")}
        return {**own, **state}

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """log p(x) in nats, ``(n,)``, exact but for the error of Z."""
        return super().log_prob(x, condition=condition, streams=streams) + self.log_ratio(x)

    def log_ratio(self, x: Tensor) -> Tensor:
        """log p(x)/q(x) = log [(1 − α)·a(x)/Z + α], ``(n,)``."""
        Z = self.Z.to(x.dtype)
        log_alpha = (self.tries - 1) * torch.log1p(-Z)
        taken = torch.log(-torch.expm1(log_alpha)) - Z.log() + F.logsigmoid(self.acceptance(x) - self.reluctance)
        return torch.logaddexp(taken, log_alpha)

    def accepts(self, x: Tensor) -> Tensor:
        """a(x), ``(n,)``."""
        return torch.sigmoid(self.acceptance(x) - self.reluctance)

    def draw_latent(self, streams: Streams, temperature: float = 1.0) -> Tensor:
        """Codes of proposals that were taken, ``(n, dimensions)``; a row depends on its own stream alone."""
        n, propose = len(streams), super().draw_latent
        taken = torch.empty(n, self.dimensions, device=streams.device, dtype=streams.dtype)
        waiting, tried = torch.arange(n, device=streams.device), 0
        while len(waiting):
            ahead = min(max(1, min(n, BLOCK) // len(waiting)), self.tries - tried)  # a few that wait try several
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
        """x ~ q, ``(n, *shape)``."""
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
    """E_data softplus(−l(x)) + E_q softplus(l(x)): logistic regression of data against as many proposals.

    Args:
        proposals: how many Z is measured with at the end.

    Raises:
        ValueError: no proposal.
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
