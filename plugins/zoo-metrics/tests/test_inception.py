"""The Inception network, its weights and its distance; the network was held against torch-fidelity 0.4.0's."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch
from torch.nn import functional as F

from zoo_core.errors import ChecksumError, IncompatibleError, NetworkError
from zoo_core.interfaces import Batch, Model, SampleSpace, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import inception
from zoo_metrics.inception.network import InceptionV3, resize


def filled() -> InceptionV3:
    """The network with weights that any program can make: waves, scaled so that activations neither die nor explode."""
    made = InceptionV3().eval()
    with torch.no_grad():
        for k, (name, value) in enumerate(made.state_dict().items()):
            if not value.is_floating_point():
                continue
            wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * (0.7 + 0.01 * k) + k).view(value.shape)
            if value.ndim > 1:
                wave = wave * 2 / math.sqrt(value[0].numel())
            elif name.endswith(("running_var", "bn.weight")):
                wave = 1 + 0.5 * wave
            else:
                wave = 0.1 * wave
            value.copy_(wave)
    return made.requires_grad_(False)


def picture(n: int, height: int, width: int) -> torch.Tensor:
    at = torch.arange(n * 3 * height * width, dtype=torch.float64)
    return (127.5 * (1 + torch.sin(at * 0.37) * torch.cos(at * 0.011))).round().view(n, 3, height, width).float()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The file where the user put it, with the hash of what is in it."""
    folder = tmp_path / "inception"
    folder.mkdir()
    torch.save(filled().state_dict(), folder / inception.FILE)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256((folder / inception.FILE).read_bytes()).hexdigest())
    inception.network.cache_clear()
    yield folder / inception.FILE
    inception.network.cache_clear()


def test_it_has_the_parameters_of_the_published_network():
    """23.8 million, as torchvision's without the auxiliary head and with 1,008 classes."""
    with torch.device("meta"):
        network = InceptionV3()
    assert sum(p.numel() for p in network.parameters()) == 23_850_960
    assert len(network.state_dict()) == 566


@pytest.mark.long
def test_features_are_those_of_torch_fidelity():
    """The same weights in torch-fidelity 0.4.0's extractor gave these numbers; float32, hence 1e-4."""
    with torch.inference_mode():
        found = filled()(picture(1, 32, 40))[0]
    expected = torch.tensor([0.1745328, 0.0, 0.0, 0.2429865, 0.0, 0.06823845, 0.09620108, 0.2157497])
    assert torch.allclose(found[::256], expected, rtol=1e-4, atol=1e-5), found[::256].tolist()


def test_resizing_has_no_half_pixel_centres():
    """Twice as large: every other pixel is an old one; torch's own differs by half a pixel."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    large = resize(x, 8)
    assert torch.equal(large[..., ::2, ::2], x)
    assert large[0, 0, 0, 1] == 0.5
    assert not torch.allclose(large, F.interpolate(x, size=8, mode="bilinear"))
    assert torch.equal(resize(x, 4), x)


@pytest.mark.long
def test_weights_are_read_once_they_are_the_published_ones(published):
    assert torch.equal(inception.network().fc.weight, filled().fc.weight)
    published.write_bytes(published.read_bytes()[:-1] + b"!")
    inception.network.cache_clear()
    with pytest.raises(ChecksumError, match="replace it or unset ZOO_DATA"):
        inception.network()


@pytest.mark.long
def test_a_pickle_that_is_no_table_of_tensors_is_not_run(published, monkeypatch):
    """Even with the right hash only tensors are read."""

    class Evil:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"fc.weight": Evil()}, published)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(published.read_bytes()).hexdigest())
    with pytest.raises(Exception, match="weights_only"):
        inception.network()


def test_without_a_network_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    inception.network.cache_clear()
    with pytest.raises(NetworkError, match="set ZOO_DATA"):
        inception.network()


class Coloured(Model):
    space = SampleSpace("image", (3, 8, 8), 0.0, 1.0)


def coloured(n: int) -> DataSet:
    return DataSet("coloured", "train", picture(n, 8, 8).to(torch.uint8), levels=256)


def test_only_colour_images_fit():
    grey = DataSet("grey", "train", torch.zeros(200, 1, 8, 8, dtype=torch.uint8), levels=256)
    with pytest.raises(IncompatibleError, match="Inception's features are of RGB images; grey"):
        inception.InceptionDistance().check(Coloured(), grey)
    inception.InceptionDistance().check(Coloured(), coloured(100))


def test_the_distance_of_data_from_themselves_is_nothing(monkeypatch):
    """The metric around the network, with a network of few features (the real one's roots take minutes)."""
    project = torch.sin(torch.arange(16 * 192, dtype=torch.float32)).view(192, 16)
    monkeypatch.setattr(inception, "network", lambda: lambda x: x.flatten(1) @ project / 255)
    monkeypatch.setattr(inception.InceptionDistance, "dimension", lambda self, data: 16)
    data, metric, model = coloured(200), inception.InceptionDistance(), Coloured()

    def measured(x):
        state = metric.init(model, data)
        for start in (0, 100):
            part = metric.update(metric.init(model, data), model, Batch(x[start : start + 100]), streams(start))
            state = metric.merge(state, part)
        return metric.compute(state)

    same = measured(data.scaled(0.0, 1.0))
    assert (same.n, same.direction) == (200, "lower")
    assert same.value == pytest.approx(0.0, abs=1e-4)  # features are float32
    assert measured(torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))).value > 1.0


def streams(start: int) -> Streams:
    return Streams(0, "test", start, 100)
