"""Generated files: registries, ``config.json``, safetensors headers.  Each is an error with its exit code, or is right.

Seeds are fixed, so that every run has the same cases: 600 registry files, 500 configs, 700 weights files.
"""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tomlkit
import torch

import zoo_core
from zoo_core import lookup, registry
from zoo_core.cli import info
from zoo_core.errors import RegistryError, WeightsError
from zoo_core.fetching import bundled
from zoo_core.loading import weights_file
from zoo_core.saving import snapshot

NASTY: list[Any] = [
    None, True, False, -1, 0, 1, 7, 1 << 20, 1 << 31, 1 << 63, 1 << 64, 10**30, 10**400, -(10**400), 0.5, -0.0, 1e308,
    5e-324, math.inf, -math.inf, math.nan, "", " ", "x", "a" * 9999, "../../etc/passwd", "/dev/zero", "..", ".", "\x00",
    "\x1b[31mred", "two\nlines", "\ud800", "ｄdpm", "é́", "‮", "os:system", "builtins:eval", "zoo_gmm.model:__doc__",
    "hf:org/x", "-rf", "'; import os", "{}", "[]", [], {}, [[]], [None], [1, -1], [2] * 70, [1 << 62, 1 << 62],
    {"a": {"b": {}}}, {"": ""}, {"__class__": "x"}, {"self": 1}, ["flip"], {"name": "ddim", "steps": "x"},
]  # fmt: skip


def nested(depth: int, kind: type) -> Any:
    value: Any = kind()
    for _ in range(depth):
        value = {"a": value} if kind is dict else [value]
    return value


NASTY += [nested(depth, kind) for depth in (30, 400) for kind in (dict, list)]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a tree."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def mutated(value: Any, source: random.Random) -> Any:
    """A copy with one to three values replaced, removed or renamed."""
    value = copy.deepcopy(value)
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        path = source.choice([p for p in places(value) if p] or [()])
        if not path:
            return source.choice(NASTY)
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        action = source.random()
        if action < 0.15:
            del holder[path[-1]]
        elif action < 0.25 and isinstance(holder, dict):
            name = source.choice([v for v in NASTY if isinstance(v, str)])
            holder[name] = holder.pop(path[-1])
        elif action < 0.3 and isinstance(holder, dict):
            holder[source.choice(["extra", "a" * 3000, "schema", "eval", "weights"])] = source.choice(NASTY)
        else:
            holder[path[-1]] = source.choice(NASTY)
    return value


def scrambled(content: bytes, source: random.Random) -> bytes:
    """A copy with bytes changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        action = source.randrange(5)
        if action == 0 and data:
            data[min(at, len(data) - 1)] = source.randrange(256)
        elif action == 1:
            del data[at : at + source.randint(1, 40)]
        elif action == 2:
            data[at:at] = data[at : at + source.randint(1, 200)]
        elif action == 3:
            data[at:at] = source.choice([b"\0", b"\xff\xfe", b"[[[[", b'"', b"{", b"\n", "é".encode(), b"9" * 5000])
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.slow
def test_six_hundred_registry_files(tmp_path, monkeypatch, judged):
    """What is read can be shown: ``zoo list``, ``zoo info``, a model card, without another error."""
    text = registry.central_file().read_text(encoding="utf-8")
    tables = tomlkit.parse(text).unwrap()
    names = ["gmm-eight-gaussians", "ddpm-moons", "vae-moons"]
    base = tables | {"models": {name: tables["models"][name] for name in names}, "deprecated": {"old": names[0]}}
    whole = tomlkit.dumps(base).encode()
    source, seen = random.Random(1), Counter()
    file = tmp_path / "registry.toml"
    for case in range(600):
        content = dumped(mutated(base, source)) if case % 3 else scrambled(whole, source)
        file.write_bytes(content)
        distribution = source.choice(["", "", "", "zoo-gmm"])
        found = judged(f"registry {case}", lambda d=distribution: registry.read(file, distribution=d), codes={6})
        seen["read" if found else "refused"] += 1
        if found:
            entries = {entry.id: entry for entry in found.entries}
            monkeypatch.setattr(registry, "load", lambda e=entries: registry.Registry(dict(e)))
            for name, entry in entries.items():
                for line in [*info._lines(lookup.info(name)), *map(info.measured, entry.evaluations)]:
                    "".join(line).encode()
                json.dumps([entry.table()]).encode()
                if entry.weights:
                    snapshot.card(entry).encode()
    assert min(seen["read"], seen["refused"]) > 50, seen


def dumped(value: Any) -> bytes:
    """TOML of a mutated tree; of what TOML cannot say, its JSON, which is no TOML."""
    try:
        return tomlkit.dumps(value).encode("utf-8", "surrogatepass")
    except Exception:
        return b"models = " + repr(value)[:5000].encode("utf-8", "replace")


def test_a_registry_file_that_is_no_file(tmp_path, judged):
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("nowhere", "", ".", "link", "loop", "a" * 5000, "\0"):
        assert judged(name, lambda n=name: registry.read(tmp_path / n), codes={6}) is None
    with open(tmp_path / "huge.toml", "wb") as f:
        f.truncate(1 << 40)
    with pytest.raises(RegistryError, match="is larger than"):
        registry.read(tmp_path / "huge.toml")


def test_five_hundred_configs(tmp_path, judged):
    """A folder with a changed ``config.json`` loads the same bits, or is refused as bad weights or a missing plugin."""
    source, seen = random.Random(2), Counter()
    bases = {}
    for name in ("gmm-eight-gaussians", "ddpm-moons", "vae-moons", "gan-eight-gaussians"):
        folder = bundled.folder_of(registry.load().get(name))
        assert folder is not None
        shutil.copytree(folder, tmp_path / name)
        right = zoo_core.load(name).state_dict()
        bases[name] = json.loads((folder / "config.json").read_text(encoding="utf-8")), right
    for case in range(500):
        name = source.choice(list(bases))
        base, right = bases[name]
        content = scrambled(json.dumps(base).encode(), source) if case % 5 == 0 else written(mutated(base, source))
        (tmp_path / name / "config.json").write_bytes(content)
        model = judged(f"config {case} of {name}", lambda n=name: zoo_core.load(str(tmp_path / n)), codes={4, 6})
        seen["loaded" if model else "refused"] += 1
        if model:
            assert model.state_dict().keys() == right.keys()
            assert all(torch.equal(value, right[key]) for key, value in model.state_dict().items()), content
    assert min(seen["loaded"], seen["refused"]) > 50, seen


def written(value: Any) -> bytes:
    return json.dumps(value).encode()  # a surrogate is escaped, NaN is NaN


GREEDY = {
    "a layer of a terabyte": {"components": 1 << 19},
    "a number beyond all": {"components": 10**30},
    "a tensor of another size": {"shape": [1 << 20]},
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_config_cannot_make_the_model_larger_than_its_weights(tmp_path, kind):
    """The shapes are compared with the file's before there is memory for them."""
    folder = bundled.folder_of(registry.load().get("gmm-eight-gaussians"))
    shutil.copytree(folder, tmp_path / "ring")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["config"] |= GREEDY[kind]
    (tmp_path / "ring" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    before = resident()
    with pytest.raises(WeightsError, match=r"does not fit|is accepted"):
        zoo_core.load(str(tmp_path / "ring"))
    assert resident() - before < 100 * 2**20


def resident() -> int:
    """The most memory that this process ever had, in bytes (``getrusage`` says its parent's, where that is more)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    pytest.skip("this system does not say how much memory a process had")


def test_a_config_cannot_ask_for_layers_without_end(tmp_path):
    folder = bundled.folder_of(registry.load().get("vae-moons"))
    shutil.copytree(folder, tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["config"]["network"]["hidden"] = [1] * 50_000
    (tmp_path / "vae" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"describes more than .* modules and tensors"):
        zoo_core.load(str(tmp_path / "vae"))


STATE = {
    "a": torch.arange(6, dtype=torch.float32).view(2, 3),
    "b.weight": torch.ones(4, dtype=torch.int64),
    "c": torch.tensor([True, False, True]),
    "d": torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
}


def headers(source: random.Random) -> Iterator[bytes]:
    """Weights files with changed headers, lying lengths, names twice, other bytes; and files of random bytes."""
    good = weights_file.serialise(STATE)
    (length,) = struct.unpack_from("<Q", good)
    header, data = json.loads(good[8 : 8 + length]), good[8 + length :]
    while True:
        kind = source.randrange(8)
        if kind <= 2:
            text = json.dumps(mutated(header, source)).encode()
        elif kind == 3:
            tree = copy.deepcopy(header)
            claim = tree[source.choice(list(STATE))]
            begin, end = claim["data_offsets"]
            claim["data_offsets"] = [begin + source.randint(-9, 9), end + source.choice([-8, -1, 0, 1, 8, 1 << 40])]
            claim["dtype"] = source.choice(["F32", "F64", "I8", "BOOL", "U64", "C64", "F4", "f32", claim["dtype"]])
            text = json.dumps(tree).encode()
        elif kind == 4:
            name = source.choice(list(STATE))
            text = json.dumps(header).encode()[:-1] + f', "{name}": {json.dumps(header[name])}}}'.encode()
        elif kind == 5:
            yield scrambled(good, source)
            continue
        elif kind == 6:
            yield source.randbytes(source.randrange(200))
            continue
        else:
            text = json.dumps(header).encode() + b" " * source.randrange(16)
        lie = source.choice([0] * 16 + [1, -1, 8, 1 << 20, 1 << 62, len(data)])
        cut = source.choice([len(data)] * 12 + [len(data) - 1, 0])
        more = source.choice([b""] * 12 + [b"\0", b"x" * 9])
        yield struct.pack("<Q", max(len(text) + lie, 0)) + text + data[:cut] + more


def test_seven_hundred_weights_files(judged):
    """What is accepted has the tensors that safetensors reads, to the bit; all else is bad weights, exit code 4."""
    source, seen = random.Random(3), Counter()
    made = headers(source)
    for case in range(700):
        content = next(made)
        tensors = judged(f"header {case}", lambda c=content: weights_file.parse(c, name="x"), codes={4})
        seen["read" if tensors is not None else "refused"] += 1
        if tensors is not None:
            theirs = safetensors.torch.load(content)
            assert tensors.keys() == theirs.keys()
            for key, value in theirs.items():
                assert tensors[key].dtype == value.dtype
                assert tensors[key].shape == value.shape
                assert torch.equal(bits(tensors[key]), bits(value)), key
    assert min(seen["read"], seen["refused"]) > 40, seen


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def one(dtype: str = '"U8"', shape: str = "1", offsets: str = "0, 1") -> str:
    return f'{{"a": {{"dtype": {dtype}, "shape": [{shape}], "data_offsets": [{offsets}]}}}}'


SLOW_HEADERS = {
    "a shape of a hundred thousand numbers": one(shape="9, " * 100_000 + "1"),
    "numbers of four thousand digits": one(shape=("9" * 4000 + ", ") * 100 + "1"),
    "numbers of five thousand digits": one(shape="9" * 5000),
    "a hundred thousand brackets": "[" * 100_000,
    "a dtype that is a list": one(dtype="[]"),
    "a shape of no elements and huge sides": one(shape="0, 4611686018427387904, 4", offsets="0, 0"),
    "infinity and NaN": one(shape="Infinity, NaN"),
    "truth values that are none": one(dtype='"BOOL"'),
}


@pytest.mark.parametrize("kind", SLOW_HEADERS)
def test_headers_made_to_take_long(kind, judged):
    text = SLOW_HEADERS[kind].encode()
    content = struct.pack("<Q", len(text)) + text + b"x"
    assert judged(kind, lambda: weights_file.parse(content, name="x"), codes={4}, seconds=2) is None


# Memory.


def test_a_header_takes_no_more_memory_than_a_bound():
    """The worst JSON for its length: many small tables; refused above two megabytes before it is parsed."""
    text = b"[" + b"{}," * (weights_file.MAX_HEADER // 3 - 1) + b"{}]"
    content = struct.pack("<Q", len(text)) + text
    tracemalloc.start()
    with pytest.raises(WeightsError, match="no JSON object"):
        weights_file.parse(content, name="x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * 2**20
    text += b" " * weights_file.MAX_HEADER
    content = struct.pack("<Q", len(text)) + text
    tracemalloc.start()
    with pytest.raises(WeightsError, match="more than 2,000,000"):
        weights_file.parse(content, name="x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


LOAD = """
import sys
import zoo_core
zoo_core.load("gmm-eight-gaussians")  # what is imported is imported
zoo_core.load(sys.argv[1] + "-small")
def peak():
    (line,) = (l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
before = peak()
model = zoo_core.load(sys.argv[1])
assert float(model.state_dict()["means"].sum()) == 3.0, "not what was saved"
print(peak() - before)
"""


@pytest.mark.slow
def test_a_file_of_64_megabytes_is_loaded_in_twice_its_size(tmp_path):
    """The bytes once and the model once: measured as the peak of resident memory in a process of its own."""
    resident()
    from dataclasses import replace

    model = zoo_core.load("gmm-eight-gaussians")
    for name, components in (("big", 1 << 20), ("big-small", 4)):
        config = {"shape": [8], "components": components, "covariance": "diagonal"}
        entry = replace(model.entry, config=config, evaluations=())
        state = dict(zoo_core.loading.build(entry).state_dict())
        for key in state:
            state[key] = torch.zeros_like(state[key])
        state["means"][0, :3] = 1.0
        weights = snapshot.save(tmp_path / name, entry, state)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "big")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "big" / "model.safetensors").stat().st_size
    assert size > 60 * 2**20, weights
    assert int(done.stdout) <= 2.05 * size, f"{int(done.stdout) / size:.2f} times the file"
