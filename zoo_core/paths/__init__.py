r"""Gaussian paths, on which DDPM, score SDEs, flow matching and consistency models are all defined.

A path takes data x to noise ε through

    x_t = α(t)·x + σ(t)·ε,        t = 0: data,   t = 1: noise,   ε ~ N(0, I),

and a network predicts from x_t in one of several parameterizations.  Each output is linear in (x, ε), so it converts to
a *prediction* (x̂, ε̂), the one form that samplers, guidance and likelihoods use:

| prediction | the network's output o  | x̂                        | ε̂                        |
|------------|-------------------------|--------------------------|--------------------------|
| noise      | ε                       | (x_t − σo)/α             | o                        |
| data       | x                       | o                        | (x_t − αo)/σ             |
| v          | αε − σx                 | (αx_t − σo)/(α²+σ²)      | (σx_t + αo)/(α²+σ²)      |
| velocity   | α′x + σ′ε               | (σo − σ′x_t)/(α′σ − σ′α) | (α′x_t − αo)/(α′σ − σ′α) |
| score      | ∇ log p_t(x_t) = −ε/σ   | (x_t + σ²o)/α            | −σo                      |

Published families differ in the sign and in the direction of time.  They are converted here, and nowhere else:

| family                        | its clock                 | here                          |
|-------------------------------|---------------------------|-------------------------------|
| DDPM, index k = 0 … T−1       | k                         | t = (k + 1)/T                 |
| score SDE                     | t from 0 (data) to 1      | t                             |
| flow matching                 | s from 0 (noise) to 1     | t = 1 − s, velocity negated   |
| EDM                           | σ̂ from 0 to σ_max         | σ̂ = σ(t)/α(t)                 |
"""

from __future__ import annotations

from zoo_core.paths.continuous import (
    CosinePath,
    LinearPath,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
)
from zoo_core.paths.discrete import DiscretePath
from zoo_core.paths.gaussian import GaussianPath, Spacing, broadcast
from zoo_core.paths.prediction import Prediction, PredictionType, from_prediction, to_prediction

__all__ = [
    "CosinePath",
    "DiscretePath",
    "GaussianPath",
    "LinearPath",
    "Prediction",
    "PredictionType",
    "Spacing",
    "SubVariancePreserving",
    "VarianceExploding",
    "VariancePreserving",
    "broadcast",
    "from_prediction",
    "to_prediction",
]
