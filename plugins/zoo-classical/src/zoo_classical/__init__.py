"""Classical distributions and regressions, fitted by maximum likelihood, for the zoo."""
