"""safetensors: whole, or refused with the reason before a tensor is built; and the same bytes every time."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
import safetensors.torch
import torch

from zoo_core.errors import WeightsError
from zoo_core.loading import weights_file

STATE = {"a": torch.arange(6, dtype=torch.float32).view(2, 3), "b": torch.ones(4, dtype=torch.int64)}
GOOD = weights_file.serialise(STATE)


def claim(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_what_is_written_is_read():
    back = weights_file.parse(GOOD, name="x")
    assert all(torch.equal(back[k], v) and back[k].dtype == v.dtype for k, v in STATE.items())


def test_the_bytes_do_not_depend_on_the_order():
    assert weights_file.serialise(dict(reversed(STATE.items()))) == GOOD
    assert weights_file.serialise(STATE) == GOOD


def test_strided_and_shared_tensors_are_written_as_they_look():
    x = torch.arange(12.0).view(3, 4)
    back = weights_file.parse(weights_file.serialise({"t": x.T, "row": x[1], "same": x[1]}), name="x")
    assert torch.equal(back["t"], x.T)
    assert torch.equal(back["row"], back["same"])


LIES = {
    "nothing": (b"", "0 bytes"),
    "seven bytes": (b"1234567", "7 bytes"),
    "length beyond the file": (file({}, length=1 << 40), "claims 1,099,511,627,776 bytes"),
    "length of all ones": (b"\xff" * 16, "claims"),
    "no JSON": (file(b"{not json"), "no JSON object"),
    "a list": (file([1]), "no JSON object"),
    "deep nesting": (file(b"[" * 5000), "no JSON object"),
    "a name twice": (
        file(b'{"a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}, "a": {}}', b"x"),
        "a name is in it twice",
    ),
    "metadata of numbers": (file({"__metadata__": {"a": 1}}), "metadata"),
    "a missing key": (file({"a": {"dtype": "F32", "shape": [1]}}), "not dtype, shape and data_offsets"),
    "an unknown dtype": (file({"a": claim([1], 0, 8, "C64")}, b"x" * 8), "unknown dtype 'C64'"),
    "a negative shape": (file({"a": claim([-1, -1], 0, 4)}, b"x" * 4), "shape"),
    "a shape of bools": (file({"a": claim([True], 0, 4)}, b"x" * 4), "shape"),
    "a huge shape": (file({"a": claim([1 << 62, 1 << 62], 0, 4)}, b"x" * 4), "claims"),
    "too few bytes": (file({"a": claim([2], 0, 4)}, b"x" * 4), r"claims \[2\] of F32 in 4 bytes"),
    "offsets beyond the end": (file({"a": claim([4], 0, 16)}, b"x" * 8), "take 16 bytes of 8"),
    "offsets backwards": (file({"a": claim([1], 8, 4)}, b"x" * 8), "claims"),
    "overlap": (file({"a": claim([2], 0, 8), "b": claim([2], 4, 12)}, b"x" * 12), "begin at 4, not where"),
    "a hole": (file({"a": claim([1], 0, 4), "b": claim([1], 8, 12)}, b"x" * 12), "begin at 8, not where"),
    "bytes left over": (file({"a": claim([1], 0, 4)}, b"x" * 9), "take 4 bytes of 9"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(lie):
    content, message = LIES[lie]
    with pytest.raises(WeightsError, match=message):
        weights_file.parse(content, name="x")


@pytest.mark.parametrize("end", range(0, len(GOOD), 7))
def test_a_part_is_refused(end):
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        weights_file.parse(GOOD[:end], name="x")


def test_five_hundred_random_headers_never_crash():
    """Mutations of a good file load as safetensors itself loads them, or are refused with a reason."""
    source = random.Random(0)
    header_end = 8 + struct.unpack_from("<Q", GOOD)[0]
    for _ in range(500):
        content = bytearray(GOOD)
        for _ in range(source.randint(1, 3)):
            content[source.randrange(header_end)] = source.randrange(256)
        try:
            ours = weights_file.parse(bytes(content), name="x")
        except WeightsError:
            continue
        theirs = safetensors.torch.load(bytes(content))
        assert ours.keys() == theirs.keys()
