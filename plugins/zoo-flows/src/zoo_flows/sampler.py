r"""Sampling at a temperature: codes T·z with z ~ p(z) (Kingma & Dhariwal 2018, §6).

For an additive flow, whose Jacobian is constant, T < 1 samples p(x)^{1/T²} up to a constant; for other flows it is a
heuristic.  T = 1 samples the model itself; T = 0 decodes the mode of p(z).
"""

from __future__ import annotations

from torch import Tensor

from zoo_core.interfaces import Call, LatentVariable, Sampler
from zoo_flows.flow import Flow

__all__ = ["Tempered"]


class Tempered(Sampler[Flow]):
    """Decodes codes drawn at a temperature.

    Args:
        temperature: temperature T, at least 0.

    Raises:
        ValueError: the temperature is negative.
    """

    name = "tempered"
    needs = (LatentVariable,)

    def __init__(self, temperature: float = 0.7) -> None:
        if isinstance(temperature, bool) or not temperature >= 0:
            raise ValueError(f"temperature = {temperature}; expected a number of at least 0")
        self.temperature = float(temperature)

    def fits(self, model: Flow) -> str | None:
        return None if isinstance(model, Flow) else f"needs a normalizing flow, which {type(model).__name__} is not"

    def draw(self, model: Flow, call: Call) -> Tensor:
        z = model.draw_latent(call.streams, self.temperature)
        return model.decode(z, condition=model.with_label(call.condition, call.streams))
