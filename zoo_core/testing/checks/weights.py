"""Checks weights: their hashes, a round trip through a file, and that nothing is unpickled."""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_core import loading
from zoo_core.errors import NetworkError
from zoo_core.fetching import bundled
from zoo_core.loading import weights_file
from zoo_core.testing.behaviour import answers
from zoo_core.testing.check import ConformanceError, check, require, skip
from zoo_core.testing.comparing import gap, same
from zoo_core.testing.subjects import ModelSubject

PICKLED = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".py"}


@check("model", when=lambda subject: subject.entry is not None and subject.entry.weights is not None, of_weights=True)
def check_weights_are_those_of_the_registry(subject: ModelSubject) -> None:
    """The weights can be loaded, have the registry's hash and size, and fit the model strictly.

    The check is skipped if the weights are on the Hub only and it cannot be reached.
    """
    try:
        model = loading.load(subject.address)
    except NetworkError as err:
        skip(str(err))
    broken = [name for name, value in model.state_dict().items() if not _is_finite(value)]
    require(not broken, f"{subject.name}: {', '.join(broken)} has values that are not finite; train it again")


@check("model")
def check_safetensors_round_trip(subject: ModelSubject) -> None:
    """A state dict that is written as safetensors and read again is equal to the bit, and describes the whole model.

    It is read into a model that was built with another seed, whose samples, log-probabilities, codes and predictions
    must then be equal to the bit to those of the first.  The check finds a learned or random tensor that is neither a
    parameter nor a persistent buffer.
    """
    state = subject.model.state_dict()
    content = weights_file.serialise(state)
    require(content == weights_file.serialise(state), f"{subject.name}: writing the same weights twice differs")
    back = weights_file.parse(content, name=f"{subject.name}'s own bytes")
    require(set(back) == set(state), f"{subject.name}: {sorted(set(back) ^ set(state))} did not come back")
    for name, value in state.items():
        require(same(value, back[name]), f"{subject.name}: {name} is not the same after safetensors")
    other = subject.fresh(seed=1)
    other.load_state_dict(back, strict=True)
    other.eval().requires_grad_(False)
    one, two = answers(subject, subject.model), answers(subject, other)
    for name, value in one.items():
        require(
            same(value, two[name]),
            f"{subject.name}: {name} differs by {gap(value, two[name]):.3g} in a model with the same state dict; "
            "something that it needs is neither a parameter nor a buffer",
        )


@check("model", when=lambda subject: subject.entry is not None and subject.entry.weights is not None, of_weights=True)
def check_loads_without_pickle(subject: ModelSubject) -> None:
    """Loading unpickles nothing, calls neither ``torch.load`` nor ``numpy.load``, and the snapshot holds no such file.

    Reading a pickle can run any code.  The check uses Python's audit events, which report every class that an unpickler
    looks up.
    """
    assert subject.entry is not None
    folder = bundled.folder_of(subject.entry)
    found = sorted(p.name for p in folder.rglob("*") if p.suffix in PICKLED) if folder is not None else []
    require(not found, f"{subject.name}: its snapshot holds {', '.join(found)}; weights are safetensors and JSON only")
    assert subject.entry.weights is not None
    file = subject.entry.weights.file
    require(file.endswith(".safetensors"), f"{subject.name}: weights.file = {file!r}; expected a .safetensors file")
    with _no_pickle():
        try:
            loading.load(subject.address)
        except NetworkError as err:
            skip(str(err))


class _Watch:
    """State of the audit hook, which cannot be removed: whether unpickling is an error at the moment."""

    active = False
    hooked = False
    seen = False


@contextlib.contextmanager
def _no_pickle() -> Iterator[None]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        _Watch.seen = True
        raise ConformanceError(
            "loading unpickles; read weights with zoo_core.loading.weights_file and settings as JSON"
        )

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if _Watch.active and event == "pickle.find_class":
            refuse()

    if not _Watch.hooked:
        sys.addaudithook(audit)
        _Watch.hooked = True
    places: list[tuple[Any, str]] = [(pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")]
    places += [(torch, "load"), (torch.serialization, "load"), (np, "load")]
    saved = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, refuse)
    _Watch.active, _Watch.seen = True, False
    try:
        yield
    finally:
        _Watch.active = False
        for (module, name), value in zip(places, saved, strict=True):
            setattr(module, name, value)
    require(not _Watch.seen, "loading unpickles and hides it; read weights with zoo_core.loading.weights_file")


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())
