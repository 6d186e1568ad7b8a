"""Registers the core's own samplers, plots and data sets, in the way that a plugin does."""

from __future__ import annotations

from zoo_core.plugins.catalogue import Catalogue

__all__ = ["zoo_register"]


DATASETS = {
    "mnist": ("images:mnist", "handwritten digits, 28×28; 60,000 training and 10,000 test images (LeCun et al. 1998)"),
    "fashion-mnist": (
        "images:fashion_mnist",
        "clothes, 28×28; 60,000 training and 10,000 test images (Xiao et al. 2017)",
    ),
    "digits": (
        "images:digits",
        "handwritten digits, 8×8, 17 grey levels; 1,437 training and 360 test images (scikit-learn)",
    ),
    "eight-gaussians": ("densities:eight_gaussians", "8 Gaussians on a circle of radius 2, σ = 0.02"),
    "25-grid": ("densities:grid_25", "25 Gaussians on a 5 × 5 grid with spacing 2, σ = 0.05"),
    "two-moons": ("densities:two_moons", "two interleaved half circles with Gaussian noise, σ = 0.05"),
    "swiss-roll": ("densities:swiss_roll", "a spiral in the plane with Gaussian noise, σ = 0.2"),
    "two-spirals": ("densities:two_spirals", "two interleaved spirals with Gaussian noise, σ = 0.1"),
    "checkerboard": ("densities:checkerboard", "uniform on 8 alternate squares of a 4 × 4 board"),
    "pinwheel": ("densities:pinwheel", "five curved arms around the origin"),
    "two-gaussians-1d": (
        "densities:two_gaussians_1d",
        "a mixture of two Gaussians on the line, 0.3·N(−2, 0.5²) + 0.7·N(2, 0.7²)",
    ),
}
"""The core's data sets: name → (target, summary)."""


def zoo_register(catalogue: Catalogue) -> None:
    """Registers the samplers and plots that need only a capability, and the core's data sets."""
    samplers = "zoo_core.samplers"
    catalogue.sampler(
        "direct", f"{samplers}.direct:Direct", "the model's own sampling, in a single call", needs=["DirectSampler"]
    )
    for name, target, summary, adds_noise in (
        (
            "ancestral",
            "ancestral:Ancestral",
            "ancestral sampling along the reverse Markov chain (Ho et al. 2020)",
            True,
        ),
        ("ddim", "ddim:DDIM", "denoising diffusion implicit models, any η in [0, 1] (Song, Meng & Ermon 2021)", False),
        ("euler", "runge_kutta:Euler", "Euler's method on the probability-flow ODE, first order", False),
        (
            "heun",
            "runge_kutta:Heun",
            "Heun's method on the probability-flow ODE, second order (Karras et al. 2022)",
            False,
        ),
        ("midpoint", "runge_kutta:Midpoint", "the midpoint method on the probability-flow ODE, second order", False),
        ("rk4", "runge_kutta:RK", "the classical Runge–Kutta method on the probability-flow ODE, fourth order", False),
        (
            "ode",
            "adaptive:AdaptiveODE",
            "adaptive Dormand–Prince on the probability-flow ODE, to a given tolerance",
            False,
        ),
        (
            "dpm-solver",
            "dpm_solver:DPMSolver",
            "multistep DPM-Solver++, orders 1–3, on the ODE or the reverse SDE (Lu et al. 2022)",
            False,
        ),
        (
            "unipc",
            "unipc:UniPC",
            "unified predictor–corrector on the probability-flow ODE, orders 1–3 (Zhao et al. 2023)",
            False,
        ),
        (
            "consistency",
            "consistency:Consistency",
            "one-step or multistep consistency sampling (Song et al. 2023)",
            False,
        ),
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
            "reverse-SDE steps, each followed by Langevin corrector steps (Song et al. 2021)",
        ),
        (
            "annealed-langevin",
            "langevin:AnnealedLangevin",
            "Langevin dynamics over decreasing noise levels (Song & Ermon 2019)",
        ),
    ):
        catalogue.sampler(name, f"{samplers}.{target}", summary, needs=["Denoiser"], requires=["!coupled"])
    catalogue.sampler(
        "gibbs",
        f"{samplers}.gibbs:Gibbs",
        "Gibbs sampling, started from the model's initial distribution",
        needs=["EnergyBased"],
    )
    catalogue.sampler(
        "persistent-chains",
        f"{samplers}.gibbs:PersistentChains",
        "Gibbs sampling, continued from Markov chains stored with the weights (Tieleman 2008)",
        needs=["EnergyBased"],
        requires=["chains"],
    )
    catalogue.objective(
        "nll",
        "zoo_core.training.likelihood:NegativeLogLikelihood",
        "maximum likelihood by gradient descent on −log p(x)",
        needs=["Density"],
        requires=["exact|discrete", "!many-passes"],
    )
    plots = "zoo_core.plots"
    catalogue.plot(
        "samples",
        f"{plots}.denoising:samples",
        "samples of the model: a scatter plot of 2,000 points, a grid of 64 images",
        requires=["sampled", "pictured"],
    )
    catalogue.plot(
        "trajectory",
        f"{plots}.denoising:trajectory",
        "eight intermediate states x_t of the sampler, and the predictions x̂ at them",
        needs=["Denoiser"],
        requires=["sampled", "pictured"],
    )
    catalogue.plot(
        "noising",
        f"{plots}.denoising:noising",
        "histograms of the training data at five noise levels of the path",
        needs=["Denoiser"],
    )
    catalogue.plot(
        "score",
        f"{plots}.fields:score",
        "the score ∇ log p_t(x) of a two-dimensional model at four times",
        needs=["Denoiser"],
        requires=["plane"],
    )
    catalogue.plot(
        "density",
        f"{plots}.fields:density",
        "the density p(x) of a two-dimensional model",
        needs=["Density"],
        requires=["plane"],
    )
    catalogue.plot(
        "interpolation",
        f"{plots}.latent:interpolation",
        "samples decoded along great circles between pairs of latent codes",
        needs=["LatentVariable"],
    )
    catalogue.plot(
        "latent-grid",
        f"{plots}.latent:latent_grid",
        "images decoded over a grid of the first two latent coordinates",
        needs=["LatentVariable"],
        requires=["image"],
    )
    catalogue.plot(
        "training",
        f"{plots}.history:training",
        "loss curves of a training run, read from the log in its folder",
        requires=["log"],
    )
    for name, (target, summary) in DATASETS.items():
        catalogue.dataset(name, f"zoo_core.datasets.{target}", summary)
