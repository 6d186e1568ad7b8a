"""Consistency models for the zoo."""
