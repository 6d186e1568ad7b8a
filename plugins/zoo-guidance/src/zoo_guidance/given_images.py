"""Data that a user gives to start from: a picture, a tensor file, or examples of a data set, on the model's side."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from zoo_core import datasets, weights_file
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError, WeightsError
from zoo_core.interfaces import Model, Streams

__all__ = ["given", "given_misfit", "rows_for"]

EXAMPLES = 1000
"""How many examples of a data set there are to begin from."""


def given(source: str, model: Model) -> Tensor:
    """Data on the model's side, ``(k, *space.shape)``.

    Args:
        source: a picture of one image of the model's size; a ``.safetensors`` file with the tensor ``samples``, as
            ``zoo sample --out`` writes it; or a data set, ``mnist/test``.
        model: whose samples they could be.

    Raises:
        IncompatibleError: there is no such file, or what it has is no sample of this model.
    """
    path, shape = Path(source).expanduser(), tuple(int(size or 0) for size in model.space.shape)
    if not path.is_file():
        return _examples(source, model)
    if path.suffix.lower() == ".safetensors":
        x = weights_file.parse(path.read_bytes(), name=source).get("samples")
        if x is None:
            raise IncompatibleError(f"{source} has no tensor 'samples'")
    else:
        x = _picture(path, channels=shape[0])
    if tuple(x.shape[1:]) != shape or not len(x):
        raise IncompatibleError(f"{source} has {tuple(x.shape[1:])} per sample; this model's are {shape}")
    return model.space.from_user(x.float())


def given_misfit(source: str, model: Model) -> str | None:
    """Says why what is given cannot be a sample of the model, as a continuation of "sampler 'NAME' …"."""
    if not isinstance(source, str):
        return f"cannot use {source!r}: expected the path of a file, or a data set such as mnist/test"
    try:
        given(source, model)
    except (IncompatibleError, WeightsError) as err:
        return f"cannot use {source!r}: {err}"
    return None


def rows_for(data: Tensor, streams: Streams) -> Tensor:
    """The row for each stream, over and over: sample i has row i mod k."""
    index = torch.arange(streams.start, streams.start + len(streams)) % len(data)
    return data[index].to(streams.device, streams.dtype)


def _examples(source: str, model: Model) -> Tensor:
    name, _, split = source.partition("/")
    try:
        data = datasets.load(name, split or "test")
    except Exception as err:
        reason = " ".join(str(err).split())
        raise IncompatibleError(f"{source!r} is neither a file nor a data set such as mnist/test: {reason}") from err
    x: Tensor = Prepared(model, data).rows(torch.arange(min(len(data), EXAMPLES)), None).x
    return x


def _picture(path: Path, channels: int) -> Tensor:
    """One image in [0, 1], ``(1, channels, height, width)``."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = image.convert("L" if channels == 1 else "RGB")
            raw = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    except OSError as err:
        raise IncompatibleError(f"{path} is no picture that can be read: {err}") from err
    return raw.view(1, pixels.height, pixels.width, -1).permute(0, 3, 1, 2).float() / 255.0
