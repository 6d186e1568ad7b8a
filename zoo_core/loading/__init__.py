"""From a name to a verified, built model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from zoo_core import fetching, plugins
from zoo_core.errors import IncompatibleError, PluginError, WeightsError, ZooError
from zoo_core.fetching import Fetched
from zoo_core.fetching.references import entry_of
from zoo_core.interfaces import Model, capabilities
from zoo_core.loading import weights_file
from zoo_core.loading.dry_build import rehearse
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
    """A model by name, with verified weights, in evaluation mode.

    Args:
        name: an id (``"ddpm-mnist"``), ``"hf:org/repo[@revision]"`` or ``"./folder"``; or the entry that a name gave.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"`` (the best there is).
        dtype: ``"float32"``, ``"float64"``, ``"bfloat16"``, ``"float16"``; the model's own unless given.
        offline: use no network; by default as ``ZOO_OFFLINE`` or ``HF_HUB_OFFLINE`` say.
        weights_from: ``"auto"`` (a folder's own; else bundled, then cache, then Hub), ``"bundled"``, ``"cache"``,
            ``"hub"``, or a folder.

    Returns:
        The model; ``model.entry`` is what the registry says about it.

    Raises:
        ZooError: one of its kinds; see :mod:`zoo_core.errors`.
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
    """As :func:`load`, with the bytes of the weights and where they came from."""
    entry = name if isinstance(name, Entry) else entry_of(name, offline=offline)
    factory = factory_of(entry)  # a missing plugin is said before anything is fetched
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
    """What several files say of their tensors, as one table; a tensor that stands in two of them is refused."""
    table = {key: value for part in parts for key, value in part.items()}
    if len(table) != sum(map(len, parts)):
        twice = next(key for key in table if sum(key in part for part in parts) > 1)
        raise WeightsError(f"{name}: {twice[:80]!r} is in two of its {len(parts)} files of weights; expected in one")
    return table


def fill(model: Model, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Copies a state dict into a built model, strictly: every tensor, of its shape, a number of its kind.

    Args:
        model: what :func:`build` made.
        state: the tensors of a weights file.
        name: what to call the file in messages.

    Raises:
        WeightsError: the two do not fit.
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
    """``floating``, ``truth`` or ``integer``: within a kind a number of another width is converted."""
    return "floating" if tensor.is_floating_point() else "truth" if tensor.dtype == torch.bool else "integer"


def build(entry: Entry, seed: int = 0) -> Model:
    """The model of an entry with fresh parameters.  The global random generator is left as it was.

    Args:
        entry: a model of an installed plugin.
        seed: seed of the layers' first weights, which torch draws from its global generator.

    Raises:
        PluginError: no installed plugin registers the entry's factory; nothing is imported then.
        WeightsError: the factory refuses the config.
    """
    return _built(entry, factory_of(entry), seed)


def _built(entry: Entry, factory: Callable[..., Any], seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = factory(**_plain(entry.config))
        except ZooError:
            raise
        except Exception as err:  # a config that the family did not foresee; the family's code says how it failed
            reason = " ".join(str(err).split())[:300] or type(err).__name__
            raise WeightsError(f"{entry.id}: the family {entry.family!r} refuses this config: {reason}") from err
    if not isinstance(model, Model):
        raise PluginError(
            f"{entry.plugin}: the class of {entry.family!r} made a {type(model).__name__}, which is no Model"
        )
    model.entry = entry
    return model


def factory_of(entry: Entry) -> Callable[..., Any]:
    """Returns the class that an installed plugin registered for an entry's family; an entry itself names no code.

    Raises:
        PluginError: no installed plugin registered the family; nothing is imported then.
    """
    found = plugins.load()
    family = next((c for c in found.catalogue.all("family") if c.name == entry.family), None)
    if family is None:
        for record in found.records:
            if record.distribution == entry.plugin and record.status != "loaded":
                raise PluginError(f"{entry.id} needs {entry.plugin}: {record.line()}")
        if all(record.distribution != entry.plugin for record in found.records):
            who = entry.plugin or "a plugin that its config.json does not name"
            hint = f"; pip install {entry.plugin}" if entry.plugin else ""
            raise PluginError(f"{entry.id} is provided by {who}, which is not installed{hint}")
        raise PluginError(f"{entry.id}: {entry.plugin} registers no family {entry.family!r}; zoo families lists them")
    factory: Callable[..., Any] = resolve(family.target)
    return factory


def place(model: Model, device: str | torch.device, dtype: str | torch.dtype | None) -> Model:
    """The model on a device, in a floating type.

    Raises:
        IncompatibleError: an unknown type, or a device that this machine lacks.
    """
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise IncompatibleError(f"unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
        dtype = DTYPES[dtype]
    here = _devices()
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


def _devices() -> list[str]:
    """The devices of this machine: ``cpu``, then ``cuda``, ``mps`` or another accelerator, by number where several."""
    if not torch.accelerator.is_available() or (found := torch.accelerator.current_accelerator()) is None:
        return ["cpu"]
    count = torch.accelerator.device_count()
    return ["cpu", found.type, *(f"{found.type}:{i}" for i in range(1, count))]


def describe(model: Model) -> dict[str, Any]:
    """What a built model is: shapes, numbers of parameters, capabilities."""
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
    """Mappings as dicts and sequences as lists, copied: a factory may keep or change what it is given."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
