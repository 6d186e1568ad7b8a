"""Metrics of readers' own data: fixed random features, r with baselines measured on the data, and copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from zoo_core.datasets.sources.arrays import from_array
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import DirectSampler, Model, SampleSpace
from zoo_core.registry.entry import Entry, SamplerChoice
from zoo_core.training.fit import target_of
from zoo_metrics.extractor import random_features
from zoo_metrics.real import clusters


class Replay(Model, DirectSampler):
    """Draws stored rows in order: what a model would give whose samples are these."""

    def __init__(self, rows, space):
        super().__init__()
        self.space = space
        self.register_buffer("rows", rows)
        recipe = {"data": {"name": "mine", "reader": {}}}
        self.entry = Entry("replay", "replay", "", {}, "", recipe=recipe, sampler=SamplerChoice("direct"))

    def draw(self, streams, *, condition=None):
        return self.rows[torch.arange(streams.start, streams.start + len(streams)) % len(self.rows)]


def discs(count, seed, colours=3):
    """Coloured discs at random places: one class for each colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    label = rng.integers(0, colours, count)
    cy, cx = rng.uniform(4, 12, (2, count, 1, 1))
    disc = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / rng.uniform(4, 16, (count, 1, 1)))
    images = np.zeros((count, 3, 16, 16))
    images[np.arange(count), label] = 255 * disc
    return images.astype(np.uint8), label


@pytest.fixture(scope="module")
def images():
    x, label = discs(1200, 0)
    return target_of(x, label).data


def drawn(x):
    return Replay(torch.from_numpy(x).float() / 255, SampleSpace("image", (3, 16, 16), 0.0, 1.0))


def test_the_random_filters_are_the_same_for_ever():
    assert random_features.sha256(1) == "dae6d0930e1183f23682b31e1ba663d60977c3ca24e9f4af7c9ec2a8b5b6cb60"
    assert random_features.sha256(3) == "8aa74c6e332becf604d3c9e4e0f239197428006abe3cd16ec21a5343859ba922"


@pytest.mark.long
def test_r_is_0_for_fresh_images_and_1_without_a_class(images):
    """120 images, so that r of one draw scatters by a few tenths: the mean over three draws is held to 0.3."""
    fresh = [evaluate(drawn(discs(120, seed)[0]), "r-own", data=images).value for seed in (1, 2, 3)]
    assert abs(np.mean(fresh)) < 0.3
    x, label = discs(400, 4)
    without = [evaluate(drawn(x[label != c][:120]), "r-own", data=images).value for c in range(3)]
    assert np.mean(without) == pytest.approx(1.0, abs=0.3)
    grey = np.repeat(discs(120, 5)[0].mean(1, keepdims=True).astype(np.uint8), 3, 1)
    assert evaluate(drawn(grey), "r-own", data=images).value > 2


@pytest.mark.long
def test_without_labels_a_cluster_is_missing(images):
    plain = replace(
        images, columns={}, names={}, split_of=lambda split: replace(images.split_of(split), columns={}, names={})
    )
    found = evaluate(drawn(discs(120, 1)[0]), "r-own", data=plain)
    assert found.anchors["FD one class missing"] > found.anchors["FD floor"]


def test_clusters_are_those_that_are_there():
    torch.manual_seed(0)
    rows = torch.cat([torch.randn(50, 2) * 0.1 + torch.tensor(centre) for centre in ([0.0, 0], [5, 5], [0, 9])])
    found = clusters(rows, 3)
    assert [len(torch.unique(found[i * 50 : (i + 1) * 50])) for i in range(3)] == [1, 1, 1]
    assert len(torch.unique(found)) == 3


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_copies_are_counted(share):
    """Of 1,000 samples 1 % are as close as the closest 1 % of held-out points; every copy adds one (5 std. errors)."""
    rng = np.random.default_rng(0)
    found = target_of(rng.normal(size=(5000, 4)), held_out=0.2)
    training = torch.from_numpy(np.asarray(found.data.tensor))
    fresh = torch.from_numpy(rng.normal(size=(1000, 4)))
    copied = int(share * 1000)
    fresh[:copied] = training[:copied] + 1e-6
    model = Replay(fresh.float(), SampleSpace("points", (4,)))
    result = evaluate(model, "copies", data=found.data, n=1000)
    assert result.value == pytest.approx(share + 0.01 * (1 - share), abs=5 * 0.0045)
    assert result.anchors == {"held out": 0.01}


def test_registered_images_are_not_your_own():
    x = from_array(discs(20, 0)[0], None, "mine")
    assert x.kind == "image"
    data = replace(target_of(discs(20, 0)[0]).data, split_of=None)
    with pytest.raises(IncompatibleError, match="for images of your own"):
        evaluate(drawn(discs(20, 1)[0]), "fd-own", data=data)
