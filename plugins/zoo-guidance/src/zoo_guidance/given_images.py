"""Reads data that a sampler starts from: a picture, a file of samples, or examples of a data set."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from zoo_core import datasets
from zoo_core.datasets.prepared import Prepared
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.interfaces import Model, Streams

__all__ = ["given", "given_misfit", "rows_for"]

EXAMPLES = 1000
"""Greatest number of examples that are read from a data set."""


def given(source: str, model: Model) -> Tensor:
    """Reads data, ``(k, *space.shape)`` on the model's side.

    Args:
        source: path of a picture or of a file of samples, as ``zoo sample --out`` writes it
            (:func:`zoo_core.datasets.reading.read_samples`); or a data set, ``mnist/test``.
        model: model whose sample space the data must belong to.

    Raises:
        IncompatibleError: there is no such file or data set.
        DataError: the data do not belong to the model's sample space.
    """
    if not Path(source).expanduser().is_file():
        return _examples(source, model)
    x = read_samples(source, model.space)
    assert isinstance(x, Tensor)  # a denoiser's samples have a fixed shape
    return model.space.from_user(x.float())


def given_misfit(source: str, model: Model) -> str | None:
    """Says why given data cannot be used with the model, as a continuation of "sampler 'NAME' …"."""
    if not isinstance(source, str):
        return f"cannot use {source!r}: expected the path of a file, or a data set such as mnist/test"
    try:
        given(source, model)
    except (IncompatibleError, DataError) as err:
        return f"cannot use {source!r}: {err}"
    return None


def rows_for(data: Tensor, streams: Streams) -> Tensor:
    """Returns one row per stream: sample i has row i mod k."""
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
