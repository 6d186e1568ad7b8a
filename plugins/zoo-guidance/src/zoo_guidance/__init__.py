"""Guidance, inpainting and editing for every model on a Gaussian path."""
