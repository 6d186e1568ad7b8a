"""Metrics for generative models."""
