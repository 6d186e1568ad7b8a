"""Plots of models: Matplotlib figures that are written to files, without a display.

A plot is a function ``(model, figure, seed) -> None`` that draws into a :class:`matplotlib.figure.Figure`.  These plots
need a capability; a plugin registers plots of its family with
:meth:`zoo_core.plugins.catalogue.Catalogue.plot`.
"""
