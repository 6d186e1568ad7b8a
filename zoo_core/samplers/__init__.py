"""Samplers that work with every model that has the capability they need."""
