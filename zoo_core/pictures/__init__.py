"""Pictures and films of samples of every kind.  Pillow only: no display, no plotting library."""

from zoo_core.pictures.film import Recorder, check_trajectory, film, save_trajectory, strip
from zoo_core.pictures.images import grid
from zoo_core.pictures.kinds import render, shown
from zoo_core.pictures.points import histogram, pairs, scatter
from zoo_core.pictures.series import lines, raster, waveforms

__all__ = [
    "Recorder",
    "check_trajectory",
    "film",
    "grid",
    "histogram",
    "lines",
    "pairs",
    "raster",
    "render",
    "save_trajectory",
    "scatter",
    "shown",
    "strip",
    "waveforms",
]
