"""What a model can show: figures drawn with Matplotlib, into files, without a display.

A plot is a function ``(model, figure, seed) -> None`` that draws into a :class:`matplotlib.figure.Figure`.  Those here
ask for a capability; a plugin registers its family's own with :meth:`zoo_core.plugins.catalogue.Catalogue.plot`.
"""
