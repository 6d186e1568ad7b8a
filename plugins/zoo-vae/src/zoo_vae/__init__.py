"""Variational autoencoders for the zoo."""
