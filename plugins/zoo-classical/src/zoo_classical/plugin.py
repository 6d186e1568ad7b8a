"""Registers what zoo-classical offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

FAMILIES = {
    "categorical": ("tables:Categorical", "a table of probabilities, over one column of categories or several"),
    "binomial": ("counts:Binomial", "successes in a fixed number of trials; Bernoulli where it is one"),
    "multinomial": ("counts:Multinomial", "how many of a fixed number of trials had each of several outcomes"),
    "poisson": ("counts:Poisson", "counts of events that happen at a constant rate"),
    "exponential": ("exponential:Exponential", "waiting times between events that happen at a constant rate"),
    "normal": ("normal:Normal", "normal distributions in any number of dimensions, with full covariance"),
}
REGRESSIONS = {
    "linear-regression": ("linear:LinearRegression", "normal outcomes whose mean is linear in the inputs"),
    "logistic-regression": ("logistic:LogisticRegression", "classes whose log-odds are linear in the inputs"),
}
DATA = {
    "die": ("die", "ten throws of a loaded die; test: simulated throws of the same frequencies"),
    "two-bits": ("two_bits", "ten observations of two bits; test: simulated from the same frequencies"),
    "coin": ("coin", "one series of ten throws with seven heads; test: simulated series with p = 0.7"),
    "heights-weights": ("heights_weights", "height and weight of twelve people; test: simulated from their moments"),
    "coin-throws": ("coin_throws", "simulated throws of a coin with p = 0.7"),
    "customers": ("customers", "simulated customers per hour, Poisson with a mean of 3.5"),
    "waiting-times": ("waiting_times", "simulated minutes between customers, exponential with a mean of 2"),
    "three-classes": ("three_classes", "simulated counts of three classes in ten draws, p = 0.5, 0.3, 0.2"),
    "normal-5-2": ("normal_5_2", "simulated measurements, normal with mean 5 and standard deviation 2"),
    "line": ("line", "simulated points around y = 2x + 1, with noise of standard deviation 0.5"),
    "two-groups": ("two_groups", "simulated classes with log-odds 2a − b + 0.5 of two inputs"),
}


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, their objective, data sets and plots."""
    for name, (target, summary) in {**FAMILIES, **REGRESSIONS}.items():
        catalogue.family(name, f"zoo_classical.{target}", summary, capabilities=["Density", "DirectSampler"])
    catalogue.objective(
        "closed-form",
        "zoo_classical.objective:ClosedForm",
        "maximum likelihood from sums over the data, or the mode of the posterior under a conjugate prior",
        families=[*FAMILIES, *REGRESSIONS],
    )
    for name, (target, summary) in DATA.items():
        catalogue.dataset(name, f"zoo_classical.data:{target}", summary)
    catalogue.plot(
        "likelihood",
        "zoo_classical.plots:likelihood",
        "the log-likelihood along each parameter, with its maximum and 95 % confidence intervals",
        families=[*FAMILIES],
    )
    catalogue.plot(
        "kl",
        "zoo_classical.plots:kl",
        "forward and reverse KL divergence from the fitted distribution, along each parameter",
        families=[*FAMILIES],
    )
