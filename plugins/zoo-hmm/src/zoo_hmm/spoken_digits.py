"""The Free Spoken Digit Dataset (Jackson et al. 2018, CC BY-SA 4.0) as cepstral coefficients.

3,000 recordings at 8 kHz: six speakers say each of the ten digits 50 times.  Takes 0–4 are for testing, as the data
set's own description says, the other 45 for training.
"""

from __future__ import annotations

import hashlib
import io
import wave
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from zoo_core.datasets.images import fetch
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import DataSet, Ragged
from zoo_hmm.mfcc import RATE, mfcc

__all__ = ["SPEAKERS", "spoken_digits_mfcc"]

FILE = "free-spoken-digit-dataset.zip"
URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
SHA256 = "8fed8b0b058a7efa7544bbb3e8e98607ecdcbd47a2f0ea31139cab18a6b679c9"
"""Digest of the names and bytes of the recordings, since the archive is packed anew for each download."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TEST_TAKES = 5


def spoken_digits_mfcc(split: str, n: int | None = None) -> DataSet:
    """Loads the recordings as frames of 13 cepstral coefficients and their differences; 2,700 to train, 300 to test.

    The columns are ``label``, the digit, and ``speaker``.
    """
    rows, frames = [], []
    for (digit, speaker, take), found in _features().items():
        if (take < TEST_TAKES) == (split == "test"):
            rows.append((digit, SPEAKERS.index(speaker)))
            frames.append(found)
    label, speaker_number = torch.tensor(rows).T
    columns = {"label": label.clone(), "speaker": speaker_number.clone()}
    return DataSet("spoken-digits-mfcc", split, Ragged.of(frames), columns, {"speaker": SPEAKERS})


@cache
def _features() -> dict[tuple[int, str, int], Tensor]:
    """Returns the coefficients of each recording, ``(time, 26)`` in float32, by digit, speaker and take."""
    path = fetch("fsdd", FILE, URL, SHA256, content_digest)
    found = {}
    for name, content in _recordings(path):
        digit, speaker, take = name.removesuffix(".wav").split("_")
        found[int(digit), speaker, int(take)] = mfcc(_signal(name, content)).float()
    return dict(sorted(found.items(), key=lambda item: (item[0][2], item[0][0], item[0][1])))


def content_digest(path: Path) -> str:
    """Computes the SHA-256 of the names and bytes of an archive's recordings, in the order of their names."""
    digest = hashlib.sha256()
    for name, content in _recordings(path):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _recordings(path: Path) -> list[tuple[str, bytes]]:
    """Reads the recordings of an archive with their names, sorted; their folder does not matter."""
    with zipfile.ZipFile(path) as archive:
        places = [PurePosixPath(name) for name in archive.namelist()]
        chosen = [place for place in places if place.suffix == ".wav" and place.parent.name == "recordings"]
        return sorted((place.name, archive.read(str(place))) for place in chosen)


def _signal(name: str, content: bytes) -> Tensor:
    """Reads a recording, in [−1, 1).

    Raises:
        IncompatibleError: it is not of one channel of 16 bits at 8 kHz.
    """
    with wave.open(io.BytesIO(content)) as file:
        form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if form != (1, 2, RATE):
            raise IncompatibleError(f"{name} has {form} channels, bytes and Hz; expected (1, 2, {RATE})")
        samples = torch.frombuffer(bytearray(file.readframes(file.getnframes())), dtype=torch.int16)
    return samples.double() / 2**15
