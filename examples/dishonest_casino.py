r"""The occasionally dishonest casino (Durbin, Eddy, Krogh & Mitchison 1998, §3.2): which die is on the table?

A fair die is changed for a loaded one, which shows six half of the time, with probability 0.05 after a throw, and back
with probability 0.1.  Only the throws are seen.  `hmm-casino` learnt both dice and both changes from throws alone, by
Baum–Welch.  For 300 new throws, of which we know the die,

1.  p(loaded | all throws), by forward and backward recursions, is about as right as it says it is;
2.  the most probable path of dice (Viterbi) is one of them, so that its probability is below that of the throws, and it
    has fewer changes than there were: a short visit of the loaded die is not worth two of them.

    python examples/dishonest_casino.py [FOLDER]
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

import zoo_core
from zoo_core.interfaces import Ragged, Streams
from zoo_hmm.model import HiddenMarkov

THROWS, GAMES = 300, 200


def games() -> tuple[Tensor, Tensor]:
    """Throws the dice: whether the loaded one is on the table, and the number of pips less one, ``(games, throws)``."""
    streams = Streams(0, "the dishonest casino", 0, GAMES, dtype=torch.float64)
    change = torch.tensor([0.05, 0.1], dtype=torch.float64)
    dice = torch.tensor([[1 / 6] * 6, [0.1] * 5 + [0.5]], dtype=torch.float64)
    die, dice_seen, throws = torch.zeros(GAMES, dtype=torch.int64), [], []
    for _ in range(THROWS):
        dice_seen.append(die)
        throws.append(streams.categorical(dice[die]))
        die = torch.where(streams.uniform(1).squeeze(1).double() < change[die], 1 - die, die)
    return torch.stack(dice_seen, 1), torch.stack(throws, 1)


def main(folder: Path) -> None:
    """Draws the posterior and the path of one game, and how often the posterior is right over all."""
    model = cast(HiddenMarkov, zoo_core.load("hmm-casino"))
    table = cast(Tensor, model.emissions.probabilities)[0]
    loaded = int(table[:, 5].argmax())
    moves = model.transitions[0]
    leaves = [moves[1 - loaded, loaded].item(), moves[loaded, 1 - loaded].item()]
    print(f"P(six) of the two dice: {table[1 - loaded, 5]:.3f}, {table[loaded, 5]:.3f}")
    print(f"P(change) after a throw of them: {leaves[0]:.3f}, {leaves[1]:.3f}")
    assert abs(table[1 - loaded, 5] - 1 / 6) < 0.02
    assert abs(table[loaded, 5] - 0.5) < 0.02
    assert abs(leaves[0] - 0.05) < 0.01
    assert abs(leaves[1] - 0.1) < 0.02

    truth, throws = games()
    x = Ragged(throws, torch.full((GAMES,), THROWS))
    posterior = model.posterior(x).data[:, :, loaded]
    states, score = model.viterbi(x)
    path = states.data == loaded
    assert bool((score < model.log_prob(x)).all())
    right = [(guess == (truth == 1)).double().mean().item() for guess in (posterior > 0.5, path)]
    print(f"the die is right in {right[0]:.1%} of throws by the posterior, in {right[1]:.1%} by the path")
    # No guess is right more often than one by the posterior; the path is one.
    assert right[0] > right[1] > 0.75
    changes = [(guess[:, 1:] != guess[:, :-1]).sum().item() / GAMES for guess in (truth, path)]
    print(f"changes of the die in a game: {changes[0]:.1f}, and {changes[1]:.1f} in the path")
    assert changes[1] < changes[0]

    edges = torch.linspace(0, 1, 11, dtype=torch.float64)
    said, found = [], []
    for low, high in pairwise(edges):
        inside = (posterior >= low) & (posterior < high)
        said.append(posterior[inside].mean().item())
        found.append((truth[inside] == 1).double().mean().item())
    gap = max(abs(a - b) for a, b in zip(said, found, strict=True))
    print(f"of throws with a posterior of p, a share of p were of the loaded die, to {gap:.3f}")
    assert gap < 0.08

    figure = Figure((13, 3.4), layout="constrained")
    left, right_axes = figure.subplots(1, 2, width_ratios=(3, 1))
    game, time = 0, torch.arange(THROWS)
    left.fill_between(time.numpy(), 0, truth[game].numpy(), step="mid", alpha=0.25, color="grey", label="loaded die")
    left.plot(time.numpy(), posterior[game].numpy(), label="p(loaded | all throws)")
    left.step(time.numpy(), path[game].numpy() * 0.04 - 0.1, where="mid", color="black", label="most probable path")
    sixes = (throws[game] == 5).nonzero().squeeze(1)
    left.plot(sixes.numpy(), torch.full(sixes.shape, 1.06).numpy(), "|", color="tab:red", label="a six")
    left.set_xlabel("throw")
    left.set_ylim(-0.15, 1.4)
    left.set_yticks([0.0, 0.5, 1.0])
    left.legend(fontsize=8, ncols=4, loc="upper center")
    right_axes.plot([0, 1], [0, 1], "--", color="black", linewidth=0.8)
    right_axes.plot(said, found, "o-")
    right_axes.set_xlabel("p(loaded | all throws)")
    right_axes.set_title("share of the loaded die among such throws", fontsize=9)
    figure.savefig(folder / "dishonest-casino.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
