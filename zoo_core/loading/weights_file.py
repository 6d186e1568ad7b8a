"""Reads safetensors files from memory, strictly, and writes them reproducibly.

A file is 8 bytes (the header's length, little endian), a JSON header (name → dtype, shape, [begin, end)), and the data.
The header is checked before a tensor is built, so that an error can say what is wrong with the file.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from zoo_core.errors import WeightsError

__all__ = ["MAX_HEADER", "check_header", "parse", "serialise", "tensors"]

MAX_HEADER = 2_000_000
"""Length of the longest header that is read, in bytes.

It has room for 13,000 tensors; parsed JSON takes up to 30 times its length in memory.
"""

MAX_RANK = 64
"""Greatest number of dimensions of a tensor in torch."""

_TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "U16": torch.uint16, "I16": torch.int16, "F16": torch.float16,
    "BF16": torch.bfloat16, "U32": torch.uint32, "I32": torch.int32, "F32": torch.float32, "U64": torch.uint64,
    "I64": torch.int64, "F64": torch.float64,
}  # fmt: skip


def parse(content: bytes | bytearray, *, name: str) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file.

    Args:
        content: bytes of the whole file.  A ``bytearray`` is not copied: the tensors are views of it.
        name: name of the file in messages.

    Raises:
        WeightsError: the bytes are not a well-formed safetensors file.
    """
    return tensors(check_header(content, name), content, name=name)


def tensors(header: Mapping[str, Any], content: bytes | bytearray, *, name: str) -> dict[str, Tensor]:
    """Reads the tensors of a file whose header was checked.

    Args:
        header: header from :func:`check_header`.
        content: bytes of the whole file.  A ``bytearray`` is not copied: the tensors are views of it.
        name: name of the file in messages.

    Raises:
        WeightsError: a boolean is neither 0 nor 1.
    """
    if sys.byteorder != "little":
        return safetensors.torch.load(bytes(content))
    memory = content if isinstance(content, bytearray) else bytearray(content)
    first = 8 + struct.unpack_from("<Q", memory)[0]
    return {key: _tensor(memory, first, claim, f"{key[:80]!r} of {name}") for key, claim in header.items()}


def _tensor(memory: bytearray, first: int, claim: Mapping[str, Any], name: str) -> Tensor:
    """Makes a tensor that is a view of its bytes; a copy if their position is not a multiple of the number's size."""
    dtype, shape, (begin, end) = _TYPES[claim["dtype"]], claim["shape"], claim["data_offsets"]
    if begin == end:
        return torch.empty(shape, dtype=dtype)
    if (first + begin) % dtype.itemsize:
        flat = torch.frombuffer(memory[first + begin : first + end], dtype=dtype)
    else:
        flat = torch.frombuffer(memory, dtype=dtype, count=(end - begin) // dtype.itemsize, offset=first + begin)
    if dtype == torch.bool and bool((flat.view(torch.uint8) > 1).any()):
        raise WeightsError(f"{name} has truth values other than 0 and 1; delete the file and fetch it again")
    return flat.view(shape)


def check_header(content: bytes | bytearray, name: str) -> dict[str, Any]:
    """Checks the header of a file against its bytes, and returns it.

    Every byte after the header must belong to exactly one tensor, and every tensor's shape must account for its bytes.

    Args:
        content: bytes of the whole file.
        name: name of the file in messages.

    Returns:
        The ``dtype``, ``shape`` and ``data_offsets`` of each tensor, by its name.

    Raises:
        WeightsError: the header is malformed, or does not agree with the bytes.
    """

    def wrong(what: str) -> WeightsError:
        what = " ".join(what.split())
        what = what if len(what) < 300 else f"{what[:300]}…"
        return WeightsError(f"{name} is not a whole safetensors file: {what}; delete it and fetch it again")

    if len(content) < 8:
        raise wrong(f"{len(content)} bytes")
    (length,) = struct.unpack_from("<Q", content)
    if length > len(content) - 8:
        raise wrong(f"its header claims {length:,} bytes of {len(content) - 8:,}")
    if length > MAX_HEADER:
        raise wrong(f"its header claims {length:,} bytes, more than {MAX_HEADER:,}")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as err:
        raise wrong(f"its header is no JSON object ({err})") from err
    if not isinstance(header, dict):
        raise wrong("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise wrong("its metadata is no table of strings")
    at = 0
    spans = []
    for key, claim in header.items():
        if not isinstance(claim, dict) or set(claim) != {"dtype", "shape", "data_offsets"}:
            raise wrong(f"the header's entry for {key!r} is not dtype, shape and data_offsets")
        dtype, shape, offsets = claim["dtype"], claim["shape"], claim["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _TYPES:
            raise wrong(f"{key!r} has the unknown dtype {_short(dtype)}")
        if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or len(shape) > MAX_RANK:
            raise wrong(f"{key!r} has the shape {_short(shape)} and the offsets {_short(offsets)}")
        if math.prod(side or 1 for side in shape) >= 1 << 60:
            raise wrong(f"{key!r} claims the shape {_short(shape)}")
        if math.prod(shape) * _TYPES[dtype].itemsize != offsets[1] - offsets[0]:
            raise wrong(f"{key!r} claims {shape} of {dtype} in {offsets[1] - offsets[0]:,} bytes")
        spans.append((offsets[0], offsets[1], key))
    for begin, end, key in sorted(spans):
        if begin != at:
            raise wrong(f"the bytes of {key!r} begin at {begin:,}, not where the ones before end, {at:,}")
        at = end
    if at != len(content) - 8 - length:
        raise wrong(f"its tensors take {at:,} bytes of {len(content) - 8 - length:,}")
    return header


def serialise(state: Mapping[str, Tensor]) -> bytes:
    """Writes tensors as the bytes of a safetensors file, which do not depend on the order of the tensors.

    The file has one metadata key only, because safetensors 0.8 writes several keys in a random order.
    """
    ordered = {k: state[k].detach().cpu().contiguous().clone() for k in sorted(state)}
    return safetensors.torch.save(ordered, metadata={"format": "pt"})


def _naturals(value: Any) -> bool:
    """Says whether a value is a list of integers from 0 to 2⁶³ − 1, torch's range."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in value)


def _short(value: Any) -> str:
    """Shortens a value of any depth and length for a message."""
    try:
        text = repr(value)
    except RecursionError:
        return "(nested too deep to show)"
    return text if len(text) < 80 else f"{text[:80]}…"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is in it twice")
    return table
