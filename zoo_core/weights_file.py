"""safetensors, strictly, from bytes in memory; and to bytes, the same every time.

A file is 8 bytes (the header's length, little endian), a JSON header (name → dtype, shape, [begin, end)), and the data.
The header is checked here before a tensor is built, so that the message names what is wrong.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from zoo_core.errors import WeightsError

__all__ = ["check_header", "parse", "serialise"]

MAX_HEADER = 100_000_000
"""The format's own limit, in bytes."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip


def parse(content: bytes, *, name: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        content: the whole file.
        name: what to call it in messages.

    Raises:
        WeightsError: it is not a well-formed safetensors file.
    """
    check_header(content, name)
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as err:
        raise WeightsError(f"{name} is not a safetensors file: {err}") from err


def check_header(content: bytes, name: str) -> dict[str, Any]:
    """The header, once every claim in it is true of the bytes that follow.

    Raises:
        WeightsError: with the first claim that is not.
    """

    def wrong(what: str) -> WeightsError:
        return WeightsError(f"{name} is not a whole safetensors file: {what}; delete it and fetch it again")

    if len(content) < 8:
        raise wrong(f"{len(content)} bytes")
    (length,) = struct.unpack_from("<Q", content)
    if length > min(MAX_HEADER, len(content) - 8):
        raise wrong(f"its header claims {length:,} bytes of {len(content) - 8:,}")
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
        if dtype not in _BITS:
            raise wrong(f"{key!r} has the unknown dtype {dtype!r}")
        if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
            raise wrong(f"{key!r} has the shape {shape!r} and the offsets {offsets!r}")
        if math.prod(shape) * _BITS[dtype] != 8 * (offsets[1] - offsets[0]):
            raise wrong(f"{key!r} claims {shape} of {dtype} in {offsets[1] - offsets[0]:,} bytes")
        spans.append((offsets[0], offsets[1], key))
    for begin, end, key in sorted(spans):
        if begin != at:
            raise wrong(f"the bytes of {key!r} begin at {begin:,}, not where the ones before end, {at:,}")
        at = end
    if at != len(content) - 8 - length:
        raise wrong(f"its tensors take {at:,} bytes of {len(content) - 8 - length:,}")
    return header


def serialise(tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file: the same for the same tensors, whatever their order.

    One metadata key only: with two or more safetensors 0.8 writes them in a random order.
    """
    ordered = {k: tensors[k].detach().cpu().contiguous().clone() for k in sorted(tensors)}
    return safetensors.torch.save(ordered, metadata={"format": "pt"})


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands in it twice")
    return table
