"""Readers' own data: every kind is read as it is, and damage is one clear line."""

from __future__ import annotations

import re
import struct
import sys
import types
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import zoo_core
from zoo_core import datasets
from zoo_core.datasets import sources
from zoo_core.datasets.sources import Reading, arrays, tree
from zoo_core.datasets.sources.fingerprint import fingerprint
from zoo_core.datasets.sources.survey import survey
from zoo_core.errors import DataError, NetworkError, PluginError
from zoo_core.interfaces import Ragged


def picture(place: Path, size=(8, 6), mode="RGB", colour=None, **options):
    place.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(place.stem.encode()))
    if mode == "RGB" and colour is None:
        image = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8))
    elif mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65535, (size[1], size[0])).astype(np.uint16))
    else:
        image = Image.new(mode, size, colour if colour is not None else 0)
    image.save(place, **options)
    return place


@pytest.fixture
def photos(tmp_path):
    for i in range(12):
        picture(tmp_path / "photos" / ("cat" if i % 3 else "dog") / f"{i:02d}.png")
    return tmp_path / "photos"


def notes(source):
    return " | ".join(sources.look(source).notes)


# --- what is read


def test_a_folder_of_pictures_has_the_labels_of_its_folders(photos):
    found = sources.look(photos)
    assert found.reader == {"kind": "image", "channels": 3, "height": 6, "width": 8, "labels": ["cat", "dog"]}
    assert (found.x.shape, found.x.dtype) == ((12, 3, 6, 8), torch.uint8)
    assert found.columns["label"].tolist().count(1) == 4
    first = np.asarray(Image.open(photos / "cat" / "01.png")).transpose(2, 0, 1)
    assert np.array_equal(found.x[0].numpy(), first)


def test_a_zip_of_a_folder_is_the_folder(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(photos).as_posix())
        archive.writestr("__MACOSX/._x.png", b"junk")
    assert torch.equal(sources.look(tmp_path / "photos.zip").x, sources.look(photos).x)
    assert fingerprint(tmp_path / "photos.zip") == fingerprint(photos)
    assert sources.name_of(tmp_path / "My Photos (2).zip") == "my-photos-2"


def test_data_of_your_own_do_not_take_the_name_of_a_registered_set(tmp_path):
    assert sources.name_of(tmp_path / "mnist.zip") == "own-mnist"


def test_splits_and_metadata_are_taken_from_the_source(photos, tmp_path):
    for side in ("train", "test"):
        for i in range(4):
            picture(tmp_path / "split" / side / "ab"[i % 2] / f"{i}{side}.png")
    train, test = (datasets.load("x", s, path=str(tmp_path / "split")) for s in ("train", "test"))
    assert (len(train), len(test), train.names["label"]) == (4, 4, ("a", "b"))
    names = [p.relative_to(photos).as_posix() for p in sorted(photos.rglob("*.png"))]
    rows = "\n".join(f"{name},{'odd' if i % 2 else 'even'}" for i, name in enumerate(names))
    (photos / "metadata.csv").write_text(f"file_name,kind\n{rows}\n")
    assert sources.look(photos).names["label"] == ("even", "odd")
    (photos / "metadata.csv").write_text("file_name,kind\n")
    with pytest.raises(DataError, match=r"metadata\.csv"):
        sources.look(photos)


def test_the_held_out_share_is_the_same_every_time_and_disjoint(photos):
    path = str(photos)
    train, test = (datasets.load("x", s, path=path, held_out=0.25) for s in ("train", "test"))
    assert (len(train), len(test)) == (9, 3)
    rows = {tuple(row.flatten().tolist()) for row in train.tensor} | {
        tuple(row.flatten().tolist()) for row in test.tensor
    }
    assert len(rows) == 12
    assert torch.equal(test.tensor, datasets.load("x", "test", path=path, held_out=0.25).tensor)
    assert test.split_of is not None
    assert len(test.split_of("train")) == 9


def test_pictures_of_every_mode_become_eight_bits(tmp_path):
    folder = tmp_path / "modes"
    picture(folder / "a.png", mode="L", colour=100)
    picture(folder / "b.png", mode="I;16")
    picture(folder / "c.png", mode="RGBA", colour=(255, 0, 0, 0))
    picture(folder / "d.jpg", mode="CMYK", colour=(0, 200, 200, 0))
    picture(folder / "e.gif", mode="P", colour=3, save_all=True, append_images=[Image.new("P", (8, 6), 5)])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(folder / "f.jpg", size=(6, 8), exif=exif)
    said = notes(folder)
    for word in ("CMYK", "8 bits", "transparent", "EXIF"):
        assert word in said
    found = sources.look(folder)
    assert found.x.shape == (6, 3, 6, 8)
    assert found.x[2].unique().tolist() == [255], "what is transparent is white"
    assert found.x[0].unique().tolist() == [100]


def test_an_animation_is_read_by_its_first_frame(tmp_path):
    frames = [Image.new("L", (8, 8), shade) for shade in (10, 200)]
    for name in "ab":
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:])
    assert "2 are animated" in notes(tmp_path)
    assert sources.look(tmp_path).x.float().mean() < 100


def test_mixed_and_large_sizes_are_brought_to_one(tmp_path):
    for i, size in enumerate([(40, 30), (20, 50), (33, 33), (300, 20)]):
        picture(tmp_path / "mixed" / f"{i}.png", size=size)
    found = sources.look(tmp_path / "mixed")
    assert found.reader["fit"] == "crop"
    assert found.x.shape == (4, 3, 28, 28)
    assert "4 sizes" in found.notes[0]
    assert sources.look(tmp_path / "mixed", Reading(size=(10, 12))).x.shape == (4, 3, 10, 12)
    for i in range(2):
        picture(tmp_path / "large" / f"{i}.png", size=(400, 200))
    assert sources.look(tmp_path / "large").x.shape == (2, 3, 32, 64)


@pytest.mark.parametrize(
    ("array", "kind", "shape", "kept"),
    [
        (np.arange(12.0).reshape(6, 2), "points", (2,), torch.float64),
        (np.arange(6), "points", (1,), torch.float64),
        (np.zeros((5, 8, 8), np.uint8), "image", (1, 8, 8), torch.uint8),
        (np.zeros((5, 8, 9, 3), np.uint8), "image", (3, 8, 9), torch.uint8),
        (np.ones((5, 1, 8, 9), np.float32), "image", (1, 8, 9), torch.uint8),
        (np.random.default_rng(0).normal(size=(5, 7, 3)), "sequence", (7, 3), torch.float32),
    ],
)
def test_arrays_are_read_by_shape_and_type(tmp_path, array, kind, shape, kept):
    np.save(tmp_path / "a.npy", array)
    found = sources.look(tmp_path / "a.npy")
    rows = found.x[torch.tensor([0, 3])]
    assert (found.kind, tuple(rows.shape[1:]), rows.dtype) == (kind, shape, kept)
    assert np.allclose(
        rows.reshape(2, -1).numpy(), array[[0, 3]].reshape(2, -1) * (255 if array.dtype == np.float32 else 1)
    )


def test_archives_of_arrays_have_labels(tmp_path):
    x = np.random.default_rng(0).normal(size=(10, 3))
    y = np.array([5, 9] * 5)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    save_file({"x": torch.from_numpy(x), "y": torch.from_numpy(y)}, tmp_path / "a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        found = sources.look(tmp_path / name)
        assert found.names["label"] == ("5", "9")
        assert found.columns["label"].tolist() == [0, 1] * 5


def test_sequences_have_lengths_and_may_lack_values(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 6, 2))
    x[0, 1, 1], x[1, 3:] = np.nan, np.inf  # what is behind a row's length is padding
    np.savez(tmp_path / "a.npz", x=x, lengths=[6, 3, 1, 6], y=[0, 1, 0, 1])
    found = sources.look(tmp_path / "a.npz")
    assert (found.kind, found.reader["features"], found.columns["label"].tolist()) == ("sequence", 2, [0, 1, 0, 1])
    assert found.x.lengths.tolist() == [6, 3, 1, 6]
    assert np.allclose(found.x.data[0].numpy(), x[0], equal_nan=True)
    assert "missing      1 cells" in survey(found).lines()
    np.save(tmp_path / "b.npy", np.where(np.isinf(x), np.nan, x))
    assert survey(sources.look(tmp_path / "b.npy")).missing == 7
    x[2, 0] = np.inf
    for name, arrays_ in {"a.npz": {"x": x, "lengths": [6, 3, 1, 6]}, "c.npz": {"x": x}}.items():
        np.savez(tmp_path / name, **arrays_)
        with pytest.raises(DataError, match=r"example [12] has infinite values"):
            sources.look(tmp_path / name)


@pytest.mark.parametrize(
    ("x", "lengths", "words"),
    [
        (np.zeros((3, 4), np.int64), [4, 1, 2], r"expected sequences \(n, longest, features\)"),
        (np.zeros((3, 4, 1)), [4, 1], "3 integers in 1 … 4"),
        (np.zeros((3, 4, 1)), [4, 1, 5], "3 integers in 1 … 4"),
        (np.zeros((3, 4, 1)), [4, 1, 0], "3 integers in 1 … 4"),
        (np.zeros((3, 4, 1)), [4.0, 1.0, 2.0], "3 integers in 1 … 4"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(tmp_path, x, lengths, words):
    np.savez(tmp_path / "a.npz", x=x, lengths=lengths)
    with pytest.raises(DataError, match=words):
        sources.look(tmp_path / "a.npz")


CSV = 'name,height,kind,born,note,"two\nlines"\nanna,1.70,a,2001-02-03,x,1\nÖrjan,,b,2001-02-04,x,2\n'


def test_a_table_has_columns_of_every_type(tmp_path):
    (tmp_path / "t.csv").write_text(CSV + "ida,1.62,a,,x,3\nbo,1.8,b,2002-01-01,x,5\n")
    found = sources.look(tmp_path / "t.csv")
    types_of = {column["name"]: column["type"] for column in found.reader["columns"] if "type" in column}
    assert types_of == {
        "height": "number", "kind": "category", "born": "date", "note": "constant", "two\nlines": "integer"
    }  # fmt: skip
    assert "'name' has 4 different texts" in " ".join(found.notes)
    assert found.x.isnan().sum() == 2
    assert found.x[:, 1].tolist() == [0, 1, 0, 1]
    columns = found.space.columns
    assert columns[2].text(found.x[1, 2].item()) == "2001-02-04"
    assert columns[0].text(found.x[0, 0].item()) == "1.70"
    assert survey(found).missing == 2
    assert "born: 2001-02-03 … 2002-01-01" in "\n".join(survey(found).lines())


def test_labels_are_a_column_and_parquet_is_a_table(tmp_path):
    import pandas

    frame = pandas.DataFrame(
        {"x": np.arange(10) / 4, "species": ["a", "b"] * 5, "when": pandas.date_range("2020", periods=10, freq="h")}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = sources.look(tmp_path / "t.parquet", Reading(label="species"))
    assert found.names == {"label": ("a", "b")}
    assert [column["name"] for column in found.reader["columns"]] == ["x", "when"]
    when = found.space.columns[1]
    assert when.text(found.x[3, 1].item()) == "2020-01-01 03:00:00"
    assert sources.look(tmp_path / "t.parquet", Reading(leave_out=("when", "species"))).x.shape == (10, 1)


def test_a_table_without_a_header_and_with_semicolons(tmp_path):
    (tmp_path / "t.csv").write_text("1.5;2\n2.5;3\n4.5;9\n")
    found = sources.look(tmp_path / "t.csv")
    assert [column["name"] for column in found.reader["columns"]] == ["x0", "x1"]
    assert found.x.tolist() == [[1.5, 2], [2.5, 3], [4.5, 9]]


def test_texts_are_tokens_and_recordings_audio(tmp_path):
    (tmp_path / "t.txt").write_text("abba\n\nab\n")
    found = sources.look(tmp_path / "t.txt")
    assert isinstance(found.x, Ragged)
    assert (found.x.lengths.tolist(), found.space.vocabulary, found.reader["symbols"]) == ([4, 2], 2, "ab")
    for i in range(4):
        place = tmp_path / "voices" / "ab"[i % 2] / f"{i}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(place), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(struct.pack("<" + "h" * (80 + i), *range(80 + i)))
    found = sources.look(tmp_path / "voices")
    assert (found.space.rate, found.x.lengths.tolist(), found.names["label"]) == (8000, [80, 82, 81, 83], ("a", "b"))


# --- what is refused, in one line


def broken(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Makes one damaged source of each kind, with a part of its message."""
    made: dict[str, tuple[Path, str]] = {}

    def text(name: str, content: str, says: str) -> None:
        (tmp_path / name).write_text(content)
        made[name] = tmp_path / name, says

    def array(name: str, values: np.ndarray, says: str) -> None:
        np.save(tmp_path / name, values)
        made[name] = tmp_path / name, says

    text("header.csv", "a,b\n", "no rows")
    text("duplicate.csv", "a,a\n1,2\n3,4\n", "two columns 'a'")
    text("infinite.csv", "a,b\n1,2\ninf,4\n", "not finite")
    text("empty-column.csv", "a\n\n\n", "no rows")
    text("constant.csv", "a,b\n1,x\n1,x\n", "no column that varies")
    text("many.csv", "a\n" + "\n".join(f"name{i}" for i in range(9)) + "\n", "no column that varies")
    text("ragged.csv", "a,b\n1,2\n1,2,3\n", "cannot be read")
    text("nothing.csv", "", "is empty")
    text("strange.xyz", "?", "unknown type")
    text("blank.txt", "\n\n", "no line")
    (tmp_path / "latin.csv").write_bytes("a,b\nå,2\n".encode("latin-1"))
    made["latin"] = tmp_path / "latin.csv", "not UTF-8"
    array("infinite.npy", np.array([[1.0, np.inf], [2, 3]]), "row 0 has an infinite")
    array("empty.npy", np.zeros((0, 3)), "at least one example")
    array("same.npy", np.ones((5, 2)), "the same numbers")
    array("cube.npy", np.zeros((2, 3, 4, 5, 6)), "expected points")
    array("nan.npy", np.full((3, 8, 8, 3), np.nan), "not finite")
    array("columns.npy", np.array([[1.0, np.nan], [2, np.nan]]), "column 1 has no number")
    (tmp_path / "pickle.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128) + b"\n"
    )
    made["pickle"] = tmp_path / "pickle.npy", "cannot be read"
    picture(tmp_path / "one" / "a.png")
    made["one picture"] = tmp_path / "one", "1 example"
    made["a picture"] = tmp_path / "one" / "a.png", "one picture"
    (tmp_path / "none").mkdir()
    made["empty folder"] = tmp_path / "none", "no files"
    (tmp_path / "corrupt").mkdir()
    picture(tmp_path / "corrupt" / "a.png")
    (tmp_path / "corrupt" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    made["corrupt picture"] = tmp_path / "corrupt", "b.png cannot be read"
    (tmp_path / "link").mkdir()
    picture(tmp_path / "link" / "a.png")
    (tmp_path / "link" / "b.png").symlink_to("/etc/hostname")
    made["link"] = tmp_path / "link", "is a link out of"
    with zipfile.ZipFile(tmp_path / "escape.zip", "w") as archive:
        archive.writestr("../evil.png", b"x")
    made["escape"] = tmp_path / "escape.zip", "leads out of the archive"
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(70 * 2**20))
    made["bomb"] = tmp_path / "bomb.zip", "swells"
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04half")
    made["half"] = tmp_path / "half.zip", "not a whole zip"
    made["missing"] = tmp_path / "nowhere", "there is no"
    return made


BROKEN = [
    "header.csv", "duplicate.csv", "infinite.csv", "empty-column.csv", "constant.csv", "many.csv", "ragged.csv",
    "nothing.csv", "strange.xyz", "blank.txt", "latin", "infinite.npy", "empty.npy", "same.npy", "cube.npy", "nan.npy",
    "columns.npy", "pickle", "one picture", "a picture", "empty folder", "corrupt picture", "link", "escape", "bomb",
    "half", "missing",
]  # fmt: skip


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    return broken(tmp_path_factory.mktemp("damaged"))


def test_every_damage_is_listed(damaged):
    assert sorted(damaged) == sorted(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_damage_is_one_clear_line(damaged, name):
    path, says = damaged[name]
    with pytest.raises(DataError) as raised:
        sources.divided(sources.look(path), "x", "train")
    message = str(raised.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 400


def test_data_that_changed_are_refused(photos):
    sha256 = fingerprint(photos)
    assert len(datasets.load("x", path=str(photos), sha256=sha256)) == 11
    picture(photos / "cat" / "new.png")
    with pytest.raises(DataError, match="is not what the model was trained on"):
        datasets.load("x", path=str(photos), sha256=sha256)


def test_other_data_are_read_as_the_reader_says(tmp_path):
    (tmp_path / "a.csv").write_text("x,kind\n1.5,a\n2.5,b\n3.5,c\n4.5,a\n5.5,b\n6.5,c\n")
    (tmp_path / "b.csv").write_text("kind,x\nc,1\nb,2\n")
    reader = dict(sources.look(tmp_path / "a.csv").reader)
    rows = torch.cat(
        [datasets.load("b", s, path=str(tmp_path / "b.csv"), reader=reader).tensor for s in ("train", "test")]
    )
    assert sorted(rows.tolist()) == [[1.0, 2.0], [2.0, 1.0]]
    (tmp_path / "c.csv").write_text("kind,x\nz,1\nb,2\n")
    with pytest.raises(DataError, match=re.escape("'z' is unknown; expected one of a, b, c")):
        datasets.load("c", path=str(tmp_path / "c.csv"), reader=reader)


def test_an_array_is_read_row_by_row(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(40.0).reshape(20, 2))
    found = sources.look(tmp_path / "a.npy")
    assert isinstance(found.x, arrays.Mapped)
    assert isinstance(found.x.values, np.memmap)
    data = datasets.load("a", path=str(tmp_path / "a.npy"))
    assert len(data) == 18
    assert data.rows(torch.tensor([0])).x.shape == (1, 2)


def test_a_large_archive_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"12345")
    monkeypatch.setattr(tree, "MOST", 4)
    with pytest.raises(DataError, match="unpack it"):
        sources.look(tmp_path / "a.zip")


# --- the Hub


def test_a_set_of_the_hub_needs_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PluginError, match="hub-data"):
        sources.look("hf:org/set")


class Rows:
    """A data set with the methods of the library's that are used."""

    def __init__(self, columns, kinds):
        self.columns = columns
        self.features = {name: type(kinds.get(name, "Value"), (), {})() for name in columns}

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        return (
            self.columns[key] if isinstance(key, str) else {name: column[key] for name, column in self.columns.items()}
        )

    def to_parquet(self, to):
        import pandas

        to.write(pandas.DataFrame(self.columns).to_parquet())


def test_sets_of_the_hub_are_pictures_or_tables(monkeypatch):
    asked = []
    images = [Image.new("L", (8, 8), i * 20) for i in range(6)]
    found = {
        "org/pictures": {
            "train": Rows({"image": images, "label": [0, 1] * 3}, {"image": "Image", "label": "ClassLabel"})
        },
        "org/table": {"train": Rows({"x": [1.5, 2.5, 3.5, 9.0], "kind": ["a", "b", "a", "b"]}, {})},
    }

    def load_dataset(name, part, revision):
        asked.append((name, part, revision))
        return found[name]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    pictures = sources.look("hf:org/pictures@abc123")
    assert asked[-1] == ("org/pictures", None, "abc123")
    assert pictures.x.shape == (6, 1, 8, 8)
    assert pictures.columns["label"].tolist().count(1) == 3
    table = sources.look("hf:org/table#part")
    assert asked[-1] == ("org/table", "part", None)
    assert table.x[:, 1].tolist() == [0, 1, 0, 1]
    assert fingerprint("hf:org/table") != fingerprint("hf:org/pictures") == fingerprint("hf:org/pictures@abc123")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="offline"):
        sources.look("hf:org/table")


def test_a_column_of_weights_counts_rows_several_times(tmp_path):
    """A Gaussian that is fitted with weights 1, 2, 0 has the mean and the covariance of the rows taken so often."""
    pandas = pytest.importorskip("pandas")
    rows = pandas.DataFrame({"x": [1.0, 4.0, 100.0, 2.5, -1.0], "y": [0.0, 1.0, -50.0, 3.0, 2.0], "w": [1, 2, 0, 1, 3]})
    rows.to_csv(tmp_path / "weighted.csv", index=False)
    found = sources.look(str(tmp_path / "weighted.csv"), Reading(weight="w"))
    assert found.columns["weight"].tolist() == [1, 2, 0, 1, 3]
    assert [column["name"] for column in found.reader["columns"]] == ["x", "y"]
    assert found.reader["weight"] == "w"
    one = {"config": {"components": 1}, "held_out": 1e-9, "iterations": 50}
    weighted = zoo_core.fit("gmm", rows, weight="w", **one)
    often = zoo_core.fit("gmm", rows.loc[rows.index.repeat(rows["w"])].drop(columns="w"), **one)
    inside = [(m.means[0], m.space.encoding) for m in (weighted, often)]
    means = [encoding.decode(mean[None].float())[0].tolist() for mean, encoding in inside]
    assert means[0] == pytest.approx(means[1], abs=1e-3)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["1", "-2", "1"], "column 'w': -2 is no weight; give each row a number of at least 0"),
        (["1", "heavy", "1"], "column 'w': heavy is no weight"),
        (["1", "", "1"], "column 'w': an empty cell is no weight"),
        (["0", "0", "0"], "column 'w': every weight is 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(tmp_path, weights, message):
    pytest.importorskip("pandas")
    lines = ["x,w", *(f"{i},{weight}" for i, weight in enumerate(weights))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        sources.look(str(tmp_path / "t.csv"), Reading(weight="w"))
