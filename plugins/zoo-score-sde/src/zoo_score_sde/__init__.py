"""Score-based models: SDEs, noise levels, score matching and Langevin dynamics."""
