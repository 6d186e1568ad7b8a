"""The shipped extractors: the bytes that are pinned, features that are bounded, statistics that can be made again."""

from __future__ import annotations

import shutil

import pytest
import torch

from zoo_core import datasets
from zoo_core.errors import ChecksumError, IncompatibleError
from zoo_metrics import extractor, real
from zoo_metrics.extractor import PINNED
from zoo_metrics.extractor.network import FEATURES, GROUPS, Classifier
from zoo_metrics.moments import Moments


@pytest.mark.parametrize("name", PINNED)
def test_every_extractor_is_shipped_whole(name):
    found = extractor.load(name)
    assert found.statistics.mean.shape == (FEATURES,)
    assert found.statistics.root.dtype == found.statistics.mean.dtype == torch.float64
    assert found.statistics.n == extractor.card(name)["images"]
    for file in extractor.FOLDER.glob(f"{name}*"):
        assert file.stat().st_size < 2_000_000
    side = PINNED[name].side
    noise = torch.rand(7, 1, side, side, generator=torch.Generator().manual_seed(0))
    features, log_p = found(noise)
    assert features.shape == (7, FEATURES)
    assert features.abs().max() < 50
    assert torch.allclose(log_p.exp().sum(1), torch.ones(7), atol=1e-5)


def test_other_bytes_are_refused(tmp_path, monkeypatch):
    for file in extractor.FOLDER.glob("digits-v1*"):
        shutil.copy(file, tmp_path)
    path = tmp_path / "digits-v1.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(extractor, "FOLDER", tmp_path)
    with pytest.raises(ChecksumError, match="has sha256"):
        extractor.load.__wrapped__("digits-v1")


def test_statistics_are_those_of_the_training_set():
    """Mean, covariance and the scale of each group of features, from the 1,437 training images."""
    pytest.importorskip("sklearn")
    found = extractor.load("digits-v1")
    features, _ = found(extractor.images(datasets.load("digits", "train")))
    moments = Moments.of(features)
    assert moments.n == found.statistics.n
    assert torch.allclose(moments.mean(), found.statistics.mean, atol=1e-5)
    assert torch.allclose(moments.covariance(), found.statistics.root @ found.statistics.root.mT, atol=1e-4)
    for group in torch.split(moments.covariance().diagonal(), list(GROUPS)):
        assert group.mean().item() == pytest.approx(1.0, rel=1e-4)


def test_a_feature_depends_on_its_own_image_and_the_last_batch_is_kept():
    found = extractor.load("digits-v1")
    x = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    whole, _ = found(x)
    assert found(x)[0] is whole
    assert torch.allclose(torch.cat([found(part)[0] for part in x.split(3)]), whole, atol=1e-4)


def test_training_touches_no_global_generator_and_standardises():
    state = torch.random.get_rng_state()
    network = Classifier(8)
    torch.random.set_rng_state(state)
    raw, _ = network.activations(torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    network.standardise(raw.detach())
    features, _ = network(torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert features.mean(0).abs().max() < 1e-3
    for group in torch.split(features.var(0), list(GROUPS)):
        assert group.mean().item() == pytest.approx(1.0, rel=1e-2)


@pytest.mark.long
@pytest.mark.needs_data("mnist", "fashion-mnist")
@pytest.mark.parametrize(("name", "least"), [("mnist-v1", 0.985), ("fashion-v1", 0.89)])
def test_it_can_classify(name, least):
    data = real.some(datasets.load(PINNED[name].dataset, "test"), 2000, "accuracy")
    _, log_p = extractor.load(name)(extractor.images(data))
    assert (log_p.argmax(1) == data.y).double().mean().item() > least
    assert extractor.card(name)["accuracy"] > least


def test_data_without_features_is_named():
    with pytest.raises(IncompatibleError, match="none for two-moons"):
        extractor.extractor_for(datasets.load("two-moons", n=10))
