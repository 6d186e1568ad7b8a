"""Flow matching, couplings of noise and data, rectified flow, and continuous normalizing flows."""
