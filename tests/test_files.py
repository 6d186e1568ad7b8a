"""Files of samples: what is in them, that reading gives back what was written, and that damage is one line."""

from __future__ import annotations

import csv
import json
import math
import wave

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError, IncompatibleError, ZooError
from zoo_core.files import folders, formats
from zoo_core.filling.masks import known_part
from zoo_core.interfaces import Column, Ragged, SampleSpace
from zoo_core.saving.samples import save_one, save_samples

COLUMNS = (Column("age", "integer"), Column("colour", "category", ("red", "light, blue")), Column("height"))
SPACES = {
    "grey": SampleSpace("image", (1, 3, 4), -1.0, 1.0),
    "rgb": SampleSpace("image", (3, 3, 4), 0.0, 1.0),
    "spectral": SampleSpace("image", (5, 3, 4), -1.0, 1.0),
    "lines of writing": SampleSpace("image", (1, 3, None), 0.0, 1.0),
    "points": SampleSpace("points", (3,)),
    "sequence": SampleSpace("sequence", (None, 2)),
    "frames": SampleSpace("sequence", (4, 2)),
    "tokens": SampleSpace("tokens", (None,), vocabulary=12),
    "text": SampleSpace("tokens", (None,), vocabulary=12, letters="abcdefgh ,.?"),
    "codes": SampleSpace("tokens", (4,), vocabulary=12),
    "audio": SampleSpace("audio", (1, None), -1.0, 1.0, rate=8000),
    "stereo": SampleSpace("audio", (2, 30), rate=16000),
    "table": SampleSpace("table", (3,), columns=COLUMNS),
    "words": SampleSpace("table", (1,), columns=COLUMNS[1:2]),
}


def draw(space, count=5):
    source = torch.Generator().manual_seed(3)
    lengths = [3, 1, 5, 2, 4]
    rows = []
    for i in range(count):
        shape = [lengths[i % 5] if size is None else size for size in space.shape]
        if space.kind == "tokens":
            rows.append(torch.randint(0, space.vocabulary, shape, generator=source))
        elif space.kind == "table":
            cells = {"age": 30 + i, "colour": i % 2, "height": 1.7 + 0.1 * i}
            rows.append(torch.tensor([cells[column.name] for column in space.columns]).float())
        elif space.low is not None:
            rows.append(torch.rand(shape, generator=source))
        else:
            rows.append(torch.rand(shape, generator=source) * 2 - 1)
    return torch.stack(rows) if space.open_axis is None else Ragged.of(rows, space.open_axis)


def same(a, b, atol=0.0):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert torch.allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("name", SPACES)
def test_what_is_written_is_read_back(name, tmp_path):
    """To the bit, but for 8 bits of a picture and 16 of a recording; other padding gives the same bytes."""
    space = SPACES[name]
    x = draw(space)
    tried = 0
    for suffix in formats.readable(space):
        one = suffix in (".wav", *formats.PICTURES)
        given = x[:1] if one else x
        file = tmp_path / f"x{suffix}"
        if one:
            save_one(next(iter(given)), file, space)
        else:
            save_samples(given, str(file), space)
        if isinstance(given, Ragged):
            save_samples(given.padded_with(7), str(tmp_path / f"y{suffix}"), space) if not one else None
            assert one or file.read_bytes() == (tmp_path / f"y{suffix}").read_bytes()
        atol = {".png": 0.5 / 255, ".webp": 0.5 / 255, ".wav": 1 / 65534}.get(suffix, 0.0)
        found = read_samples(str(file), space)
        if suffix not in (".jpg", ".jpeg"):
            same(found, given, atol + 1e-7 * bool(atol))
        tried += 1
    assert tried >= 4


@pytest.mark.parametrize("name", SPACES)
def test_every_format_that_is_said_to_work_works_and_no_other(name, tmp_path):
    space = SPACES[name]
    x = draw(space)
    for suffix in dict.fromkeys((*formats.PICTURES, *formats.FORMATS, ".gif", ".pdf", "")):
        target = str(tmp_path / f"x{suffix}")
        if suffix not in formats.writable(space):
            with pytest.raises(IncompatibleError, match="cannot write"):
                save_samples(x, target, space)
        elif suffix == ".wav":
            with pytest.raises(IncompatibleError, match=r"5 recordings .* which holds one; use a folder: x/"):
                save_samples(x, target, space)
        else:
            save_samples(x, target, space)
    assert not list(tmp_path.glob(".*"))


def test_points_are_a_table_with_a_header(tmp_path):
    save_samples(torch.tensor([[0.1, -2.0], [3.0, torch.nan]]), str(tmp_path / "x.csv"), SampleSpace("points", (2,)))
    assert (tmp_path / "x.csv").read_text() == "x0,x1\n0.1,-2.0\n3.0,nan\n"
    x = torch.tensor([[0.1]], dtype=torch.float64)
    save_samples(x / 3, str(tmp_path / "x.csv"), SampleSpace("points", (1,)))
    assert float((tmp_path / "x.csv").read_text().splitlines()[1]) == 0.1 / 3


def test_sequences_are_a_table_of_time_steps(tmp_path):
    x = Ragged.of([torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0]])]).padded_with(-1)
    save_samples(x, str(tmp_path / "x.csv"), SPACES["sequence"])
    assert (tmp_path / "x.csv").read_text() == "sample,step,x0,x1\n0,0,1.0,2.0\n0,1,3.0,4.0\n1,0,5.0,6.0\n"


def test_tokens_are_rows_without_padding(tmp_path):
    x = Ragged.of([torch.tensor([1, 0, 11]), torch.tensor([], dtype=torch.int64), torch.tensor([2])]).padded_with(9)
    expected = {".csv": "1,0,11\n\n2\n", ".txt": "1 0 11\n\n2\n", ".json": "[\n[1, 0, 11],\n[],\n[2]\n]\n"}
    for suffix, text in expected.items():
        save_samples(x, str(tmp_path / f"x{suffix}"), SPACES["tokens"])
        assert (tmp_path / f"x{suffix}").read_text() == text
        same(read_samples(str(tmp_path / f"x{suffix}"), SPACES["tokens"]), x)
    (tmp_path / "padded.csv").write_text("1,0,11\n2,,\n")  # as a spreadsheet saves it
    assert read_samples(str(tmp_path / "padded.csv"), SPACES["tokens"]).lengths.tolist() == [3, 1]


def test_tokens_of_a_text_are_its_characters(tmp_path):
    space = SampleSpace("tokens", (None,), vocabulary=4, letters="ac t")
    x = Ragged.of([torch.tensor([1, 0, 2]), torch.tensor([], dtype=torch.int64), torch.tensor([3])]).padded_with(9)
    save_samples(x, str(tmp_path / "x.txt"), space)
    assert (tmp_path / "x.txt").read_text() == "ca \n\nt\n"
    same(read_samples(str(tmp_path / "x.txt"), space), x)
    with pytest.raises(ValueError, match="expected 4 different characters"):
        SampleSpace("tokens", (None,), vocabulary=4, letters="acca")


def test_tokens_may_be_missing(tmp_path):
    contents = {".csv": "1,?,3\n", ".txt": "1 ? 3\n", ".json": "[[1, null, 3]]\n"}
    for suffix, text in contents.items():
        (tmp_path / f"x{suffix}").write_text(text)
        found = read_samples(str(tmp_path / f"x{suffix}"), SPACES["tokens"], missing=True)
        assert found.data.tolist() == [[1, -1, 3]]
        assert known_part(found, None, SPACES["tokens"]).tolist() == [[True, False, True]]
        with pytest.raises(DataError):
            read_samples(str(tmp_path / f"x{suffix}"), SPACES["tokens"])


def test_tables_have_the_names_and_the_types_of_their_columns(tmp_path):
    x = torch.tensor([[30.0, 1.0, 1.5], [31.5, 0.0, 2.0], [2.0**24, 7.0, torch.nan]])
    save_samples(x, str(tmp_path / "x.csv"), SPACES["table"])
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["age", "colour", "height"], ["30", "light, blue", "1.5"], ["31.5", "red", "2.0"], ["16777216", "7", ""],
    ]  # fmt: skip
    save_samples(x, str(tmp_path / "x.json"), SPACES["table"])
    assert json.loads((tmp_path / "x.json").read_text())[2] == {"age": 16777216, "colour": 7, "height": None}
    (tmp_path / "y.csv").write_text('height,other,colour,age\n1.5,z,"light, blue",30\n1.25,z,0,31\n')
    same(read_samples(str(tmp_path / "y.csv"), SPACES["table"]), torch.tensor([[30, 1, 1.5], [31, 0, 1.25]]))


def test_arrays_have_lengths_beside_them_and_no_objects(tmp_path):
    x = draw(SPACES["tokens"]).padded_with(7)
    for suffix in (".npz", ".safetensors"):
        save_samples(x, str(tmp_path / f"x{suffix}"), SPACES["tokens"])
    with np.load(tmp_path / "x.npz") as found:
        assert set(found) == {"samples", "lengths"}
        assert found["lengths"].tolist() == [3, 1, 5, 2, 4]
        assert found["samples"].dtype == np.int64
        assert (found["samples"][1, 1:] == 0).all()
    tensors = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert torch.equal(tensors["samples"], torch.from_numpy(np.load(tmp_path / "x.npz")["samples"]))
    before = (tmp_path / "x.npz").read_bytes()
    save_samples(x, str(tmp_path / "x.npz"), SPACES["tokens"])
    assert (tmp_path / "x.npz").read_bytes() == before
    save_samples(torch.zeros(2, 3, dtype=torch.bfloat16), str(tmp_path / "x.npy"), SPACES["points"])
    assert np.load(tmp_path / "x.npy").dtype == np.float32
    with pytest.raises(IncompatibleError, match=r"tokens any length, 12 different to .*: a \.npy file holds rows of"):
        save_samples(x, str(tmp_path / "y.npy"), SPACES["tokens"])


def test_a_recording_is_sixteen_bits_at_its_rate(tmp_path):
    """Full scale is −1 … 1, or the whole range of a space that has one; what is louder is cut."""
    x = torch.tensor([[0.0, 0.5, 1.0, 2.0, -1.0, torch.nan], [0.25] * 6])
    save_one(x, tmp_path / "x.wav", SampleSpace("audio", (2, 6), rate=16000))
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 16000, 6)
        levels = np.frombuffer(file.readframes(6), "<i2").reshape(6, 2)
    assert levels[:, 0].tolist() == [0, 16384, 32767, 32767, -32767, 0]
    assert levels[:, 1].tolist() == [8192] * 6
    save_one(torch.tensor([[0.0, 0.5, 1.0]]), tmp_path / "y.wav", SPACES["audio"])
    with wave.open(str(tmp_path / "y.wav")) as file:
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [-32767, 0, 32767]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_recordings_of_other_widths_are_read(width, tmp_path):
    """A ramp to the accuracy of its width: half a level of 8, 16, 24 and 32 bits, then of float32."""
    top = 2 ** (8 * width - 1) - 1
    levels = np.round(np.linspace(-1, 1, 101) * top).astype(np.int64)
    raw = b"".join(int(v + 128 if width == 1 else v).to_bytes(width, "little", signed=width > 1) for v in levels)
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, width, 8000, 101, "NONE", ""))
        file.writeframes(raw)
    x = read_samples(str(tmp_path / "x.wav"), SampleSpace("audio", (1, None), rate=8000))
    assert x.data.flatten().numpy() == pytest.approx(np.linspace(-1, 1, 101), abs=max(0.51 / top, 1e-7))


def test_folders(tmp_path):
    x = draw(SPACES["grey"])
    save_samples(x, str(tmp_path / "images") + "/", SPACES["grey"])
    assert [p.name for p in sorted((tmp_path / "images").iterdir())] == [f"{i:05d}.png" for i in range(5)]
    with Image.open(tmp_path / "images" / "00001.png") as picture:
        assert picture.size == (4, 3)
        assert picture.getpixel((2, 1)) == round(x[1, 0, 1, 2].item() * 255)
    save_samples(draw(SPACES["audio"]), str(tmp_path / "sounds") + "/", SPACES["audio"])
    assert [p.name for p in sorted((tmp_path / "sounds").iterdir())] == [f"{i:05d}.wav" for i in range(5)]
    for name in ("points", "sequence", "tokens", "table"):
        save_samples(draw(SPACES[name]), str(tmp_path / name) + "/", SPACES[name])
        assert [p.name for p in (tmp_path / name).iterdir()] == [f"{name}.csv"]
    (tmp_path / "there").mkdir()
    save_samples(x, str(tmp_path / "there"), SPACES["grey"])  # a folder that is there needs no slash
    assert len(list((tmp_path / "there").iterdir())) == 5
    (tmp_path / "file").write_text("")
    with pytest.raises(IncompatibleError, match="a file of that name is there"):
        save_samples(x, str(tmp_path / "file") + "/", SPACES["grey"])
    with pytest.raises(IncompatibleError, match=r"image 5×3×4 to a folder of pictures, .* use \.npz"):
        save_samples(draw(SPACES["spectral"]), str(tmp_path / "spectral") + "/", SPACES["spectral"])


def test_where_samples_go_unless_the_user_says():
    assert [formats.default_target(kind, "x", 64) for kind in formats.KINDS] == [
        "x.png", "x.png", "x.png", "x.png", "x/", "x.csv",
    ]  # fmt: skip
    assert formats.default_target("audio", "x", 1) == "x.wav"
    assert formats.advised_target({"tokens", "open"}) == "samples.png"
    assert formats.advised_target({"audio"}) == "samples/"
    assert formats.advised_target({"table", "numeric"}) == "samples.csv"
    assert formats.advised_target(()) == "samples.png"
    for kind in formats.KINDS:
        space = next(space for space in SPACES.values() if space.kind == kind)
        for count in (1, 64):
            formats.check_target(formats.default_target(kind, "x", count), space, count)


@pytest.mark.parametrize(
    ("reference", "stem"),
    [
        ("ddpm-mnist", "ddpm-mnist"), ("./runs/moons/model", "model"), ("./runs/moons/", "moons"), (".", "samples"),
        ("..", "samples"), ("/", "samples"), ("hf:me/moons@v1", "moons@v1"), ("local-dir:moons", "local-dir-moons"),
        ("~", "samples"), ("./größe x", "größe-x"),
    ],
)  # fmt: skip
def test_a_file_is_named_after_its_model(reference, stem):
    assert formats.file_stem(reference) == stem


def test_a_target_is_refused_before_the_model_is_known(tmp_path):
    with pytest.raises(IncompatibleError, match=r"cannot write samples to 'x\.abc'; use \.png"):
        formats.check_target("x.abc")
    with pytest.raises(IncompatibleError, match="make it first"):
        formats.check_target(str(tmp_path / "nowhere" / "x.png"))
    formats.check_target("x.wav")


def picture(path, size=(4, 3), mode="L"):
    Image.new(mode, size).save(path)


def recording(path, rate=8000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 2, "NONE", ""))
        file.writeframes(bytes(4 * channels))


def arrays(path, **content):
    np.savez(path, **content)


WRONG = {
    "a picture of another size": ("grey", "x.png", lambda p: picture(p, (9, 3)), "is 9×3 pixels; resize it to 4×3"),
    "no picture": ("grey", "x.png", lambda p: p.write_bytes(b"hello"), r"cannot be read as \.png"),
    "half a picture": ("grey", "x.png", lambda p: (picture(p), p.write_bytes(p.read_bytes()[:40])), r"as \.png"),
    "deep pixels": ("grey", "x.png", lambda p: picture(p, mode="I;16"), "more than 8 bits a channel"),
    "levels beyond 1": ("grey", "x.npy", lambda p: np.save(p, np.full((2, 1, 3, 4), 9.0)),
                        "values reach 9 … 9; expected 0 … 1, or 8-bit integers"),
    "an array of another shape": ("points", "x.npy", lambda p: np.save(p, np.zeros((2, 4))),
                                  "samples are of shape 4; expected points 3"),
    "an array of one number": ("points", "x.npy", lambda p: np.save(p, np.zeros(())), "expected points 3"),
    "objects": ("points", "x.npy", lambda p: np.save(p, np.array([{}], object), allow_pickle=True), "allow_pickle"),
    "not finite": ("points", "x.npy", lambda p: np.save(p, np.array([[0, 0, 0], [0, math.nan, 0]])),
                   "sample 1 has values that are not finite"),
    "no samples": ("points", "x.npy", lambda p: np.save(p, np.zeros((0, 3))), "has no samples"),
    "half a zip": ("points", "x.npz", lambda p: p.write_bytes(b"PK\x03\x04nothing"), r"cannot be read as \.npz"),
    "another name": ("points", "x.npz", lambda p: arrays(p, x=np.zeros((1, 3))), "the file has x; expected samples"),
    "tokens that are no integers": ("codes", "x.npy", lambda p: np.save(p, np.zeros((2, 4))),
                                    "tokens are torch.float64; expected integers 0 … 11"),
    "tokens beyond the vocabulary": ("codes", "x.npy", lambda p: np.save(p, np.full((2, 4), 12)),
                                     "tokens reach 12 … 12; expected 0 … 11"),
    "lengths beyond the end": ("tokens", "x.npz",
                               lambda p: arrays(p, samples=np.zeros((1, 2), int), lengths=np.array([3])),
                               "lengths reach 3 … 3; expected 0 … 2"),
    "another rate": ("audio", "x.wav", lambda p: recording(p, 44100), "44100 samples a second; resample it to 8000"),
    "another number of channels": ("audio", "x.wav", lambda p: recording(p, 8000, 2), "has 2 channels; expected 1"),
    "another length": ("stereo", "x.wav", lambda p: recording(p, 16000, 2), "of shape 2×2; expected audio 2×30"),
    "no recording": ("audio", "x.wav", lambda p: p.write_bytes(b"RIFF"), r"cannot be read as \.wav"),
    "words": ("points", "x.csv", lambda p: p.write_text("a,b,c\n1,2,three\n"), r"could not convert string to float"),
    "too few columns": ("points", "x.csv", lambda p: p.write_text("1,2\n"), "of shape 2; expected points 3"),
    "nothing": ("points", "x.csv", lambda p: p.write_text(""), "has no samples"),
    "only a header": ("points", "x.csv", lambda p: p.write_text("x0,x1,x2\n"), "has no samples"),
    "bytes": ("points", "x.csv", lambda p: p.write_bytes(b"\xff\xfe\x00"), r"cannot be read as \.csv"),
    "a missing column": ("table", "x.csv", lambda p: p.write_text("age,height\n3,1\n"), "row 0 has no column 'colour'"),
    "another category": ("table", "x.csv", lambda p: p.write_text("age,colour,height\n3,green,1\n"),
                         "row 0 has colour = 'green'; expected one of red, light, blue"),
    "a word for a number": ("table", "x.json", lambda p: p.write_text('[{"age": "x", "colour": 0, "height": 1}]'),
                            "row 0 has age = 'x'; expected an integer"),
    "time steps out of order": ("sequence", "x.csv", lambda p: p.write_text("sample,step,a,b\n0,1,0,0\n0,0,0,0\n"),
                                "rows of sample 0 are not in order"),
    "no list": ("points", "x.json", lambda p: p.write_text("{}"), "holds a dict; expected a list of samples"),
    "null": ("points", "x.json", lambda p: p.write_text("[[1, 2, null]]"), "are no numbers"),
    "ragged lists": ("points", "x.json", lambda p: p.write_text("[[1, [2], 3]]"), r"cannot be read as \.json"),
    "deep lists": ("points", "x.json", lambda p: p.write_text("[" * 100_000), r"cannot be read as \.json"),
    "fractions of tokens": ("tokens", "x.txt", lambda p: p.write_text("1 2.5\n"), r"cannot be read as \.txt"),
    "half a safetensors file": ("points", "x.safetensors", lambda p: p.write_bytes(b"123"), "not a whole safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_holds_something_else_is_one_line(case, tmp_path):
    name, file, write, words = WRONG[case]
    write(tmp_path / file)
    with pytest.raises(DataError, match=words) as failure:
        read_samples(str(tmp_path / file), SPACES[name])
    assert "\n" not in str(failure.value)
    assert file in str(failure.value)
    assert failure.value.exit_code == 4


def test_a_file_that_is_not_there_or_of_no_known_kind(tmp_path):
    with pytest.raises(IncompatibleError, match=r"there is no file '.*x\.png'; expected a file of image 1×3×4"):
        read_samples(str(tmp_path / "x.png"), SPACES["grey"])
    for name, file in (("grey", "x.gif"), ("points", "x.png"), ("spectral", "x.png"), ("tokens", "x.npy")):
        (tmp_path / file).write_bytes(b"")
        with pytest.raises(IncompatibleError, match=f"cannot read .* from '.*{file}'; use "):
            read_samples(str(tmp_path / file), SPACES[name])


def test_what_others_write(tmp_path):
    """Bytes for levels, one sample without a batch, a table without a header, a sequence on its own."""
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).reshape(1, 3, 4))
    assert read_samples(str(tmp_path / "x.npy"), SPACES["grey"])[0, 0, 0, 1] == pytest.approx(1 / 255)
    (tmp_path / "x.csv").write_text("1,2,3\r\n4,5,6\r\n")
    same(read_samples(str(tmp_path / "x.csv"), SPACES["points"]), torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    (tmp_path / "y.csv").write_text("\ufeffa,b\n1,2\n3,4\n", encoding="utf-8")
    same(read_samples(str(tmp_path / "y.csv"), SPACES["sequence"]), [torch.tensor([[1.0, 2], [3, 4]])])
    np.save(tmp_path / "z.npy", np.zeros((2, 4, 2), dtype=np.int32))
    assert read_samples(str(tmp_path / "z.npy"), SPACES["frames"]).dtype == torch.float32
    np.savez(tmp_path / "z.npz", samples=np.zeros((2, 4, 2)))
    assert read_samples(str(tmp_path / "z.npz"), SPACES["sequence"]).lengths.tolist() == [4, 4]
    Image.new("RGBA", (4, 3), (10, 20, 30, 255)).save(tmp_path / "x.png")
    assert read_samples(str(tmp_path / "x.png"), SPACES["rgb"])[0, :, 0, 0].tolist() == pytest.approx(
        [10 / 255, 20 / 255, 30 / 255]
    )


def test_empty_samples_of_open_length(tmp_path):
    x = Ragged.of([torch.zeros(0, 2), torch.ones(1, 2)])
    for suffix in (".json", ".npz", ".safetensors"):
        save_samples(x, str(tmp_path / f"x{suffix}"), SPACES["sequence"])
        same(read_samples(str(tmp_path / f"x{suffix}"), SPACES["sequence"]), x)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    from zoo_core.files import folders

    (tmp_path / "x.csv").write_text("before")
    monkeypatch.setattr(folders.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_samples(torch.zeros(2, 3), str(tmp_path / "x.csv"), SPACES["points"])
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "before"


def test_a_folder_that_may_not_replace_another_leaves_it_as_it_is(tmp_path):
    """Another process writes to the same place while the folder is being filled."""
    place = tmp_path / "place"

    def write():
        with folders.whole_folder(place, replace=False) as beside:
            (beside / "mine").write_text("", encoding="utf-8")
            place.mkdir()
            (place / "theirs").write_text("", encoding="utf-8")

    with pytest.raises(ZooError, match="what was there is unchanged"):
        write()
    assert [file.name for file in place.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [place]
