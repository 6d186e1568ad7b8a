"""Pipelines in diffusers' layout, loaded into the zoo."""
