"""Samplers that ask for a capability, not for a family."""
