"""What zoo-metrics offers."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue
from zoo_core.hookspecs import hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the likelihood metrics."""
    where = "zoo_metrics.likelihood"
    catalogue.metric("nll", f"{where}:NegativeLogLikelihood", "−E log p of held-out data, in nats", needs=["Density"])
    catalogue.metric("bits-per-dim", f"{where}:BitsPerDimension", "the same, in bits per dimension", needs=["Density"])
