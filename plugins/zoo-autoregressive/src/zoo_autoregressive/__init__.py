"""Autoregressive models: masked autoencoders of black and white images (MADE), and tables in any order of columns."""
