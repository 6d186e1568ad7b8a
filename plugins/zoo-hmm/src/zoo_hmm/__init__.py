"""Hidden Markov models over sequences of any length, for the zoo."""
