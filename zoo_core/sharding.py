"""Draws many samples into a folder, part by part: in one process or in shards that know nothing of each other.

Sample i depends on the seed and on i, so that a shard needs no message from another, and shards together are one run,
to the bit on equal machines (:mod:`zoo_core.saving.shards` says how).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import IncompatibleError
from zoo_core.files.formats import PICTURES, check_target, writable
from zoo_core.interfaces import Model, Sampler, SampleSpace
from zoo_core.loading import load
from zoo_core.sampling import default_batch_size, default_part_size, guidance_strength, make_sampler, sample
from zoo_core.saving.making import of_sampling, reference_to
from zoo_core.saving.manifest import Manifest
from zoo_core.saving.samples import save_samples
from zoo_core.saving.shards import Shard

__all__ = ["Sharded", "formats", "sample_shard"]


@dataclass(frozen=True)
class Sharded:
    """What a shard has done.

    Attributes:
        shard: manifest of the shard, the files of which are all there.
        run: manifest of the whole run, if this was the last shard that was missing in the folder.
        drawn: number of files that were drawn now; others were there already.
    """

    shard: Manifest
    run: Manifest | None
    drawn: int


def sample_shard(
    model: Model | str,
    n: int,
    out: str | Path,
    *,
    shard: int = 1,
    of: int = 1,
    format: str | None = None,
    sampler: str | Sampler[Any] | None = None,
    seed: int = 0,
    first: int = 0,
    condition: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    part_size: int | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    reference: str | None = None,
    offline: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Sharded:
    """Draws one shard of a run of ``n`` samples into a folder, and goes on where it was interrupted.

    Args:
        model: reference to a model, or a model that was loaded.
        n: number of samples of the whole run.
        out: folder, which all shards may share, in a folder that is there.
        shard: number of this shard, 1 … ``of``.
        of: number of all shards; 1 draws the whole run.
        format: suffix of the files; ``.csv`` for tables and ``.npz`` for all others unless given.
        sampler: sampler or its name; the model's default unless given.
        seed: seed of the random numbers.
        first: index of the first sample of the run.
        condition: values of the condition by name, as JSON values; sample i has item i of a list, modulo its length.
        guidance: strength of guidance by the condition; the model's default unless given.
        batch_size: number of samples drawn at once; chosen for the model and its device unless given.
        part_size: number of samples in a file; chosen for the sample space unless given.
        device: device, if the model is a reference.
        dtype: number format, if the model is a reference; otherwise the one that it was converted to, if any.
        reference: reference to a model that was loaded, which the files name.
        offline: whether network requests are forbidden.
        progress: function that is called with ``(done, total)`` samples of this shard after every part.
        options: options of the sampler (``steps=50``).

    Returns:
        What was done.  ``run`` has the hash of the whole run, when all shards are finished in this folder.

    Raises:
        IncompatibleError: the folder has another run, or such files cannot hold these samples.
        ZooError: as :func:`zoo_core.sample`.
    """
    if not 1 <= shard <= of:
        raise IncompatibleError(f"shard {shard} of {of}; expected a number from 1 to {of}")
    if n < 1 or first < 0 or any(size is not None and size < 1 for size in (batch_size, part_size)):
        raise IncompatibleError(
            f"n = {n}, first = {first}, batch_size = {batch_size}, part_size = {part_size}; expected positive numbers"
        )
    if isinstance(model, str):
        reference, model = model, load(model, device=device, dtype=dtype, offline=offline)
    if model.entry is None:
        raise IncompatibleError(f"a {type(model).__name__} that no entry names cannot be drawn again; load it by name")
    chosen = sampler if isinstance(sampler, Sampler) else make_sampler(model, sampler, **options)
    chosen.check(model)
    suffix = format or formats(model.space.user)[0]
    check_format(suffix, model.space.user)
    check_target(f"{out}/")
    made = of_sampling(
        model, reference or reference_to(model.entry), chosen, condition=condition, seed=seed, first=first, n=n,
        guidance=guidance_strength(guidance, chosen, model, conditioned=bool(condition)), dtype=dtype, offline=offline,
    ).at(suffix)  # fmt: skip
    size = part_size or default_part_size(model.space.user)
    batch = min(batch_size or default_batch_size(model), size)
    mine = Shard(Path(out), Manifest(made, (), size, batch), shard, of)
    total, done, drawn = sum(part.n for part in mine.parts), 0, 0
    for part in mine.parts:
        if not mine.is_whole(part):
            x = sample(
                model, part.n, sampler=chosen, seed=seed, first=part.first, condition=condition, guidance=guidance,
                batch_size=batch,
            )  # fmt: skip
            (file,) = save_samples(
                x, str(mine.folder / part.file), model.space.user, made.at(suffix, first=part.first, n=part.n)
            )
            mine.finish(file)
            drawn += 1
        done += part.n
        if progress is not None:
            progress(done, total)
    manifest, run = mine.close()
    return Sharded(manifest, run, drawn)


def formats(space: SampleSpace) -> tuple[str, ...]:
    """Lists the suffixes of files that hold many samples of a space, the default first."""
    known = [suffix for suffix in writable(space) if suffix not in (*PICTURES, ".wav")]
    default = ".csv" if space.kind == "table" else ".npz"
    return (default, *(suffix for suffix in known if suffix != default))


def check_format(suffix: str, space: SampleSpace) -> None:
    """Refuses a format whose files do not hold many samples of a space.

    Raises:
        IncompatibleError: the message lists those that do.
    """
    if suffix not in formats(space):
        raise IncompatibleError(f"cannot write parts of {space.words()} as {suffix!r}; use {', '.join(formats(space))}")
