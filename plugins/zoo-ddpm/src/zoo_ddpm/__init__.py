"""Denoising diffusion probabilistic models for the zoo."""
