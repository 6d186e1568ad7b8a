"""What the core itself offers, registered the way a plugin does it."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue

__all__ = ["zoo_register"]


def zoo_register(catalogue: Catalogue) -> None:
    """Registers what needs a capability only: samplers and plots; and the data sets."""
    from zoo_core.datasets import BUILTIN

    samplers = "zoo_core.samplers"
    catalogue.sampler("direct", f"{samplers}.direct:Direct", "draws in one go", needs=["DirectSampler"])
    catalogue.sampler(
        "ancestral",
        f"{samplers}.ancestral:Ancestral",
        "the reverse Markov chain (Ho et al. 2020)",
        needs=["Denoiser"],
        adds_noise=True,
    )
    catalogue.sampler(
        "ddim", f"{samplers}.ddim:DDIM", "implicit, any steps, any η (Song et al. 2021)", needs=["Denoiser"]
    )
    for name, target, summary, adds_noise in (
        ("euler", "runge_kutta:Euler", "Euler on the velocity, first order", False),
        ("heun", "runge_kutta:Heun", "Heun, second order (Karras et al. 2022)", False),
        ("midpoint", "runge_kutta:Midpoint", "the midpoint method, second order", False),
        ("rk4", "runge_kutta:RK", "classical Runge–Kutta, fourth order", False),
        ("ode", "adaptive:AdaptiveODE", "the probability-flow ODE by Dormand–Prince, as exactly as asked", False),
        ("dpm-solver", "dpm_solver:DPMSolver", "DPM-Solver++ 1–3M, or its SDE (Lu et al. 2022)", False),
        ("unipc", "unipc:UniPC", "predictor and corrector, orders 1–3 (Zhao et al. 2023)", False),
        ("euler-maruyama", "euler_maruyama:EulerMaruyama", "the reverse SDE (Song et al. 2021)", True),
        ("predictor-corrector", "langevin:PredictorCorrector", "reverse SDE, Langevin steps (Song et al. 2021)", True),
        ("annealed-langevin", "langevin:AnnealedLangevin", "one noise level after the other (Song & Ermon 2019)", True),
        ("consistency", "consistency:Consistency", "x̂ at once, or with fresh noise between (Song et al. 2023)", False),
    ):
        catalogue.sampler(name, f"{samplers}.{target}", summary, needs=["Denoiser"], adds_noise=adds_noise)
    plots = "zoo_core.plots"
    denoiser, latent = ["Denoiser"], ["LatentVariable"]
    catalogue.plot("samples", f"{plots}.denoising:samples", "64 images, or 2,000 points")
    catalogue.plot("trajectory", f"{plots}.denoising:trajectory", "from noise to samples, step by step", needs=denoiser)
    catalogue.plot(
        "noising", f"{plots}.denoising:noising", "histograms of the data on their way to noise", needs=denoiser
    )
    catalogue.plot("score", f"{plots}.fields:score", "the score over the plane, at four times", needs=denoiser)
    catalogue.plot("density", f"{plots}.fields:density", "the density over the plane", needs=["Density"])
    catalogue.plot("interpolation", f"{plots}.latent:interpolation", "what lies between latent codes", needs=latent)
    catalogue.plot("latent-grid", f"{plots}.latent:latent_grid", "images over two latent coordinates", needs=latent)
    catalogue.plot("training", f"{plots}.history:training", "the loss terms of a run, from its folder")
    for name, (target, summary) in BUILTIN.items():
        catalogue.dataset(name, target, summary)
