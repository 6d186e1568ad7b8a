"""Reads the idx format of MNIST: a magic number, big-endian sizes, bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo_core.errors import WeightsError

__all__ = ["read_idx"]


def read_idx(path: Path) -> Tensor:
    """Reads the uint8 array of a gzipped idx file.

    Raises:
        WeightsError: the file is not gzip, not idx of bytes, or its length differs from its header.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
        zeros, kind, rank = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{rank}I", raw, 4)
    except (OSError, EOFError, struct.error, zlib.error) as err:
        raise WeightsError(f"{path} is not a gzipped idx file ({err}); delete it to fetch it again") from err
    body = raw[4 + 4 * rank :]
    if zeros != 0 or kind != 8 or len(body) != math.prod(shape):
        raise WeightsError(f"{path} is not an idx file of {shape} bytes; delete it to fetch it again")
    return torch.from_numpy(np.frombuffer(body, dtype=np.uint8).reshape(shape).copy())
