"""Encodes samples to latent codes, decodes codes to samples, and keeps codes in files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from zoo_core.datasets.arrays import read_arrays
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.files.notes import write_noted
from zoo_core.interfaces import Condition, LatentVariable, Model, Ragged, Streams, Values
from zoo_core.interfaces.capabilities import lacking
from zoo_core.loading import weights_file
from zoo_core.sampling import default_batch_size
from zoo_core.saving.provenance import Provenance

__all__ = ["FORMATS", "check_codes_file", "decode", "encode", "read_codes", "save_codes"]

FORMATS = (".npz", ".npy", ".safetensors")
"""Formats of files of codes: an array ``codes`` with one row per sample."""

Progress = Callable[[int, int], None]


def encode(
    model: Model,
    x: Values,
    *,
    condition: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Encodes samples.

    Args:
        model: model that is a :class:`~zoo_core.interfaces.LatentVariable` with an encoder.
        x: samples in the user's range, ``(n, *space.shape)``.  A model of black and white images is given white where
            a pixel is above ½.
        condition: values of conditions by name, as for :func:`zoo_core.sample`.
        batch_size: number of samples handled at once; chosen for the model unless given.
        progress: function that is called with ``(done, total)`` after every batch.

    Returns:
        codes, or their means where the encoder is a distribution, ``(n, *code)`` on the CPU.

    Raises:
        IncompatibleError: the model has no latent code, or no encoder, or the samples have different lengths.
        ConditionError: the model does not accept the condition.
    """
    if (reason := lacking(model, [LatentVariable])) is not None:
        raise IncompatibleError(f"encoding {reason}; name a model that can")
    if type(cast(LatentVariable, model)).encode is LatentVariable.encode:
        raise IncompatibleError(f"{type(model).__name__} has no encoder; it can only decode")
    if isinstance(x, Ragged):
        raise IncompatibleError(f"{type(model).__name__} has samples of open length, which have no codes of one shape")

    def one(part: Tensor, given: Condition | None) -> Tensor:
        if model.binarises:
            part = (part > 0.5).to(part.dtype)
        inside = model.space.from_user(part).to(model.device, model.state_dtype)
        return cast(LatentVariable, model).encode(inside, condition=given)

    return _in_batches(model, x, one, condition, batch_size, progress)


def decode(
    model: Model,
    z: Tensor,
    *,
    condition: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Decodes latent codes ``(n, *code)`` to samples in the user's range, ``(n, *space.shape)`` on the CPU.

    The other arguments are those of :func:`encode`.

    Raises:
        IncompatibleError: the model has no latent code.
        DataError: the codes have another shape than the model's.
        ConditionError: the model does not accept the condition.
    """
    if (reason := lacking(model, [LatentVariable])) is not None:
        raise IncompatibleError(f"decoding {reason}; name a model that can")
    latent = cast(LatentVariable, model)
    streams = Streams(0, "shape of a code", 0, 1, device=model.device, dtype=model.state_dtype)
    with torch.inference_mode():
        shape = tuple(latent.draw_latent(streams).shape[1:])
    if tuple(z.shape[1:]) != shape:
        raise DataError(f"codes are of shape {tuple(z.shape[1:])}; expected {shape}")

    def one(part: Tensor, given: Condition | None) -> Tensor:
        part = part.to(model.device)
        part = part.to(model.state_dtype) if part.is_floating_point() else part
        return model.space.to_user(latent.decode(part, condition=given))

    return _in_batches(model, z, one, condition, batch_size, progress)


def check_codes_file(path: str) -> None:
    """Checks, before any work, that codes can be written to a file.

    Raises:
        IncompatibleError: it is of another format, or its folder does not exist.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise IncompatibleError(f"cannot write codes to {path!r}; use {', '.join(FORMATS)}")
    if not (parent := Path(path).resolve().parent).is_dir():
        raise IncompatibleError(f"there is no folder {parent} for {path!r}; make it first")


def save_codes(codes: Tensor, path: str, made: Provenance | None = None) -> None:
    """Writes codes ``(n, *code)`` to a file, whole or not at all.

    Args:
        codes: codes, ``(n, *code)``.
        path: path of the file, of one of :data:`FORMATS`.
        made: how the codes were made, which the file then says.
    """
    check_codes_file(path)
    suffix, memory = Path(path).suffix.lower(), io.BytesIO()
    if suffix == ".safetensors":
        memory.write(weights_file.serialise({"codes": codes.contiguous()}))
    elif suffix == ".npy":
        np.save(memory, codes.numpy(), allow_pickle=False)
    else:
        np.savez(memory, codes=codes.numpy())
    write_noted(Path(path), memory.getvalue(), "" if made is None else made.at(suffix).text())


def read_codes(path: str) -> Tensor:
    """Reads codes that :func:`save_codes` wrote, ``(n, *code)``.

    Raises:
        IncompatibleError: there is no such file, or it is of another format.
        DataError: the file is damaged, or has no array ``codes``.
    """
    if not Path(path).is_file():
        raise IncompatibleError(f"there is no file {path!r}; expected codes, as zoo encode writes them")
    if Path(path).suffix.lower() not in FORMATS:
        raise IncompatibleError(f"cannot read codes from {path!r}; use {', '.join(FORMATS)}")
    try:
        return read_arrays(Path(path), "codes")["codes"]
    except DataError as err:
        raise DataError(f"{path}: {err}") from err


def _in_batches(
    model: Model,
    values: Tensor,
    one: Callable[[Tensor, Condition | None], Tensor],
    condition: Mapping[str, Any] | None,
    batch_size: int | None,
    progress: Progress | None,
) -> Tensor:
    n, size = len(values), batch_size or default_batch_size(model)
    if not n:
        raise IncompatibleError("there is nothing to encode or decode; give at least one row")
    given = Condition.of(condition, model.conditions, n) if condition else None
    parts = []
    with torch.inference_mode():
        for start in range(0, n, size):
            stop = min(start + size, n)
            rows = None if given is None else given.rows(slice(start, stop)).to(model.device, model.state_dtype)
            parts.append(one(values[start:stop], rows).cpu())
            if progress is not None:
                progress(stop, n)
    return torch.cat(parts).clone()
