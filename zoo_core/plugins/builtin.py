"""What the core itself offers, registered the way a plugin does it."""

from __future__ import annotations

from zoo_core.plugins.catalogue import Catalogue

__all__ = ["zoo_register"]


DATASETS = {
    "mnist": ("images:mnist", "handwritten digits, 28×28, 60,000 and 10,000 (LeCun et al. 1998)"),
    "fashion-mnist": ("images:fashion_mnist", "clothes, 28×28, 60,000 and 10,000 (Xiao et al. 2017)"),
    "digits": ("images:digits", "handwritten digits, 8×8 in 17 levels, 1,437 and 360 (scikit-learn)"),
    "eight-gaussians": ("densities:eight_gaussians", "a ring of 8 modes, radius 2, σ = 0.02"),
    "25-grid": ("densities:grid_25", "5 × 5 modes, two apart, σ = 0.05"),
    "two-moons": ("densities:two_moons", "two half circles, σ = 0.05"),
    "swiss-roll": ("densities:swiss_roll", "a spiral strip, σ = 0.2"),
    "two-spirals": ("densities:two_spirals", "two spirals, σ = 0.1"),
    "checkerboard": ("densities:checkerboard", "8 squares of 4 × 4"),
    "pinwheel": ("densities:pinwheel", "five bent arms"),
    "two-gaussians-1d": ("densities:two_gaussians_1d", "0.3·N(−2, 0.5²) + 0.7·N(2, 0.7²)"),
}
"""The data sets of the core: name → (target, one line)."""


def zoo_register(catalogue: Catalogue) -> None:
    """Registers what needs a capability only: samplers and plots; and the data sets."""
    samplers = "zoo_core.samplers"
    catalogue.sampler("direct", f"{samplers}.direct:Direct", "draws in one go", needs=["DirectSampler"])
    for name, target, summary, adds_noise in (
        ("ancestral", "ancestral:Ancestral", "the reverse Markov chain (Ho et al. 2020)", True),
        ("ddim", "ddim:DDIM", "implicit, any steps, any η (Song et al. 2021)", False),
        ("euler", "runge_kutta:Euler", "Euler on the velocity, first order", False),
        ("heun", "runge_kutta:Heun", "Heun, second order (Karras et al. 2022)", False),
        ("midpoint", "runge_kutta:Midpoint", "the midpoint method, second order", False),
        ("rk4", "runge_kutta:RK", "classical Runge–Kutta, fourth order", False),
        ("ode", "adaptive:AdaptiveODE", "the probability-flow ODE by Dormand–Prince, as exactly as asked", False),
        ("dpm-solver", "dpm_solver:DPMSolver", "DPM-Solver++ 1–3M, or its SDE (Lu et al. 2022)", False),
        ("unipc", "unipc:UniPC", "predictor and corrector, orders 1–3 (Zhao et al. 2023)", False),
        ("consistency", "consistency:Consistency", "x̂ at once, or with fresh noise between (Song et al. 2023)", False),
    ):
        catalogue.sampler(
            name,
            f"{samplers}.{target}",
            summary,
            needs=["Denoiser"],
            requires=["!blind-at-start", *(["!coupled"] if adds_noise else [])],
        )
    for name, target, summary in (
        ("euler-maruyama", "euler_maruyama:EulerMaruyama", "Euler–Maruyama on the reverse SDE (Song et al. 2021)"),
        (
            "predictor-corrector",
            "langevin:PredictorCorrector",
            "steps of the reverse SDE with Langevin steps between them (Song et al. 2021)",
        ),
        ("annealed-langevin", "langevin:AnnealedLangevin", "one noise level after the other (Song & Ermon 2019)"),
    ):
        catalogue.sampler(name, f"{samplers}.{target}", summary, needs=["Denoiser"], requires=["!coupled"])
    catalogue.sampler(
        "gibbs", f"{samplers}.gibbs:Gibbs", "a Markov chain from the model's own start", needs=["EnergyBased"]
    )
    catalogue.sampler(
        "persistent-chains",
        f"{samplers}.gibbs:PersistentChains",
        "goes on with Markov chains that ship with the weights (Tieleman 2008)",
        needs=["EnergyBased"],
        requires=["chains"],
    )
    catalogue.objective(
        "nll",
        "zoo_core.training.likelihood:NegativeLogLikelihood",
        "maximum likelihood by gradients",
        needs=["Density"],
        requires=["exact|discrete", "!many-passes"],
    )
    plots = "zoo_core.plots"
    catalogue.plot(
        "samples", f"{plots}.denoising:samples", "64 images, or 2,000 points", requires=["sampled", "pictured"]
    )
    catalogue.plot(
        "trajectory",
        f"{plots}.denoising:trajectory",
        "from noise to samples, step by step",
        needs=["Denoiser"],
        requires=["sampled", "pictured"],
    )
    catalogue.plot(
        "noising", f"{plots}.denoising:noising", "histograms of the data on their way to noise", needs=["Denoiser"]
    )
    catalogue.plot(
        "score",
        f"{plots}.fields:score",
        "the score over the plane, at four times",
        needs=["Denoiser"],
        requires=["plane"],
    )
    catalogue.plot(
        "density", f"{plots}.fields:density", "the density over the plane", needs=["Density"], requires=["plane"]
    )
    catalogue.plot(
        "interpolation", f"{plots}.latent:interpolation", "what lies between latent codes", needs=["LatentVariable"]
    )
    catalogue.plot(
        "latent-grid",
        f"{plots}.latent:latent_grid",
        "images over two latent coordinates",
        needs=["LatentVariable"],
        requires=["image"],
    )
    catalogue.plot(
        "training", f"{plots}.history:training", "the loss terms of a run, from its folder", requires=["log"]
    )
    for name, (target, summary) in DATASETS.items():
        catalogue.dataset(name, f"zoo_core.datasets.{target}", summary)
