r"""The straightness of a flow's trajectories (Liu et al. 2023, eq. 3).

    S = ∫_0^1 E ‖(x_1 − x_0) − u(x_t, t)‖² dt

over trajectories x_t of the ODE from noise x_1 ~ N(0, I) to x_0, divided here by E ‖x_1 − x_0‖².  At S = 0 all
trajectories are straight, and one step of Euler's method is exact.
"""

from __future__ import annotations

import torch

from zoo_core.interfaces import Condition, Denoiser, Model, Streams

__all__ = ["straightness"]


def straightness(model: Model, streams: Streams, *, steps: int = 50, condition: Condition | None = None) -> float:
    """Estimates S, relative to the squared distance, by Euler's method in t, with one trajectory per stream.

    Args:
        model: model on a path.
        streams: random streams, one per trajectory.
        steps: number of Euler steps, at which the integral is evaluated too.
        condition: condition of the samples, one row per trajectory.

    Raises:
        TypeError: the model is no path model.
    """
    if not isinstance(model, Denoiser):
        raise TypeError(f"{type(model).__name__} is no model on a Gaussian path; expected a Denoiser")
    path, shape = model.path, model.space.sizes
    with torch.no_grad():
        x = first = path.sigma(path.t_max) * streams.normal(*shape)
        velocities = []
        for i in range(steps):
            t = path.t_max * (1.0 - i / steps)
            said = model.predict(x, t, condition=condition)
            velocities.append(path.alpha_dot(t) * said.data + path.sigma_dot(t) * said.noise)
            x = x - path.t_max / steps * velocities[-1]
        way = (first - x) / path.t_max
        gap = torch.stack([(way - u).flatten(1).square().sum(1) for u in velocities]).double().mean()
        return (gap / way.flatten(1).double().square().sum(1).mean()).item()
