"""One picture for samples of each kind."""

from __future__ import annotations

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.files.formats import has_picture, is_one_picture
from zoo_core.interfaces import Ragged, SampleSpace, Values
from zoo_core.pictures.canvas import Picture, reach
from zoo_core.pictures.images import GAP_LEVEL, grid, tiles
from zoo_core.pictures.points import histogram, pairs, scatter
from zoo_core.pictures.series import lines, raster, waveforms

__all__ = ["render", "shown"]

_MOST = {"tokens": 64, "sequence": 16, "audio": 16}
"""Greatest number of samples that a picture shows, by kind."""

_COORDINATES = 5
"""Greatest number of coordinates that a picture of points or of a table shows."""


def shown(space: SampleSpace, count: int) -> int:
    """Says how many of ``count`` samples a picture shows: the first ones."""
    return min(count, _MOST.get(space.kind, count))


def render(samples: Values, space: SampleSpace) -> Picture:
    """Draws samples: images in a grid, points as dots, more dimensions in pairs, tokens, sequences, recordings in rows.

    Args:
        samples: samples on the user's side, ``(n, *space.shape)``, n at least 1.
        space: sample space of the samples.

    Raises:
        IncompatibleError: a table without a column of numbers.
    """
    if space.kind == "image":
        images = samples.padded_with(GAP_LEVEL).data if isinstance(samples, Ragged) else samples
        return grid(images) if is_one_picture(space) else tiles(images)
    if space.kind in _MOST:
        axis = (space.open_axis or 1) - 1
        rows = list(samples[: shown(space, len(samples))])
        if space.kind == "tokens":
            return raster([row.flatten() for row in rows])
        if space.kind == "sequence":
            return lines([row.movedim(axis, 0)[..., None].flatten(1) for row in rows])
        return waveforms([row.float() for row in rows], _loudness(rows, space))
    assert isinstance(samples, Tensor)
    if not has_picture(space):
        raise IncompatibleError(f"there is no picture of {space.words()}: no column is of numbers; use .csv")
    if space.kind == "table":
        which = [i for i, column in enumerate(space.columns) if column.type != "category"][:_COORDINATES]
        return pairs(samples[:, which], [space.columns[i].name for i in which])
    x = samples.flatten(1)
    if x.shape[1] <= 2:
        return histogram(x) if x.shape[1] == 1 else scatter(x)
    x = x[:, :_COORDINATES]
    return pairs(x, [f"x{i}" for i in range(x.shape[1])])


def _loudness(rows: list[Tensor], space: SampleSpace) -> tuple[float, float]:
    """Returns the values at the bottom and the top of a strip: the space's range, or that of the samples."""
    if space.low is not None:
        return 0.0, 1.0
    most = max(max(abs(edge) for edge in reach(row, 0.0)) for row in rows)
    return -most or -1.0, most or 1.0
