"""A model built without memory, to see whether its config fits its weights before the real one is built.

The config of a repository or a folder is nobody's word: it may ask a family for a network of any size.  Built on
torch's ``meta`` device a tensor has a shape and no bytes, so that the shapes are compared with the file's first.
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
"""The largest integer in a config that nobody vouches for: a loop over more takes minutes, whatever it builds."""

_SLACK = 1000


class _TooMuch(Exception):
    """The factory goes on and on."""


def rehearse(entry: Entry, factory: Callable[..., Any], config: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Raises :class:`WeightsError` where a config does not make the model that the weights are of.

    Args:
        entry: the model, for messages.
        factory: what would build it.
        config: the keyword arguments; not changed.
        header: of the weights file, as :func:`zoo_core.loading.weights_file.check_header` gives it.
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
            f"{entry.id}: its config makes a model of more than {parts:,} parts for {len(header):,} tensors; refused"
        ) from err
    except Exception:
        return  # it cannot be built this way, or not at all: building it says which
    for name in sorted(built.keys() | header.keys()):
        here, there = built.get(name), header[name]["shape"] if name in header else None
        if here != there:
            what = f"{name[:80]!r} is {here or 'not there'} in the model and {there or 'not there'} in the file"
            raise WeightsError(f"{entry.id}: the file does not fit {entry.family} with this config: {what}")


def _largest(config: Any) -> float:
    """The greatest magnitude of an integer anywhere in it."""
    if isinstance(config, Mapping):
        return max(map(_largest, config.values()), default=0)
    if isinstance(config, (list, tuple)):
        return max(map(_largest, config), default=0)
    return min(abs(config), 1 << 1000) if isinstance(config, int) else 0


@contextmanager
def _at_most(parts: int) -> Iterator[None]:
    """Ends a constructor that registers more modules, parameters and buffers than that."""
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
