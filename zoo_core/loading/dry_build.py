"""Builds a model without allocating memory, to check that its config fits its weights.

The config of a repository or a folder is untrusted: it may ask for a network of any size.  On torch's ``meta`` device a
tensor has a shape but no data, so the shapes can be compared with those in the file before the model is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules import module as registration

from zoo_core.errors import WeightsError
from zoo_core.registry.entry import Entry

__all__ = ["LARGEST", "rehearse"]

LARGEST = 1 << 20
"""Largest integer that is accepted in an untrusted config: a constructor that loops over more takes minutes."""

_SLACK = 1000


class _TooMuch(Exception):
    """The model has more parts than its weights can account for."""


def rehearse(entry: Entry, factory: Callable[..., Any], config: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Checks that the model that a config describes has the tensors of a weights file.

    Args:
        entry: entry of the model, for messages.
        factory: class of the model.
        config: keyword arguments of the class; they are not changed.
        header: header of the weights file, from :func:`zoo_core.loading.weights_file.check_header`.

    Raises:
        WeightsError: the tensors' names or shapes differ, or the config asks for too much.
    """
    if (number := _largest(config)) > LARGEST:
        raise WeightsError(f"{entry.id}: its config has the number {number:.3g}; at most {LARGEST:,} is accepted")
    parts = 16 * len(header) + _SLACK
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _at_most(parts):
            model = factory(**config)
        built = {name: list(value.shape) for name, value in model.state_dict().items()}
    except _TooMuch as err:
        raise WeightsError(
            f"{entry.id}: its config describes more than {parts:,} modules and tensors, and its file has "
            f"{len(header):,} tensors; refused"
        ) from err
    except Exception:
        return  # some models cannot be built on the meta device; a wrong config raises its error in the real build
    for name in sorted(built.keys() | header.keys()):
        here, there = built.get(name), header[name]["shape"] if name in header else None
        if here != there:
            what = f"{name[:80]!r} is {here or 'not there'} in the model and {there or 'not there'} in the file"
            raise WeightsError(f"{entry.id}: the file does not fit {entry.family} with this config: {what}")


def _largest(config: Any) -> float:
    """Returns the greatest magnitude of an integer anywhere in a config."""
    if isinstance(config, Mapping):
        return max(map(_largest, config.values()), default=0)
    if isinstance(config, (list, tuple)):
        return max(map(_largest, config), default=0)
    return min(abs(config), 1 << 1000) if isinstance(config, int) else 0


@contextmanager
def _at_most(parts: int) -> Iterator[None]:
    """Stops a constructor that registers more than ``parts`` modules, parameters and buffers."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > parts:
            raise _TooMuch

    handles = [
        registration.register_module_module_registration_hook(counted),
        registration.register_module_parameter_registration_hook(counted),
        registration.register_module_buffer_registration_hook(counted),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
