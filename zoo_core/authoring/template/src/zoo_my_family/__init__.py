"""my-family, for the zoo."""
