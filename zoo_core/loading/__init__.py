"""Loads models: finds the entry, fetches and verifies the weights, builds the model and fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from zoo_core import fetching, plugins
from zoo_core.errors import IncompatibleError, PluginError, WeightsError, ZooError
from zoo_core.fetching import Fetched
from zoo_core.fetching.references import entry_of, resolved
from zoo_core.interfaces import Model, capabilities
from zoo_core.loading import weights_file
from zoo_core.loading.dry_build import rehearse
from zoo_core.loading.reader import attach_reader
from zoo_core.plugins.catalogue import resolve
from zoo_core.registry.entry import Entry

__all__ = ["DTYPES", "build", "factory_of", "fill", "load", "load_with_weights", "place"]

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    name: str | Entry,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    offline: bool | None = None,
    weights_from: str = "auto",
) -> Model:
    """Loads a model with verified weights, in evaluation mode.

    Args:
        name: reference to a model: an id (``"ddpm-mnist"``), ``"hf:org/repo[@revision]"`` or ``"./folder"``; or an
            entry of the registry.
        device: device of the model: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"``, which takes an accelerator if
            there is one.
        dtype: number format of the model: ``"float32"``, ``"float64"``, ``"bfloat16"`` or ``"float16"``; the model's
            own unless given.
        offline: whether network requests are forbidden; as ``ZOO_OFFLINE`` and ``HF_HUB_OFFLINE`` say unless given.
        weights_from: source of the weights: ``"bundled"``, ``"cache"``, ``"hub"``, a folder, or ``"auto"``, which tries
            the plugin's package, the cache and the Hub in turn.

    Returns:
        The model; ``model.entry`` is its entry in the registry.

    Raises:
        ZooError: the model cannot be loaded; :mod:`zoo_core.errors` lists the kinds of errors.
    """
    return load_with_weights(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)[0]


def load_with_weights(
    name: str | Entry,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    offline: bool | None = None,
    weights_from: str = "auto",
) -> tuple[Model, Fetched]:
    """Loads a model as :func:`load` does, and also returns the bytes of the weights and where they came from."""
    entry = resolved(name, offline=offline) if isinstance(name, Entry) else entry_of(name, offline=offline)
    factory = factory_of(entry)  # before the download, so that a missing plugin fails at once
    fetched = fetching.fetch(entry, weights_from=weights_from, offline=offline)
    headers = [weights_file.check_header(one.content, str(one.path)) for one in fetched.files]
    if not entry.vouched_for:
        rehearse(entry, factory, _plain(entry.config), _joined(headers, entry.id))
    model = _built(entry, factory)
    parts = [
        weights_file.tensors(header, one.content, name=str(one.path))
        for header, one in zip(headers, fetched.files, strict=True)
    ]
    fill(model, _joined(parts, entry.id), str(fetched.path))
    return place(model.eval().requires_grad_(False), device, dtype), fetched


def _joined(parts: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Merges tables of tensors from several files; a tensor that is in two of them is an error."""
    table = {key: value for part in parts for key, value in part.items()}
    if len(table) != sum(map(len, parts)):
        twice = next(key for key in table if sum(key in part for part in parts) > 1)
        raise WeightsError(f"{name}: {twice[:80]!r} is in two of its {len(parts)} files of weights; expected in one")
    return table


def fill(model: Model, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Copies a state dict into a built model; every tensor must be there, with the model's shape and kind of number.

    Args:
        model: model that :func:`build` made.
        state: tensors of a weights file, by name.
        name: name of the file in messages.

    Raises:
        WeightsError: the tensors do not fit the model.
    """
    what = f"{name} does not fit {type(model).__name__} with this config"
    for key, mine in model.state_dict().items():
        if key in state and _kind(state[key]) != _kind(mine):
            raise WeightsError(f"{what}: {key!r} is {state[key].dtype}, expected {mine.dtype}")
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as err:
        first = next((line.strip() for line in str(err).splitlines()[1:] if line.strip()), str(err))
        raise WeightsError(f"{what}: {first[:300]}") from err


def _kind(tensor: torch.Tensor) -> str:
    """Returns the kind of a tensor's numbers; within a kind, numbers of another width are converted."""
    return "floating" if tensor.is_floating_point() else "truth" if tensor.dtype == torch.bool else "integer"


def build(entry: Entry, seed: int = 0) -> Model:
    """Builds the model of an entry with newly initialised parameters.

    Args:
        entry: entry of a family that an installed plugin provides.
        seed: seed of the initial parameters, which torch draws from its global generator.  The state of the generator
            is restored afterwards.

    Raises:
        PluginError: no installed plugin registers the entry's family; nothing is imported then.
        WeightsError: the family's class refuses the config.
    """
    return _built(entry, factory_of(entry), seed)


def _built(entry: Entry, factory: Callable[..., Any], seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = factory(**_plain(entry.config))
        except ZooError:
            raise
        except Exception as err:  # the class may raise anything for a config that it does not expect
            reason = " ".join(str(err).split())[:300] or type(err).__name__
            raise WeightsError(f"{entry.id}: the family {entry.family!r} refuses this config: {reason}") from err
    if not isinstance(model, Model):
        raise PluginError(
            f"{entry.plugin}: the class of {entry.family!r} made a {type(model).__name__}, which is no Model; "
            "report it to the plugin's authors"
        )
    model.entry = entry
    attach_reader(model, entry)
    return model


def factory_of(entry: Entry) -> Callable[..., Any]:
    """Returns the class that an installed plugin registered for an entry's family; an entry itself names no code.

    Raises:
        PluginError: no installed plugin registered the family; nothing is imported then.
    """
    factory: Callable[..., Any] = resolve(plugins.family_of(entry).target)
    return factory


def place(model: Model, device: str | torch.device, dtype: str | torch.dtype | None) -> Model:
    """Moves a model to a device, and converts its numbers to a format.

    Args:
        model: model that may be moved in place.
        device: device, or its name; ``"auto"`` takes an accelerator if there is one.
        dtype: floating-point type, or its name; ``None`` leaves the numbers as they are.

    Raises:
        IncompatibleError: the type is unknown, or this machine has no such device.
    """
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise IncompatibleError(f"unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
        dtype = DTYPES[dtype]
    here = devices()
    if device == "auto":
        device = here[1] if len(here) > 1 else "cpu"
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as err:
        raise IncompatibleError(f"no device is called {device!r}; there are {', '.join(here)}, and auto") from err
    if str(wanted) not in here and not (wanted.type in here and wanted.index == 0):
        raise IncompatibleError(f"this machine has no device {str(device)!r}; there are {', '.join(here)}, and auto")
    try:
        return model.to(device=wanted, dtype=dtype)
    except (RuntimeError, AssertionError, TypeError) as err:
        reason = str(err).splitlines()[0]
        raise IncompatibleError(f"cannot put the model on device {str(device)!r}: {reason}; try --device cpu") from err


def devices() -> list[str]:
    """Lists the devices of this machine: ``cpu``, then the accelerator (``cuda``, ``mps`` …), numbered if several."""
    if not torch.accelerator.is_available() or (found := torch.accelerator.current_accelerator()) is None:
        return ["cpu"]
    count = torch.accelerator.device_count()
    return ["cpu", found.type, *(f"{found.type}:{i}" for i in range(1, count))]


def describe(model: Model) -> dict[str, Any]:
    """Describes a built model: shape of its samples, number of parameters, capabilities, device and dtype."""
    tensors = [*model.parameters(), *model.buffers()]
    return {
        "sample_kind": model.space.kind,
        "sample_shape": list(model.space.shape),
        "parameters": sum(t.numel() for t in tensors),
        "capabilities": list(capabilities(model)),
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def _plain(value: Any) -> Any:
    """Copies mappings as dicts and sequences as lists, since a class may keep or change its arguments."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
