"""Normalizing flows for the zoo."""
