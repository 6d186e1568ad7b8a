r"""The Kullback–Leibler divergence: it has two directions, and maximum likelihood minimises one of them.

1.  KL(N(0, 1) ‖ N(2, 1.5²)) = 1.0166 nats, and 2.2195 the other way round.
2.  A single Gaussian for two modes: the one with the least KL(p‖q) covers both, since q must be everywhere where p is;
    the one with the least KL(q‖p) chooses a mode, since q may be nowhere where p is not.
3.  −(1/n) Σ log p_θ(xᵢ) and KL(empirical ‖ p_θ) differ by the entropy of the data, which θ does not change, so that
    both are least for the same θ: here for the loaded die, whose divergence is 0 at its relative frequencies.

    python examples/kl_divergence.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

import zoo_core
from zoo_classical.normal import Normal

GRID = torch.linspace(-9, 9, 3601, dtype=torch.float64)
STEP = (GRID[1] - GRID[0]).item()


def normal(mean: float, deviation: float) -> Normal:
    """Makes a normal distribution on the line."""
    model = Normal([1])
    model.location.fill_(mean)
    model.scale.fill_(deviation)
    return model


def main(folder: Path) -> None:
    """Draws the three figures, and asserts their numbers."""
    figure = Figure((13, 3.4), layout="constrained")
    one, two, three = figure.subplots(1, 3)

    p, q = normal(0.0, 1.0), normal(2.0, 1.5)
    forward, backward = p.kl(q), q.kl(p)
    log_p, log_q = p.log_prob(GRID[:, None]), q.log_prob(GRID[:, None])
    part = log_p.exp() * (log_p - log_q)
    assert abs(forward - 1.016576) < 1e-6
    assert abs(backward - 2.219535) < 1e-6
    assert abs(part.sum().item() * STEP - forward) < 1e-6
    print(f"KL(p‖q) = {forward:.4f}, KL(q‖p) = {backward:.4f} nats")
    for label, values in (("p", log_p.exp()), ("q", log_q.exp()), ("p log(p/q)", part)):
        one.plot(GRID.numpy(), values.numpy(), label=label)
    one.set_xlim(-4, 6)
    one.set_title(f"KL(p‖q) = {forward:.4f}, KL(q‖p) = {backward:.4f}", fontsize=9)

    modes = torch.stack([normal(-2.0, 0.7).log_prob(GRID[:, None]), normal(2.0, 0.7).log_prob(GRID[:, None])])
    log_m = torch.logsumexp(modes + torch.tensor([[0.6], [0.4]], dtype=torch.float64).log(), 0)
    best: dict[str, tuple[float, float, float]] = {}
    for mean in torch.linspace(-3, 3, 61).tolist():
        for deviation in torch.linspace(0.4, 3, 53).tolist():
            log_q = normal(mean, deviation).log_prob(GRID[:, None])
            gap = log_m - log_q
            for name, value in (("KL(p‖q)", log_m.exp() @ gap), ("KL(q‖p)", -(log_q.exp() @ gap))):
                best[name] = min(best.get(name, (9.0, 0.0, 0.0)), (value.item() * STEP, mean, deviation))
    (_, mean, deviation), (_, chosen, narrow) = best["KL(p‖q)"], best["KL(q‖p)"]
    # The forward minimum has the moments of p: mean −0.4 and variance 0.7² + 4·0.96.
    assert abs(mean + 0.4) < 0.06
    assert abs(deviation - (0.49 + 3.84) ** 0.5) < 0.06
    assert abs(chosen + 2.0) < 0.11
    assert abs(narrow - 0.7) < 0.11
    print(f"least KL(p‖q): N({mean:.2f}, {deviation:.2f}²); least KL(q‖p): N({chosen:.2f}, {narrow:.2f}²)")
    two.plot(GRID.numpy(), log_m.exp().numpy(), color="black", label="p")
    for name, (_, m, s) in best.items():
        two.plot(GRID.numpy(), normal(m, s).log_prob(GRID[:, None]).exp().numpy(), label=f"least {name}")
    two.set_xlim(-6, 6)

    die = zoo_core.load("die-loaded")
    share = torch.linspace(0.02, 0.9, 89, dtype=torch.float64)
    others = [die.at("p(face=5)", value) for value in share.tolist()]
    kl = torch.tensor([die.kl(other) for other in others])
    loss = torch.tensor([-other.log_likelihood() / 10 for other in others])
    assert torch.allclose(loss - kl, torch.tensor(die.entropy()).to(loss), atol=1e-6)
    assert abs(share[kl.argmin()].item() - 0.3) < 1e-9
    print(f"the die: −log-likelihood per throw − KL = {die.entropy():.4f} nats, the entropy, for every p(5)")
    three.plot(share.numpy(), loss.numpy(), label="−log-likelihood per throw")
    three.plot(share.numpy(), kl.numpy(), label="KL(throws ‖ model)")
    three.axvline(0.3, color="black", linewidth=0.6)
    three.set_xlabel("p(5) of the die")
    for axes in (one, two, three):
        axes.legend(fontsize=8)
    figure.savefig(folder / "kl-divergence.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
