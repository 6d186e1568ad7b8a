"""The games: closed forms, whose gradients they are, and that a GAN learns."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from zoo_core.errors import ConditionError, ZooError
from zoo_core.interfaces import Batch, Condition, Loss, Streams
from zoo_gan.model import GAN
from zoo_gan.objective import Adversarial, LeastSquares, Minimax, NonSaturating, Wasserstein, WassersteinGP

MLP = {"kind": "mlp", "width": 16, "depth": 2}
GAMES = [Minimax(), NonSaturating(), LeastSquares(), Wasserstein(n_critic=2, clip=1.0), WassersteinGP(n_critic=2)]
names = [type(game).__name__ for game in GAMES]


@pytest.fixture(autouse=True)
def initial_weights():
    """Layers draw their initial weights from the global generator: the same in every run, and put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def step(model: GAN, objective: Adversarial, batch: Batch, streams: Streams, optimisers: dict) -> Iterator[Loss]:
    """One turn of a training loop: each player descends its own loss, and no other weight moves."""
    for loss in objective.losses(model, batch, streams):
        optimisers[loss.player].zero_grad()
        loss.value.backward(inputs=list(model.players[loss.player].parameters()))
        optimisers[loss.player].step()
        yield loss


def optimisers_of(model: GAN, lr: float = 1e-3) -> dict:
    return {name: torch.optim.Adam(p.parameters(), lr, (0.5, 0.9)) for name, p in model.players.items()}


def batch_of(objective: Adversarial, size: int, shape: list[int], classes: int | None = None) -> tuple[Batch, Streams]:
    streams = Streams(0, "test", 0, size * objective.batches)
    x = streams.normal(*shape)
    return Batch(x, None if classes is None else Condition(label=streams.integers(classes))), streams


# Closed forms


def test_at_the_optimal_critic_the_value_is_the_jensen_shannon_divergence():
    """V = 2·JS − log 4 for N(0, 1) and N(1, 1), whose JS is integrated on a grid; expectations by 20,000 quantiles."""
    p, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(1.0, 1.0)
    grid = torch.linspace(-12, 13, 20_001, dtype=torch.float64)
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    integrand = 0.5 * log_p.exp() * (log_p - log_m) + 0.5 * log_q.exp() * (log_q - log_m)
    divergence = torch.trapezoid(integrand, grid)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    data, generated = (p.log_prob(x) - q.log_prob(x) for x in (p.icdf(u), q.icdf(u)))
    value = -Minimax().critic_loss(data, generated)
    assert value.item() == pytest.approx(2 * divergence.item() - math.log(4.0), abs=1e-4)


def test_where_nothing_can_be_told_apart():
    """At a = 0, D = ½: V = −log 4, and each game's values are known."""
    a = torch.zeros(4)
    assert Minimax().critic_loss(a, a).item() == pytest.approx(math.log(4.0))
    assert Minimax().generator_loss(a).item() == pytest.approx(-math.log(2.0))
    assert NonSaturating().generator_loss(a).item() == pytest.approx(math.log(2.0))
    assert LeastSquares().critic_loss(a, a).item() == pytest.approx(0.5)
    assert Wasserstein().critic_loss(a, a).item() == 0.0


def test_the_optimal_least_squares_critic_is_the_probability_of_data():
    """½E(a − 1)² + ½E a² over one point with masses p and q is least at a = p/(p + q)."""
    a = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    game = LeastSquares()
    p, q = 3, 1
    for _ in range(200):
        loss = p * game.critic_loss(a.expand(p), torch.zeros(1)) + q * game.critic_loss(torch.ones(1), a.expand(q))
        (slope,) = torch.autograd.grad(loss, a)
        a = (a - 0.1 * slope).detach().requires_grad_()
    assert a.item() == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("a", [-4.0, 0.0, 2.0])
def test_the_two_generator_gradients_differ_by_the_odds(a):
    """∂/∂a of log(1 − D) is −D and of −log D is −(1 − D): the non-saturating one is larger by (1 − D)/D = e^{−a}."""
    score = torch.tensor([a], requires_grad=True)
    (minimax,) = torch.autograd.grad(Minimax().generator_loss(score), score)
    (non_saturating,) = torch.autograd.grad(NonSaturating().generator_loss(score), score)
    assert minimax.item() == pytest.approx(-1 / (1 + math.exp(-a)))
    assert (non_saturating / minimax).item() == pytest.approx(math.exp(-a), rel=1e-5)


@pytest.mark.parametrize("scores", [1e4, -1e4])
def test_losses_of_extreme_scores_are_finite(scores):
    a = torch.full((2,), scores)
    for game in GAMES:
        assert torch.isfinite(game.critic_loss(a, -a))
        assert torch.isfinite(game.generator_loss(a))


class LinearCritic(nn.Module):
    """a(x) = w·x, over all that a pack holds."""

    def __init__(self, w: Tensor, pac: int = 1) -> None:
        super().__init__()
        self.w, self.pac = nn.Parameter(w), pac

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return x.reshape(len(x) // self.pac, -1) @ self.w


@pytest.mark.parametrize(("shape", "pac"), [((2,), 1), ((2,), 2), ((1, 4, 4), 1)])
def test_the_penalty_of_a_linear_critic(shape, pac):
    """λ·(‖w‖ − 1)² for every batch size: one norm per example (per pack), not per batch and not per pixel."""
    w = Streams(0, "w", 0, 1).normal(pac * math.prod(shape))[0]
    game = WassersteinGP(weight=10.0)
    for n in (2, 8, 64):
        streams = Streams(0, "test", 0, n)
        x, fake = streams.normal(*shape), streams.normal(*shape)
        penalty = game.penalty(LinearCritic(w, pac), x, fake, None, streams)
        assert penalty.item() == pytest.approx(10.0 * (w.norm().item() - 1.0) ** 2, rel=1e-5)


def test_the_penalty_is_taken_between_data_and_samples():
    """For a(x) = x²/2 the slope is x̂ itself; between 3 and 5 it is uniform there: E(x̂ − 1)² = 9⅓."""

    class Square(LinearCritic):
        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            return 0.5 * x.square().sum(1)

    n = 4000
    penalty = WassersteinGP(weight=1.0).penalty(
        Square(torch.ones(1)), torch.full((n, 1), 3.0), torch.full((n, 1), 5.0), None, Streams(0, "test", 0, n)
    )
    assert penalty.item() == pytest.approx(28 / 3, abs=4 * 3.6 / math.sqrt(n))  # 3.6: deviation of (x̂ − 1)²


def test_a_flat_critic_has_a_finite_gradient():
    critic = LinearCritic(torch.zeros(2))
    streams = Streams(0, "test", 0, 4)
    WassersteinGP().penalty(critic, streams.normal(2), streams.normal(2), None, streams).backward()
    assert torch.isfinite(critic.w.grad).all()


# Who learns from what


def snapshot(player: nn.Module) -> list[float]:
    return [v for p in player.parameters() for v in p.flatten().tolist()]


@pytest.mark.parametrize("objective", GAMES, ids=names)
def test_the_players_move_in_turn_and_alone(objective):
    model = GAN([2], 2, MLP, MLP, pac=2)
    batch, streams = batch_of(objective, 8, [2])
    at = {name: snapshot(player) for name, player in model.players.items()}
    order = []
    for loss in step(model, objective, batch, streams, optimisers_of(model)):
        other = "critic" if loss.player == "generator" else "generator"
        assert snapshot(model.players[loss.player]) != at[loss.player]
        assert snapshot(model.players[other]) == at[other]
        at[loss.player] = snapshot(model.players[loss.player])
        order.append(loss.player)
        assert torch.isfinite(loss.value)
        assert not any(term.requires_grad for term in loss.terms.values())
    assert order == ["critic"] * objective.batches + ["generator"]


@pytest.mark.parametrize("objective", GAMES, ids=names)
@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_every_parameter_of_every_player_gets_a_gradient(objective, network):
    """Labels among them.  The bias of a Wasserstein critic's head cancels: its gradient is zero, not missing."""
    generator, critic = MLP, MLP
    if network == "dcgan":
        generator = {"kind": "dcgan", "widths": [8, 4], "norm": "batch"}
        critic = {"kind": "dcgan", "widths": [4, 8]}
    model = GAN([1, 8, 8], 4, generator, critic, classes=3, pac=2)
    batch, streams = batch_of(objective, 16, [1, 8, 8], classes=3)
    for loss in objective.losses(model, batch, streams):
        player = model.players[loss.player]
        player.zero_grad()
        loss.value.backward(inputs=list(player.parameters()))
        for name, p in player.named_parameters():
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name
            cancels = name == "head.bias" and isinstance(objective, (Wasserstein, WassersteinGP))
            assert cancels or (p.grad != 0).any(), name


def test_clipping_follows_the_step():
    """Large steps take the weights out of [−c, c]; when the next loss is asked for they are back."""
    model, objective = GAN([2], 2, MLP, MLP), Wasserstein(n_critic=2, clip=0.05)
    batch, streams = batch_of(objective, 8, [2])
    optimisers = optimisers_of(model, lr=0.2)
    largest = lambda: max(p.abs().max().item() for p in model.critic.parameters())  # noqa: E731
    losses = objective.losses(model, batch, streams)
    for i in range(2):
        loss = next(losses)
        assert i == 0 or largest() <= 0.05 + 1e-8
        loss.value.backward(inputs=list(model.critic.parameters()))
        optimisers["critic"].step()
        assert largest() > 0.05
    assert next(losses).player == "generator"
    assert largest() <= 0.05 + 1e-8


def test_the_critic_steps_have_batches_of_their_own():
    """Five critic steps ask for five batches and see each example once."""
    objective, seen = Wasserstein(n_critic=5), []
    assert objective.batches == 5

    class Spy(LinearCritic):
        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            seen.append(x.detach())
            return super().forward(x)

    model = GAN([2], 2, MLP, MLP)
    model.critic = Spy(torch.ones(2))
    batch, streams = batch_of(objective, 4, [2])
    list(objective.losses(model, batch, streams))
    assert torch.equal(torch.cat(seen[:10:2]), batch.x)
    fakes = torch.cat([*seen[1:10:2], seen[10]])
    assert len(fakes.unique(dim=0)) == 24


def test_the_same_streams_give_the_same_losses_and_nothing_else_is_drawn():
    model, objective = GAN([2], 2, MLP, MLP), WassersteinGP(n_critic=2)
    state = torch.random.get_rng_state()

    def values() -> list[float]:
        batch, streams = batch_of(objective, 8, [2])
        return [loss.value.item() for loss in objective.losses(model, batch, streams)]

    assert values() == values()
    assert torch.equal(state, torch.random.get_rng_state())


# What is refused


def test_a_loss_that_is_not_finite_stops_before_the_step():
    model, objective = GAN([2], 2, MLP, MLP), NonSaturating()
    batch, streams = batch_of(objective, 4, [2])
    batch.x[0] = float("nan")
    with pytest.raises(ZooError, match="the critic's loss is nan"):
        next(objective.losses(model, batch, streams))


def test_a_batch_without_labels_or_of_half_packs_is_refused():
    objective = NonSaturating()
    batch, streams = batch_of(objective, 3, [2])
    with pytest.raises(ConditionError, match="needs a condition 'label'"):
        next(objective.losses(GAN([2], 2, MLP, MLP, classes=3), batch, streams))
    with pytest.raises(ValueError, match="3 samples cannot be split into packs of pac = 2"):
        next(objective.losses(GAN([2], 2, MLP, MLP, pac=2), batch, streams))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NonSaturating(n_critic=0), "n_critic = 0; expected at least 1 step"),
        (lambda: Wasserstein(clip=0.0), "clip = 0.0; expected a positive number"),
        (lambda: Wasserstein(clip=float("nan")), "clip = nan; expected a positive number"),
        (lambda: WassersteinGP(weight=-1.0), "weight = -1.0; expected at least 0"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# That it works


@pytest.mark.long
@pytest.mark.parametrize("objective", [NonSaturating(), WassersteinGP(n_critic=2, weight=1.0)])
def test_it_learns_a_gaussian(objective):
    """N(2, 0.5²) from N(0, 1) in 600 steps, by a packed critic and the moving average of the generator."""
    model = GAN([1], 1, {**MLP, "width": 32}, {**MLP, "width": 32}, pac=2)
    lr, size, steps, average = 1e-3, 64, 600, copy.deepcopy(model)
    optimisers = optimisers_of(model, lr)
    for i in range(steps):
        count = size * objective.batches
        x = 2.0 + 0.5 * Streams(0, f"data/{i}", 0, count).normal(1)
        for optimiser in optimisers.values():
            optimiser.param_groups[0]["lr"] = lr * (1 - i / steps)
        for _ in step(model, objective, Batch(x), Streams(0, f"train/{i}", 0, count), optimisers):
            pass
        with torch.no_grad():
            decay = min(0.98, (1 + i) / (10 + i))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    x = average.eval().draw(Streams(0, "sample", 0, 2000)).detach()
    assert x.mean().item() == pytest.approx(2.0, abs=0.25)
    assert x.std().item() == pytest.approx(0.5, abs=0.2)
