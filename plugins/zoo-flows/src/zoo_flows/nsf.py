r"""Neural spline flows over vectors (Durkan et al. 2019): rational-quadratic splines in coupling or masked
autoregressive layers, with LU layers between them (Durkan et al. 2019, §5.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo_flows.actnorm import ActNorm
from zoo_flows.autoregressive import MaskedAutoregressive
from zoo_flows.coupling import Coupling, Turns
from zoo_flows.flow import Base, Flow, check_layers
from zoo_flows.linear import LULinear
from zoo_flows.networks import MLPConditioner
from zoo_flows.spline import RationalQuadratic
from zoo_flows.transform import Transform

__all__ = ["NSF"]


class NSF(Flow):
    """A rational-quadratic neural spline flow: RQ-NSF (C), or RQ-NSF (AR) with ``autoregressive``.

    Args:
        shape: shape of one sample, ``[dimensions]``, at least 2 for coupling layers; images go through the logit and
            are flattened.
        layers: number of spline layers, at least 1.
        hidden: units of each network's hidden layers.
        bins: number of bins of a spline.
        bound: bound of the splines, which are the identity outside ±bound.
        autoregressive: whether layers are masked autoregressive, and not coupling layers.
        linear: whether an LU layer precedes every layer but the first; it starts from a rotation where layers are
            autoregressive.
        classes, context, base, alpha: options of every flow; see :class:`~zoo_flows.flow.Flow`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        layers: int = 4,
        hidden: Sequence[int] = (64, 64),
        bins: int = 8,
        bound: float = 5.0,
        autoregressive: bool = False,
        linear: bool = True,
        classes: int | None = None,
        context: int = 16,
        base: Base = "normal",
        alpha: float = 1e-4,
    ) -> None:
        super().__init__(shape, classes=classes, context=context, base=base, alpha=alpha)
        check_layers(layers)
        d, width = self.dimensions, self.context_width
        if d < 2 and not autoregressive:
            raise ValueError(f"shape = {list(shape)}; coupling layers need 2 dimensions: set autoregressive = true")
        spline = RationalQuadratic(bins, bound)
        steps: list[Transform] = [*self.flat_before(), ActNorm(d)]
        couplings: list[Coupling] = []
        for index in range(layers):
            if index > 0 and linear:
                steps.append(LULinear(d, identity=not autoregressive, index=index))
            if autoregressive:
                steps.append(MaskedAutoregressive(d, spline, hidden, width))
                continue
            passing = d // 2 if index % 2 == 0 else d - d // 2
            network = MLPConditioner(passing, spline.parameters * (d - passing), hidden, width)
            couplings.append(Coupling(d, passing, network, spline, swap=index % 2 == 1))
            if linear:
                steps.append(couplings[-1])
        if couplings and not linear:
            steps.append(Turns(couplings))
        self.assemble(steps)
