"""Loads MNIST and Fashion-MNIST (fetched by URL and SHA-256) and scikit-learn's digits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch

from zoo_core.datasets.idx import read_idx
from zoo_core.errors import ChecksumError, NetworkError, PluginError
from zoo_core.fetching.hub_client import is_offline
from zoo_core.interfaces import DataSet

__all__ = ["digits", "fashion_mnist", "fetch", "mnist", "sha256_of"]

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_SHA256 = {
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
}

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_SHA256 = {
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
}


def mnist(split: str, n: int | None = None) -> DataSet:
    """Loads MNIST (LeCun, Cortes & Burges): uint8 ``(n, 1, 28, 28)``, 60,000 training and 10,000 test images."""
    return _idx("mnist", split, MNIST_URL, MNIST_SHA256)


def fashion_mnist(split: str, n: int | None = None) -> DataSet:
    """Loads Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), in the format of MNIST."""
    return _idx("fashion-mnist", split, FASHION_URL, FASHION_SHA256)


def digits(split: str, n: int | None = None) -> DataSet:
    """Loads scikit-learn's 8×8 digits (Alpaydin & Kaynak 1998): 1,797 images in 17 levels, every fifth for testing.

    Raises:
        PluginError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise PluginError("the data set 'digits' is part of scikit-learn; pip install scikit-learn") from err
    bunch = load_digits()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    test = torch.arange(len(x)) % 5 == 0
    rows = test if split == "test" else ~test
    return DataSet("digits", split, x[rows], {"label": y[rows]}, levels=17)


def _idx(name: str, split: str, url: str, sha256: dict[str, str]) -> DataSet:
    images, labels = (read_idx(fetch(name, file, url, sha256[file])) for file in FILES[split])
    return DataSet(name, split, images.unsqueeze(1), {"label": labels.long()}, levels=256)


def sha256_of(path: Path) -> str:
    """Computes the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(name: str, file: str, url: str, sha256: str, digest: Callable[[Path], str] = sha256_of) -> Path:
    """Finds a file of a data set in ``$ZOO_DATA`` or the cache, or downloads it into the cache.

    Args:
        name: name of the data set, which is that of its folder.
        file: name of the file.
        url: address of the file, or of its folder, which ends in a slash.
        sha256: digest that the published file has.
        digest: function that computes the digest; another than that of the bytes for an archive that is packed anew
            for each download, whose contents are then digested.

    Raises:
        ChecksumError: the file is not the published one (a bad download is deleted).
        NetworkError: the file is not found locally, and cannot be fetched.
    """
    if local := os.environ.get("ZOO_DATA"):
        path = Path(local) / name / file
        if path.is_file():
            found = digest(path)
            if found != sha256:
                raise ChecksumError(
                    f"{path} has sha256 {found}, the published file {sha256}; replace it or unset ZOO_DATA"
                )
            return path
    url = url + file if url.endswith("/") else url
    cache = _cache() / name
    if is_offline() and not (cache / file).is_file():
        looked = " and ".join(filter(None, [local, str(cache)]))
        raise NetworkError(f"offline, and {file} of {name} is not in {looked}; load it once online, or set ZOO_DATA")
    import pooch

    pooch.get_logger().setLevel("ERROR")
    known = f"sha256:{sha256}" if digest is sha256_of else None
    try:
        path = Path(pooch.retrieve(url, known_hash=known, fname=file, path=cache))
        if known is None and digest(path) != sha256:
            path.unlink()
            raise ValueError
        return path
    except ValueError as err:  # pooch has deleted the file
        raise ChecksumError(f"{url} is not the published file (sha256 {sha256}); try again later") from err
    except Exception as err:  # whatever the HTTP library of pooch raises
        reason = " ".join(str(err).split())[:200]
        raise NetworkError(
            f"cannot fetch {url}: {reason}; check the connection, or put it in $ZOO_DATA/{name}/"
        ) from err


def _cache() -> Path:
    import platformdirs

    return Path(os.environ.get("ZOO_CACHE") or platformdirs.user_cache_dir("zoo")) / "datasets"
