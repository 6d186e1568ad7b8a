"""What the plots show, read back from the picture that they draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import zoo_core
from zoo_core import datasets
from zoo_core.errors import IncompatibleError
from zoo_rbm.model import BernoulliRBM
from zoo_rbm.plots import ACROSS, filters, reconstructions

SIDE = 8


def tiles(draw, model, count):
    """The tiles of the one picture in a figure, row by row, ``(count, 8, 8)`` in 0 … 255."""
    figure = Figure()
    draw(model, figure, 0)
    (axes,) = figure.axes
    (shown,) = axes.images
    sheet = np.asarray(shown.get_array()).astype(float)
    sheet = sheet[..., 0] if sheet.ndim == 3 else sheet
    rows = -(-count // ACROSS)
    scale = sheet.shape[1] // (ACROSS * (SIDE + 1) - 1)
    sheet = sheet[scale // 2 :: scale, scale // 2 :: scale]
    found = [sheet[r * (SIDE + 1) :, c * (SIDE + 1) :][:SIDE, :SIDE] for r in range(rows) for c in range(ACROSS)]
    return np.stack(found[:count])


def test_filters_are_the_weights_strongest_first():
    """Unit j has weight j + 1 on pixel j only: one white pixel each, the others grey, the last unit first."""
    model = BernoulliRBM([1, SIDE, SIDE], 5)
    with torch.no_grad():
        model.W.zero_()
        for j in range(5):
            model.W[j, j] = (j + 1) * (-1) ** j
    found = tiles(filters, model, 5)
    for place, j in enumerate((4, 3, 2, 1, 0)):
        expected = np.full((SIDE, SIDE), 127.5)
        expected[0, j] = 255 if j % 2 == 0 else 0
        np.testing.assert_allclose(found[place], expected, atol=1)


def test_reconstructions_stand_below_their_images():
    """Rows take turns: of test images, and of means given hidden bits, which resemble them more than the mean image."""
    model = zoo_core.load("rbm-digits")
    found = tiles(reconstructions, model, 8 * ACROSS).reshape(4, 2, ACROSS, SIDE, SIDE) / 255
    images, means = found[:, 0].reshape(-1, SIDE, SIDE), found[:, 1].reshape(-1, SIDE, SIDE)
    assert set(np.unique(images.round(2))) == {0.0, 1.0}
    mean_image = torch.sigmoid(model.base).view(SIDE, SIDE).numpy()
    assert ((means - images) ** 2).mean() < 0.5 * ((mean_image - images) ** 2).mean()
    grey = datasets.load("digits", "test").scaled(0.0, 1.0)[: len(images), 0].numpy()
    assert (images[grey == 0] == 0).all()
    assert (images[grey == 1] == 1).all()


def test_machines_of_points_have_no_pictures():
    for plot in (filters, reconstructions):
        with pytest.raises(IncompatibleError, match="machine of images"):
            plot(zoo_core.load("rbm-moons"), Figure(), 0)
