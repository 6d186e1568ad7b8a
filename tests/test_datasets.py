"""Data sets: the right bytes or none; densities that agree with their samples, integrals and entropies."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from zoo_core import datasets
from zoo_core.datasets import images
from zoo_core.datasets.densities import DENSITIES
from zoo_core.datasets.idx import read_idx
from zoo_core.errors import ChecksumError, IncompatibleError, NetworkError, UnknownNameError, WeightsError
from zoo_core.interfaces import Streams

# A box that holds all but 1e-9 of the mass, and a cell of a quarter of the noise's width.
BOXES = {
    "eight-gaussians": ((-2.3, 2.3), 920),
    "25-grid": ((-4.5, 4.5), 720),
    "two-moons": ((-1.5, 2.5), 320),
    "swiss-roll": ((-4.5, 4.5), 180),
    "two-spirals": ((-4.5, 4.5), 360),
    "two-gaussians-1d": ((-6.0, 7.0), 400),
}


def on_a_grid(name):
    """log p at the midpoints, and the area of a cell.  The midpoint rule of a Gaussian of width s errs by
    2·exp(−2π²s²/h²): nothing at h = s/4."""
    density, ((low, high), cells) = DENSITIES[name], BOXES[name]
    axis = torch.linspace(low, high, cells + 1, dtype=torch.float64)
    middle, width = (axis[1:] + axis[:-1]) / 2, (high - low) / cells
    if density.dimensions == 1:
        return density.log_prob(middle.unsqueeze(1)), width
    x = torch.cartesian_prod(middle, middle)
    return torch.cat([density.log_prob(part) for part in x.split(100_000)]), width**2


@pytest.mark.slow
@pytest.mark.parametrize("name", BOXES)
def test_densities_integrate_to_one_and_have_their_entropy(name):
    log_p, area = on_a_grid(name)
    p = log_p.exp()
    assert (p.sum() * area).item() == pytest.approx(1.0, abs=1e-7)
    assert -(torch.xlogy(p, p).sum() * area).item() == pytest.approx(DENSITIES[name].entropy, abs=1e-6)


@pytest.mark.parametrize("name", [name for name, d in DENSITIES.items() if d.entropy is not None])
def test_the_entropy_is_what_samples_say(name):
    """−mean log p over 4,000 samples, within four of its own standard errors."""
    density = DENSITIES[name]
    log_p = density.log_prob(density.sample(Streams(1, "test", 0, 4000, dtype=torch.float64)))
    assert torch.isfinite(log_p).all()
    error = (log_p.std() / math.sqrt(len(log_p))).item()
    assert -log_p.mean().item() == pytest.approx(density.entropy, abs=4 * error + 1e-12)


def test_mixtures_agree_with_torch_distributions():
    ring = DENSITIES["eight-gaussians"]
    normal = Independent(Normal(ring.means, ring.scales[:, None].expand(-1, 2)), 1)
    torch_says = MixtureSameFamily(Categorical(ring.weights), normal)
    x = torch.cartesian_prod(*[torch.linspace(-2.1, 2.1, 40, dtype=torch.float64)] * 2)
    assert torch.allclose(ring.log_prob(x), torch_says.log_prob(x), rtol=1e-12, atol=1e-12)


def test_the_two_gaussians_of_the_course_notes():
    """0.3·N(−2, 0.5²) + 0.7·N(2, 0.7²): mean 0.8 and variance 0.3·0.25 + 0.7·0.49 + 0.21·16."""
    pair = DENSITIES["two-gaussians-1d"]
    x = pair.sample(Streams(0, "test", 0, 20_000, dtype=torch.float64))
    assert x.mean().item() == pytest.approx(0.8, abs=0.06)  # four standard errors
    assert x.var().item() == pytest.approx(3.778, abs=0.1)
    at = torch.tensor([[-2.0], [0.0], [2.0]], dtype=torch.float64)
    expected = [
        0.3 * math.exp(-0.5 * ((v + 2) / 0.5) ** 2) / (0.5 * math.sqrt(2 * math.pi))
        + 0.7 * math.exp(-0.5 * ((v - 2) / 0.7) ** 2) / (0.7 * math.sqrt(2 * math.pi))
        for v in (-2.0, 0.0, 2.0)
    ]
    assert pair.log_prob(at).exp().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", DENSITIES)
def test_point_i_is_the_same_however_many_there_are(name):
    few, many = datasets.load(name, n=20), datasets.load(name, n=50)
    assert torch.equal(few.x, many.x[:20])
    assert few.x.dtype == torch.float32
    assert few.x.shape == (20, DENSITIES[name].dimensions)
    assert not torch.equal(few.x, datasets.load(name, "test", n=20).x)
    assert few.entropy == DENSITIES[name].entropy


def test_digits():
    train, test = datasets.load("digits"), datasets.load("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.x.shape[1:] == (1, 8, 8)
    assert int(train.x.max()) == 16
    assert train.levels == 17
    fours = train.only([4])
    assert (fours.y == 4).all()
    with pytest.raises(IncompatibleError, match="no class of"):
        train.only([10])


def test_levels_are_scaled_to_a_range():
    test = datasets.load("digits", "test")
    assert test.scaled(-1.0, 1.0).max() == 1.0
    assert test.scaled(-1.0, 1.0).min() == -1.0
    assert torch.equal(((test.scaled(0.0, 2.0)) * 8).round().to(torch.uint8), test.x)
    with pytest.raises(IncompatibleError, match="is continuous"):
        datasets.load("two-moons", n=10).scaled(0.0, 1.0)


def test_what_is_not_there_says_so():
    with pytest.raises(UnknownNameError, match="did you mean mnist"):
        datasets.load("mnst")
    with pytest.raises(IncompatibleError, match="expected train or test"):
        datasets.load("digits", "validation")
    with pytest.raises(IncompatibleError, match="has no labels"):
        datasets.load("two-moons", classes=[1])


@pytest.mark.long
@pytest.mark.needs_data("mnist", "fashion-mnist")
@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_the_real_files(name, mean):
    """Sizes and the published mean of the training images."""
    train, test = datasets.load(name), datasets.load(name, "test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.x.shape == (60_000, 1, 28, 28)
    assert train.x.float().mean().item() / 255 == pytest.approx(mean, abs=1e-4)
    assert sorted(train.y.unique().tolist()) == list(range(10))


def idx(array: torch.Tensor) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.numpy().tobytes(), mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"\0\0\x08", mtime=0),
        gzip.compress(struct.pack(">HBBI", 0, 9, 1, 2) + b"ab", mtime=0),
        gzip.compress(struct.pack(">HBBI", 0, 8, 1, 3) + b"ab", mtime=0),
        idx(torch.zeros(4, 4, dtype=torch.uint8))[:-9],
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path, content):
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(WeightsError, match="idx file"):
        read_idx(tmp_path / "x.gz")


def test_an_idx_file_is_read(tmp_path):
    array = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    (tmp_path / "x.gz").write_bytes(idx(array))
    assert torch.equal(read_idx(tmp_path / "x.gz"), array)


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """A web server with one file; the product's own download code talks to it."""
    content, answers = idx(torch.arange(100, dtype=torch.uint8)), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, claimed = answers.pop(0) if answers else (200, content, len(content))
            self.send_response(status)
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("ZOO_DATA", "ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)

    def fetch():
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        return images.fetch("toy", "x.gz", url, hashlib.sha256(content).hexdigest())

    yield fetch, content, answers
    server.shutdown()
    server.server_close()


def cached(tmp_path):
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_download_is_kept(publisher, monkeypatch):
    fetch, content, answers = publisher
    assert fetch().read_bytes() == content
    answers.append((500, b"", 0))
    assert fetch().read_bytes() == content
    assert answers  # nobody asked
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert fetch().read_bytes() == content


def test_a_flipped_byte_leaves_nothing(publisher, tmp_path):
    fetch, content, answers = publisher
    answers.append((200, content[:50] + b"\xff" + content[51:], len(content)))
    with pytest.raises(ChecksumError, match="is not the published file"):
        fetch()
    assert cached(tmp_path) == []
    assert fetch().read_bytes() == content


@pytest.mark.parametrize("answer", ["cut", 404, 500])
def test_a_failed_download_leaves_nothing(publisher, tmp_path, answer):
    fetch, content, answers = publisher
    answers.append((200, content[:50], len(content)) if answer == "cut" else (answer, b"no", 2))
    with pytest.raises((NetworkError, ChecksumError)):
        fetch()
    assert cached(tmp_path) == []
    assert fetch().read_bytes() == content


def test_offline_says_where_it_looked(publisher, monkeypatch, tmp_path):
    fetch, _, _ = publisher
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match=r"offline, and x\.gz of toy is not in .*cache.*; load it once online"):
        fetch()


def test_a_local_folder_comes_first_and_is_checked(publisher, monkeypatch, tmp_path):
    fetch, content, _ = publisher
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "x.gz").write_bytes(content)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    assert fetch() == tmp_path / "data" / "toy" / "x.gz"
    (tmp_path / "data" / "toy" / "x.gz").write_bytes(content[:-1])
    with pytest.raises(ChecksumError, match="replace it or unset ZOO_DATA"):
        fetch()
