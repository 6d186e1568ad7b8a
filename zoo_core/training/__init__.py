"""Training by recipes: one loop for gradients, one for statistics, both reproducible and resumable."""

from zoo_core.training.run import Options, train

__all__ = ["Options", "train"]
