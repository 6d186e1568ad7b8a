"""Training: one loop for gradients, one for statistics; the same recipe, the same numbers, whenever and wherever."""

from zoo_core.training.run import Options, train

__all__ = ["Options", "train"]
