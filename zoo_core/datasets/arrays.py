"""Reads arrays of NumPy and safetensors files, without pickle."""

from __future__ import annotations

import csv
import io
import wave
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_core.errors import DataError, WeightsError
from zoo_core.loading import weights_file

__all__ = ["DAMAGE", "read_arrays", "reason_of"]

DAMAGE = (
    OSError, ValueError, TypeError, KeyError, SyntaxError, EOFError, RecursionError, OverflowError, WeightsError,
    wave.Error, zipfile.BadZipFile, csv.Error, Image.DecompressionBombError,
)  # fmt: skip
"""Exceptions of readers for files whose contents do not match their suffix."""


def read_arrays(path: Path, name: str = "samples") -> dict[str, Tensor]:
    """Reads the arrays of a ``.npz``, ``.npy`` or ``.safetensors`` file.

    Args:
        path: path of the file.
        name: name of the array that must be among them, and of the one in an ``.npy`` file.

    Raises:
        DataError: the file is damaged, or has no array of this name.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            found = weights_file.parse(path.read_bytes(), name=path.name)
        else:
            loaded = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
            arrays = {name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
            found = {key: torch.from_numpy(np.ascontiguousarray(a)) for key, a in arrays.items()}
    except DAMAGE as err:
        raise DataError(f"cannot be read as {path.suffix} ({reason_of(err)}); expected an array {name!r}") from err
    if name not in found:
        raise DataError(f"the file has {', '.join(found) or 'nothing'}; expected {name}")
    return found


def reason_of(err: BaseException) -> str:
    """Returns the message of an exception in one line of at most 200 characters."""
    return " ".join(str(err).split())[:200] or type(err).__name__
