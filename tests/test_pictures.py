"""Pictures, films and files: what is in them, and what is refused before any work."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from PIL import Image

from zoo_core import pictures
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import SampleSpace

GREY = SampleSpace("image", (1, 4, 4), -1.0, 1.0)
PLANE = SampleSpace("points", (2,))


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
    with pytest.raises(IncompatibleError, match="draws in one go"):
        pictures.save_trajectory([], "x.gif")


def test_files(tmp_path):
    x = torch.rand(3, 1, 4, 4)
    pictures.save_samples(x, str(tmp_path / "x.safetensors"), GREY)
    assert torch.equal(safetensors.torch.load_file(tmp_path / "x.safetensors")["samples"], x)
    pictures.save_samples(x, str(tmp_path / "many") + "/", GREY)
    assert [p.name for p in sorted((tmp_path / "many").iterdir())] == ["00000.png", "00001.png", "00002.png"]
    with Image.open(tmp_path / "many" / "00001.png") as picture:
        assert picture.getpixel((2, 3)) == round(x[1, 0, 3, 2].item() * 255)
    points = torch.tensor([[0.1, -2.0], [3.0, 4.0]])
    pictures.save_samples(points, str(tmp_path / "points") + "/", PLANE)
    assert (tmp_path / "points" / "points.csv").read_text() == "0.100000001,-2\n3,4\n"
    for suffix in ("png", "jpg", "webp"):
        pictures.save_samples(x, str(tmp_path / f"x.{suffix}"), GREY)
        with Image.open(tmp_path / f"x.{suffix}") as picture:
            picture.verify()
    assert not list(tmp_path.rglob(".*"))


def test_what_cannot_be_drawn_says_what_can(tmp_path):
    with pytest.raises(IncompatibleError, match=r"no picture of points of shape 5; write them with --out samples\.saf"):
        pictures.render(torch.zeros(2, 5), SampleSpace("points", (5,)))
    with pytest.raises(IncompatibleError, match=r"cannot write samples to 'x\.npy'"):
        pictures.check_target("x.npy")
    with pytest.raises(IncompatibleError, match="make it first"):
        pictures.check_target(str(tmp_path / "nowhere" / "x.png"))
    with pytest.raises(IncompatibleError, match=r"use film\.gif or strip\.png"):
        pictures.check_trajectory("x.mp4")


def test_a_failed_write_leaves_nothing(tmp_path):
    class Broken:
        def save(self, path, **options):
            path.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        pictures._write_picture(Broken(), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
