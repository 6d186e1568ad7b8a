"""Says how samples, plots and results made from files are made, from what makes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo_core import __version__, plugins
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.files.notes import LONGEST, file_sha256
from zoo_core.registry.entry import Entry, FromFolder, FromHub
from zoo_core.saving.dependencies import pinned, used
from zoo_core.saving.provenance import Input, Provenance, version_of

if TYPE_CHECKING:
    from zoo_core.interfaces import Model, Sampler

__all__ = ["config_hash", "of_files", "of_model", "of_plot", "of_sampling", "part_of_filling", "reference_to"]

MOST_INPUTS = 100
"""Greatest number of files filled together that each result names."""


def of_sampling(
    model: Model,
    reference: str,
    sampler: Sampler[Any],
    *,
    condition: Mapping[str, Any] | None,
    guidance: float,
    seed: int,
    first: int,
    n: int,
    dtype: str | None = None,
    offline: bool | None = None,
) -> Provenance:
    """Says how samples are made, before they are.

    Args:
        model: model, loaded from an entry.
        reference: reference to the model as the user gave it.
        sampler: sampler that :func:`zoo_core.sampling.make_sampler` made.
        condition: values of the condition by name, as the user gave them; JSON values.
        guidance: strength of guidance.
        seed: seed of the random numbers.
        first: index of the first sample.
        n: number of samples.
        dtype: number format that the model was converted to; ``None`` if it is its own.
        offline: whether network requests are forbidden.

    Raises:
        ZooError: an option names a model that cannot be found.
        IncompatibleError: the condition is not made of JSON values.
    """
    assert model.entry is not None
    options = pinned(dict(sampler.made_with), offline=offline)
    made = Provenance(
        verb="sample",
        **of_model(model.entry, reference, sampler=sampler.name),
        sampler=sampler.name,
        options=options,
        condition=dict(condition or {}),
        guidance=float(guidance),
        seed=seed,
        first=first,
        n=n,
        uses=used([options, condition or {}], offline=offline),
        dtype=dtype,
        device=model.device.type,
    )
    return _said(made)


def of_files(
    verb: Literal["translate", "fill", "encode", "decode", "score"],
    model: Model,
    reference: str,
    files: Sequence[str],
    *,
    n: int,
    sampler: Sampler[Any] | None = None,
    options: Mapping[str, Any] | None = None,
    condition: Mapping[str, Any] | None = None,
    mask: str | None = None,
    dtype: str | None = None,
    offline: bool | None = None,
    **facts: Any,
) -> Provenance:
    """Says how a result is made from files.

    Args:
        verb: verb that makes it.
        model: model, loaded from an entry.
        reference: reference to the model as the user gave it.
        files: paths of the files, as the user gave them.
        n: number of samples, or of codes, in the files.
        sampler: sampler that :func:`zoo_core.sampling.make_sampler` made, if one takes part.
        options: options of the verb, where they are not the sampler's; JSON values.
        condition: values of the condition by name, as the user gave them; JSON values.
        mask: part of every sample that is known, in words.
        dtype: number format that the model was converted to; ``None`` if it is its own.
        offline: whether network requests are forbidden.
        facts: what the verb takes besides; fields of :class:`Provenance`.

    Raises:
        OSError: a file cannot be read.
        DataError: it cannot be said, since it is too long or a name has a control character.
        IncompatibleError: the condition is not made of JSON values.
    """
    assert model.entry is not None
    options = pinned(dict((options or {}) if sampler is None else sampler.made_with), offline=offline)
    name = "" if sampler is None else sampler.name
    return _said(
        Provenance(
            verb=verb,
            **of_model(model.entry, reference, sampler=name),
            sampler=name,
            options=options,
            condition=dict(condition or {}),
            mask=mask,
            inputs=tuple(Input(file, file_sha256(Path(file).expanduser())) for file in files),
            n=n,
            uses=used([options, condition or {}, mask], offline=offline),
            dtype=dtype,
            device=model.device.type,
            **facts,
        )
    )


def part_of_filling(made: Provenance, own: Input, *, first: int, n: int, completion: int) -> Provenance:
    """Says how one file of a filling is made, from how all of them are.

    It names all files that were filled together, since samples are drawn in batches; above :data:`MOST_INPUTS` only its
    own, without which a thousand files would name a thousand files each.

    Args:
        made: how all files are made.
        own: file that was filled.
        first: index of its first sample among those of all files.
        n: number of its samples.
        completion: number of the completion.
    """
    inputs = made.inputs if len(made.inputs) <= MOST_INPUTS else (own,)
    return replace(made, inputs=inputs, first=first, n=n, completion=completion)


def of_plot(model: Model, reference: str, plot: str, *, seed: int, suffix: str) -> Provenance:
    """Says how a plot is drawn.

    Args:
        model: model, loaded from an entry.
        reference: reference to the model as the user gave it.
        plot: registered name of the plot.
        seed: seed of the random numbers.
        suffix: suffix of the file.
    """
    assert model.entry is not None
    facts = of_model(model.entry, reference, plot=plot)
    return Provenance(
        verb="plot", **facts, plot=plot, seed=seed, device=model.device.type, shows="plot", format=suffix.lower()
    )


def of_model(entry: Entry, reference: str, *, sampler: str = "", plot: str = "") -> dict[str, Any]:
    """Returns what a file says of the model that it was made with: keyword arguments of :class:`Provenance`.

    Args:
        entry: entry of the loaded model.
        reference: reference to the model as the user gave it; for a model on the Hub the commit is added.
        sampler: registered name of the sampler, if any; the version of its plugin is remembered.
        plot: registered name of the plot, if any; likewise.
    """
    catalogue = plugins.load().catalogue
    owners = {plugins.family_of(entry).plugin} | ({"matplotlib"} if plot else set())
    owners |= {catalogue.get(kind, name).plugin for kind, name in (("sampler", sampler), ("plot", plot)) if name}
    versions = {"zoo-core": __version__} | {name: version_of(name) for name in sorted(owners - {"zoo-core", ""})}
    return {
        "model": entry.origin.words() if isinstance(entry.origin, FromHub) else reference,
        "id": entry.id,
        "family": entry.family,
        "weights": tuple(one.sha256 for one in entry.weights.files) if entry.weights else (),
        "config": config_hash(entry),
        "versions": versions | {"torch": version_of("torch")},
    }


def _said(made: Provenance) -> Provenance:
    """Returns what a file will say, as it will be read from there."""
    try:
        text = made.at(".npz").text()
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"options and conditions are JSON values here: {' '.join(str(err).split())}") from err
    if len(text) > LONGEST - 1000:  # the table beside a file has a hash too
        raise DataError(f"that takes {len(text):,} bytes, and at most {LONGEST - 1000:,} are read; give fewer files")
    return Provenance.of(text, "this run").at("")


def reference_to(entry: Entry) -> str:
    """Returns a reference that :func:`zoo_core.load` finds an entry by."""
    origin = entry.origin
    return f"local-dir:{origin.path}" if isinstance(origin, FromFolder) else entry.id


def config_hash(entry: Entry) -> str:
    """Hashes the arguments that a model is built with."""
    return hashlib.sha256(json.dumps(dict(entry.config), sort_keys=True).encode()).hexdigest()
