"""What a file says of how it was made: in every format, where other readers skip it."""

from __future__ import annotations

import io
import json
import struct
import wave

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from safetensors import safe_open

from zoo_core.files import notes
from zoo_core.files.notes import read_note, write_noted

NOTE = json.dumps({"zoo": 1, "what": "α" * 200})  # 1,200 characters of ASCII, more than a block of a GIF holds


def picture(form: str) -> bytes:
    memory, image = io.BytesIO(), Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30))
    more = (
        {"save_all": True, "append_images": [image.rotate(180), image.rotate(90)], "loop": 0} if form == "GIF" else {}
    )
    image.save(memory, format=form, **more)
    return memory.getvalue()


def sound(frames: int) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(range(frames)))
    return memory.getvalue()


def arrays() -> bytes:
    memory = io.BytesIO()
    np.savez(memory, samples=np.arange(12.0).reshape(3, 4), lengths=np.arange(3))
    return memory.getvalue()


def tensors() -> bytes:
    return safetensors.torch.save({"samples": torch.arange(5.0), "lengths": torch.ones(2)}, metadata={"format": "pt"})


CONTENTS = {
    "x.png": picture("PNG"),
    "x.jpg": picture("JPEG"),
    "x.JPEG": picture("JPEG"),
    "x.gif": picture("GIF"),
    "even.wav": sound(10),
    "odd.wav": sound(11),
    "x.npz": arrays(),
    "x.safetensors": tensors(),
    "x.webp": picture("WEBP"),
    "x.csv": b"a,b\n1,2\n",
    "x.npy": b"any bytes",
    "no-suffix": b"any bytes",
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("note", [NOTE, NOTE[:-1] + ' , "y": 0}'], ids=["even", "odd"])
def test_what_is_written_is_read_and_the_file_is_what_it_was(name, note, tmp_path):
    path, content = tmp_path / name, CONTENTS[name]
    sha256 = write_noted(path, content, note)
    assert json.loads(read_note(path)) == json.loads(note)
    first = path.read_bytes()
    assert write_noted(path, content, note) == sha256
    assert path.read_bytes() == first
    assert notes.file_sha256(path) == sha256
    suffix = path.suffix.lower()
    if not notes.beside(path).exists():
        assert len(first) > len(content)
        assert [file.name for file in tmp_path.iterdir()] == [name]
    else:
        assert first == content
        assert not notes.changed(path)
        path.write_bytes(content + b"!")
        assert notes.changed(path)
    if suffix in (".png", ".jpg", ".gif", ".jpeg"):
        with Image.open(path) as with_note, Image.open(io.BytesIO(content)) as without:
            assert getattr(with_note, "n_frames", 1) == getattr(without, "n_frames", 1)
            assert np.array_equal(np.asarray(with_note), np.asarray(without))
            said = with_note.info["zoo" if suffix == ".png" else "comment"]
            assert (said if isinstance(said, str) else said.decode()) == note
    elif suffix == ".wav":
        with wave.open(str(path)) as file:
            assert file.readframes(100) == bytes(range(file.getnframes()))
        assert struct.unpack("<I", first[4:8])[0] == len(first) - 8
        assert len(first) % 2 == 0
    elif suffix == ".npz":
        with np.load(path) as loaded:
            assert loaded.files == ["samples", "lengths"]
            assert loaded["samples"].shape == (3, 4)
    elif suffix == ".safetensors":
        assert torch.equal(safetensors.torch.load_file(path)["samples"], torch.arange(5.0))
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"zoo": note}


def test_other_readers_of_recordings(tmp_path):
    scipy_io = pytest.importorskip("scipy.io.wavfile")
    write_noted(tmp_path / "x.wav", sound(11), NOTE)
    assert scipy_io.read(tmp_path / "x.wav")[1].tolist() == list(range(11))


@pytest.mark.parametrize("name", ["x.jpg", "x.npz"])
def test_a_note_that_is_too_long_for_its_place_lies_beside(name, tmp_path):
    note = json.dumps({"zoo": 1, "label": list(range(20_000))})
    assert len(note) > 65_533
    write_noted(tmp_path / name, CONTENTS[name], note)
    assert (tmp_path / name).read_bytes() == CONTENTS[name]
    assert json.loads(read_note(tmp_path / name)) == json.loads(note)


def test_a_note_beside_goes_with_the_file_that_it_spoke_of(tmp_path):
    """Written again without a note, nothing says what is no longer true."""
    path = tmp_path / "x.csv"
    write_noted(path, b"1\n", NOTE)
    write_noted(path, b"2\n")
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("name", CONTENTS)
def test_no_note_is_none(name, tmp_path):
    write_noted(tmp_path / name, CONTENTS[name])
    assert (tmp_path / name).read_bytes() == CONTENTS[name]
    assert read_note(tmp_path / name) is None


@pytest.mark.long
def test_files_cut_short_or_changed_at_random_are_read_or_have_no_note(judged, tmp_path):
    """Forty-two of each format: a reader that trusts a length would hang, or take the memory that it claims."""
    generator = np.random.default_rng(0)
    for name, content in CONTENTS.items():
        path = tmp_path / name
        write_noted(path, content, NOTE)
        whole = bytearray(path.read_bytes())
        for case in range(42):
            damaged = whole[:case] if case % 3 == 0 else bytearray(whole)
            for _ in range(case % 7 if damaged else 0):
                reach = min(len(damaged), 60) if case % 2 else len(damaged)
                damaged[generator.integers(reach)] = generator.integers(256)
            path.write_bytes(damaged)
            found = judged(f"{name}, {case}", lambda path=path: read_note(path), codes=set(), seconds=2)
            assert found is None or isinstance(found, str)


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "x.csv.zoo.json")
    (tmp_path / "x.csv").write_text("1\n")
    assert read_note(tmp_path / "x.csv") is None
