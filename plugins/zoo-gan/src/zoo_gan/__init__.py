"""Generative adversarial networks for the zoo."""
