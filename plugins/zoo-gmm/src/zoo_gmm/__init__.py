"""Gaussian mixtures, fitted by EM, for the zoo."""
