"""Cepstral coefficients against SciPy's transforms, the recordings, and the model of the ten words."""

from __future__ import annotations

import io
import math
import runpy
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo_core
from zoo_core import datasets
from zoo_core.errors import ChecksumError, DataError, IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import Ragged
from zoo_hmm.cepstra import cepstra
from zoo_hmm.mfcc import mfcc
from zoo_hmm.spoken_digits import content_digest


def test_cepstra_are_those_of_scipy_window_by_window():
    fft, windows = pytest.importorskip("scipy.fft"), pytest.importorskip("scipy.signal.windows")
    signal = 0.1 * np.random.default_rng(0).standard_normal(1000)
    emphasised = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    edges = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + 4000 / 700), 28) / 2595) - 1)
    bins = np.arange(129) * 8000 / 256
    triangles = np.array([np.interp(bins, edges[k : k + 3], [0, 1, 0]) for k in range(26)])
    rows = []
    for start in range(0, 801, 80):
        frame = emphasised[start : start + 200] * windows.hamming(200)
        power = np.abs(fft.rfft(frame, 256)) ** 2
        rows.append(fft.dct(np.log(triangles @ power + 1e-10), norm="ortho")[:13])
    cepstra = np.array(rows)
    found = mfcc(torch.from_numpy(signal)).numpy()
    np.testing.assert_allclose(found[:, :13], cepstra, atol=1e-9)
    around = np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")
    slope = [np.polyfit(np.arange(-2, 3), around[t : t + 5], 1)[0] for t in range(len(cepstra))]
    np.testing.assert_allclose(found[:, 13:], slope, atol=1e-9)


def test_a_signal_shorter_than_a_window_has_one_frame():
    assert mfcc(torch.zeros(3)).shape == (1, 26)


def recording(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(samples.astype("<i2").tobytes())


def test_a_folder_of_recordings_becomes_labelled_sequences(tmp_path):
    pytest.importorskip("soundfile")
    source = np.random.default_rng(0)
    sounds = {f"{word}/{i}": source.integers(-9999, 9999, 800 + 400 * i) for word in ("no", "yes") for i in range(3)}
    for name, samples in sounds.items():
        recording(tmp_path / "words" / f"{name}.wav", samples)
    assert cepstra(tmp_path / "words", tmp_path / "words.npz") == 6
    with np.load(tmp_path / "words.npz") as file:
        found = dict(file)
    assert found["y"].tolist() == ["no"] * 3 + ["yes"] * 3
    rows = Ragged(torch.from_numpy(found["x"]), torch.from_numpy(found["lengths"]))
    for row, samples in zip(rows, sounds.values(), strict=True):
        torch.testing.assert_close(row, mfcc(torch.from_numpy(samples) / 2**15).float(), rtol=1e-4, atol=1e-4)
    with pytest.raises(DataError, match="npz"):
        cepstra(tmp_path / "words", tmp_path / "words.csv")
    for name in sounds:
        recording(tmp_path / "fast" / f"{name}.wav", sounds[name], 16000)
    with pytest.raises(DataError, match="channels, Hz = 1, 16000; expected recordings with 1, 8000"):
        cepstra(tmp_path / "fast", tmp_path / "fast.npz")


def archive(folder, root="", rate=8000, take=0):
    path = folder / "free-spoken-digit-dataset.zip"
    content = io.BytesIO()
    with wave.open(content, "wb") as recording:
        recording.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        recording.writeframes(bytes(1000))
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{root}recordings/7_theo_{take}.wav", content.getvalue())
    return path


def test_the_digest_is_of_the_recordings_wherever_their_folder_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert content_digest(archive(tmp_path / "a")) == content_digest(archive(tmp_path / "b", "fsdd-1.0.10/"))
    assert content_digest(archive(tmp_path / "a")) != content_digest(archive(tmp_path / "b", take=1))


def test_another_archive_is_refused(tmp_path, monkeypatch):
    from zoo_hmm import spoken_digits

    (tmp_path / "fsdd").mkdir()
    path = archive(tmp_path / "fsdd")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    read = spoken_digits._features.__wrapped__
    with pytest.raises(ChecksumError, match="ZOO_DATA"):
        read()
    monkeypatch.setattr(spoken_digits, "SHA256", content_digest(path))
    ((key, frames),) = read().items()
    assert key == (7, "theo", 0)
    assert frames.shape == (5, 26)
    monkeypatch.setattr(spoken_digits, "SHA256", content_digest(archive(tmp_path / "fsdd", rate=16000)))
    with pytest.raises(IncompatibleError, match="8000"):
        read()


@pytest.mark.long
@pytest.mark.needs_data("spoken-digits-mfcc")
def test_the_words_of_the_official_test_are_recognised():
    train, test = datasets.load("spoken-digits-mfcc"), datasets.load("spoken-digits-mfcc", "test")
    assert (len(train), len(test)) == (2700, 300)
    assert torch.bincount(test.y).tolist() == [30] * 10
    assert torch.bincount(test.columns["speaker"]).tolist() == [50] * 6
    model = zoo_core.load("hmm-spoken-digits")
    assert evaluate(model, "recognised", data=test).value >= 97.0


@pytest.mark.slow
@pytest.mark.needs_data("spoken-digits-mfcc")
def test_words_of_a_speaker_that_was_never_heard_are_recognised():
    """Theo's, the easiest of the six speakers: 94 %."""
    script = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "new_speakers.py"))
    assert 90.0 <= script["recognised"]("theo") <= 97.0
