"""Pictures of samples of every kind, and films: what is in them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_core import pictures
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Column, Ragged, SampleSpace
from zoo_core.pictures.canvas import INK, reach, write_picture
from zoo_core.pictures.series import END

TOKENS = SampleSpace("tokens", (None,), vocabulary=3)


def test_a_grid_has_every_image_in_its_place():
    x = torch.arange(6).view(6, 1, 1, 1).expand(6, 1, 4, 4) / 5
    picture = pictures.grid(x, columns=3, size=14)
    assert picture.size == (14, 9)  # three of four pixels and two gaps; two rows and a gap
    levels = [picture.getpixel((column * 5 + 1, row * 5 + 1)) for row in range(2) for column in range(3)]
    assert levels == [0, 51, 102, 153, 204, 255]


def test_a_grid_is_enlarged_by_a_whole_factor():
    assert pictures.grid(torch.zeros(64, 1, 28, 28)).size == (231 * 2, 231 * 2)
    assert pictures.grid(torch.zeros(1, 3, 32, 32)).mode == "RGB"


def test_a_scatter_shows_a_point_where_it_is():
    picture = pictures.scatter(torch.tensor([[0.5, 0.5]]), limits=(0.0, 1.0, 0.0, 1.0), size=100)
    assert picture.getpixel((50, 50)) == pytest.approx((31, 78, 140), abs=10)  # reduced from a larger drawing
    assert picture.getpixel((20, 20)) == (255, 255, 255)
    pictures.scatter(torch.tensor([[1.0, 1.0], [float("nan"), 0.0]]))  # one point, one that is none


def test_a_histogram_is_highest_where_most_points_are():
    x = torch.cat([torch.zeros(90, 1), torch.ones(10, 1)])
    picture = pictures.histogram(x, bins=2, size=100)
    assert picture.getpixel((25, 20)) == (31, 78, 140)
    assert picture.getpixel((75, 20)) == (255, 255, 255)


def test_a_film_has_its_frames_and_a_strip_its_ends(tmp_path):
    frames = [Image.new("L", (10, 10), 25 * i) for i in range(10)]
    pictures.save_trajectory(frames, str(tmp_path / "film.gif"))
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 10
    strip = pictures.strip(frames, count=4)
    assert strip.size == (4 * 10 + 3 * 8, 10)
    assert strip.convert("L").getpixel((5, 5)) == 0
    assert strip.convert("L").getpixel((strip.width - 5, 5)) == 225
    with pytest.raises(IncompatibleError, match="draws in a single step"):
        pictures.save_trajectory([], "x.gif")


def test_a_film_needs_a_picture_and_a_folder(tmp_path):
    with pytest.raises(IncompatibleError, match=r"use film\.gif or strip\.png"):
        pictures.check_trajectory("x.mp4")
    with pytest.raises(IncompatibleError, match=r"there is no folder .*nowhere.*make it first"):
        pictures.check_trajectory(str(tmp_path / "nowhere" / "x.gif"))
    words = SampleSpace("table", (1,), columns=(Column("colour", "category", ("red", "blue")),))
    with pytest.raises(IncompatibleError, match="there is no picture of table 1, so no trajectory"):
        pictures.check_trajectory(str(tmp_path / "x.gif"), words)


def test_tokens_are_rows_of_cells_that_end_where_the_sample_ends():
    """Three colours for three tokens, the same for the same token; black right after the last one; paper after that."""
    rows = Ragged.of([torch.tensor([0, 1, 2, 0]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)])
    padded = rows.padded_with(2)
    sheet = np.asarray(pictures.render(rows, TOKENS))
    assert np.array_equal(sheet, np.asarray(pictures.render(padded, TOKENS)))
    cell, top = 16, [2 + 18 * i + 4 for i in range(3)]
    first = [tuple(sheet[top[0], 2 + cell * i + 5]) for i in range(4)]
    assert first[0] == first[3]
    assert len(set(first)) == 3
    assert tuple(sheet[top[1], 2 + 5]) == first[1]
    assert [tuple(sheet[y, 2 + cell * n + 1]) for y, n in zip(top, (4, 1, 0), strict=True)] == [END] * 3
    assert tuple(sheet[top[1], 2 + cell + 5]) == (255, 255, 255)


def test_a_row_that_goes_on_beyond_the_edge_has_no_end():
    sheet = np.asarray(pictures.raster([torch.zeros(9000, dtype=torch.int64), torch.zeros(10, dtype=torch.int64)]))
    assert sheet.shape[1] < 8300
    assert not (sheet[:8] == END).all(-1).any()
    assert (sheet[8:] == END).all(-1).any()


def test_neighbouring_tokens_have_colours_that_differ():
    from zoo_core.pictures.canvas import hue

    colours = [np.array(hue(i), float) for i in range(40)]
    assert min(np.abs(a - b).sum() for a, b in pairwise(colours)) > 100
    assert len({hue(i) for i in range(40)}) == 40


def test_a_sequence_is_a_line_that_stops_with_it():
    """Of two constants the short one reaches a third across its panel; the padding is not drawn."""
    x = Ragged.of([torch.ones(10, 1), torch.zeros(30, 1), torch.zeros(0, 1), torch.zeros(1, 1)])
    space = SampleSpace("sequence", (None, 1))
    sheet = np.asarray(pictures.render(x, space).convert("RGB")).astype(int)
    assert np.array_equal(sheet, np.asarray(pictures.render(x.padded_with(9.0), space)))
    ink = (np.abs(sheet - np.array(INK)).sum(-1) < 90).any(0)
    wide = sheet.shape[1] // 2
    left = np.flatnonzero((np.abs(sheet[: len(sheet) // 2, :wide] - np.array(INK)).sum(-1) < 90).any(0))
    right = np.flatnonzero((np.abs(sheet[: len(sheet) // 2, wide:] - np.array(INK)).sum(-1) < 90).any(0))
    assert left.max() == pytest.approx(wide / 3, abs=12)
    assert right.max() > 0.95 * wide
    assert ink.any()
    pictures.render(Ragged.of([torch.zeros(0, 2)]), SampleSpace("sequence", (None, 2)))
    pictures.render(torch.full((2, 3, 1), torch.nan), SampleSpace("sequence", (3, 1)))


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_recording_is_as_high_as_it_is_loud(length):
    """A rectangle wave of half the range fills half of its strip, whether or not there is a pixel for each value."""
    wave = torch.where(torch.arange(length) // 5 % 2 == 0, 0.25, 0.75).view(1, 1, -1)
    space = SampleSpace("audio", (1, None), 0.0, 1.0, rate=8000)
    sheet = np.asarray(pictures.render(Ragged(wave, torch.tensor([length]), 2), space)).astype(int)
    rows = np.flatnonzero((np.abs(sheet - np.array(INK)).sum(-1) == 0).any(1))
    assert rows.max() - rows.min() == pytest.approx(0.5 * 44, abs=2)
    silence = pictures.render(torch.zeros(2, 2, 50), SampleSpace("audio", (2, 50), rate=8000))
    assert silence.height == 2 * 2 * 48 + 4
    pictures.render(Ragged.of([torch.zeros(1, 0), torch.zeros(1, 1)], 2), SampleSpace("audio", (1, None), rate=8000))


def test_points_of_more_dimensions_are_shown_in_pairs():
    """Of four coordinates the first two lie on a line, which only their panel shows."""
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    x[:, 1] = x[:, 0]
    sheet = np.asarray(pictures.render(x, SampleSpace("points", (4,))).convert("L"))
    side = sheet.shape[0] // 4

    def dark(row, column):
        return np.flatnonzero(sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] < 120)

    assert len(dark(0, 3)) == 0
    assert 0 < len(dark(1, 0)) < 0.5 * len(dark(2, 0))
    assert all(len(dark(i, i)) > 100 for i in range(4))
    pictures.render(torch.zeros(3, 7), SampleSpace("points", (7,)))
    pictures.render(torch.full((3, 3), torch.nan), SampleSpace("points", (3,)))


def test_a_table_shows_its_columns_of_numbers():
    names = ("red", "blue")
    columns = (Column("\u00e5ge", "integer"), Column("colour", "category", names), Column("\u8eab\u9577"))
    x = torch.tensor([[30.0, 1.0, 1.7], [50.0, 0.0, 1.6]])
    with_code = x.clone()
    with_code[:, 1] = 1 - with_code[:, 1]
    space = SampleSpace("table", (3,), columns=columns)
    picture = pictures.render(x, space)
    assert picture.tobytes() == pictures.render(with_code, space).tobytes()
    with pytest.raises(IncompatibleError, match=r"no picture of table 1: no column is of numbers; use \.csv"):
        pictures.render(x[:, 1:2], SampleSpace("table", (1,), columns=columns[1:2]))


def test_images_of_any_channels_are_shown():
    """Two images of five channels: ten grey tiles, the channels of one image side by side."""
    x = torch.arange(10).view(2, 5, 1, 1).expand(2, 5, 4, 4) / 9
    picture = pictures.render(x, SampleSpace("image", (5, 4, 4), 0.0, 1.0))
    factor = picture.width // (5 * 5 - 1)
    shades = [picture.getpixel(((5 * j + 2) * factor, (5 * i + 2) * factor)) for i in range(2) for j in range(5)]
    assert shades == [round(255 * k / 9) for k in range(10)]
    wide = Ragged.of([torch.ones(1, 3, 5), torch.zeros(1, 3, 2)], axis=3)
    picture = pictures.render(wide.padded_with(0.7), SampleSpace("image", (1, 3, None), 0.0, 1.0))
    assert picture.getpixel((picture.width - 3, 3)) == 64  # between images, and beyond the end of one


def test_how_many_a_picture_shows():
    assert pictures.shown(TOKENS, 100) == 64
    assert pictures.shown(TOKENS, 3) == 3
    assert pictures.shown(SampleSpace("points", (2,)), 10**6) == 10**6
    assert pictures.render(Ragged.of([torch.tensor([1])] * 100), TOKENS).height == 64 * 18 + 2


def test_an_interval_is_never_empty():
    for values in ([], [torch.nan], [3.0], [0.0], [1e-300, 2.0], [-5.0, torch.inf]):
        low, high = reach(torch.tensor(values, dtype=torch.float64))
        assert low < high


def test_a_failed_write_leaves_nothing(tmp_path):
    class Broken:
        def save(self, path, **options):
            path.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_picture(Broken(), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
