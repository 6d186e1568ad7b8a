"""Makes again what a file says of itself, once its model is known to be the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from zoo_core.errors import ChecksumError, DataError, IncompatibleError, WeightsError
from zoo_core.fetching.references import entry_of
from zoo_core.files.formats import is_folder
from zoo_core.files.notes import file_sha256
from zoo_core.interfaces import Model, Values
from zoo_core.loading import devices, load
from zoo_core.pictures import Recorder, save_trajectory
from zoo_core.redrawing.from_files import FromFiles
from zoo_core.sampling import default_batch_size, default_guidance, make_sampler, sample
from zoo_core.saving.dependencies import check_unchanged
from zoo_core.saving.making import config_hash, of_model
from zoo_core.saving.provenance import FROM_FILES, Provenance
from zoo_core.saving.samples import save_one, save_samples

__all__ = ["Maker"]

MOST = 1 << 30
"""Greatest number of numbers that are drawn because a file says so: 4 GiB in float32."""

LARGEST = 1_000_000
"""Greatest integer among the options of a sampler that is taken from a file, such as a number of steps."""


class Maker:
    """A model that is the one which files were made with, and what it takes to make them again.

    Args:
        made: how the files were made; a stranger may have written it.
        name: name of the file in messages.
        model: reference to the model, in place of the one that the file names.
        device: device; that of the file, if this machine has it, unless given.
        weights_from: source of the weights.
        offline: whether network requests are forbidden.
        progress: function that is called with ``(done, total)`` after every batch.

    Raises:
        ChecksumError: the weights, or a file that the samples were made from, are others than they were.
        ZooError: the model cannot be loaded.

    Attributes:
        model: model.
        files: what makes again the files that were made from others.
        now: how the same files are made here and now: other versions, maybe another device.
    """

    def __init__(
        self,
        made: Provenance,
        name: str,
        *,
        model: str | None = None,
        device: str | None = None,
        weights_from: str = "auto",
        offline: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.name, self.progress = name, progress
        if model is None and made.model.startswith("hf:") and not _has_commit(made.model):
            raise ChecksumError(f"{name} names {made.model}, without the commit; refused")
        reference = model or made.model
        try:
            entry = entry_of(reference, offline=offline)
        except WeightsError as err:
            if model is not None or made.model.startswith("hf:"):
                raise
            raise DataError(f"{name} was made with {reference}: {err}; --model says where it is now") from err
        found = tuple(one.sha256 for one in entry.weights.files) if entry.weights else ()
        if found != made.weights:
            raise ChecksumError(
                f"{name} was made with weights {made.weights[0][:16]}…; those of {reference} are "
                f"{found[0][:16] + '…' if found else 'missing'}: nothing they make is the same"
            )
        check_unchanged([made.options, made.condition, made.mask], made.uses, name, offline=offline)
        for each in made.inputs:
            _check_input(each.file, each.sha256, name)
        device = device or (made.device if made.device in devices() else "cpu")
        self.model: Model = load(entry, device=device, dtype=made.dtype, offline=offline, weights_from=weights_from)
        self.files = FromFiles(self.model, name, progress)
        self.now = replace(
            made,
            **{**of_model(entry, reference, sampler=made.sampler, plot=made.plot), "device": self.model.device.type},
        )
        self.config_is_same = made.config in ("", config_hash(entry))

    def samples(self, made: Provenance, batch_size: int | None = None) -> Values:
        """Makes the samples of a file again, or its codes.

        Where the file has one sample of several, the batch that it was in is drawn, and the others are left out.

        Args:
            made: how the file was made.
            batch_size: number of samples drawn at once; the default for the model unless given.
        """
        if made.verb in FROM_FILES:
            self._check_size(0, made.options, made.length or 0)
            x = self.files.values(made)
            return x if made.index is None else x[made.index - made.first : made.index - made.first + 1]
        if made.index is None:
            return self._drawn(made, made.first, made.n, batch_size)
        size = batch_size or default_batch_size(self.model)
        start = made.first + (made.index - made.first) // size * size
        batch = self._drawn(made, start, min(size, made.run.stop - start), size)
        return batch[made.index - start : made.index - start + 1]

    def write(self, made: Provenance, target: str, *, samples: Values | None = None) -> Values | None:
        """Makes a file again at another path, in the format of its suffix; returns its samples, if it shows samples.

        Args:
            made: how the file was made, which the new one says too.
            target: path of the new file, or of a folder that ends in a slash.
            samples: samples that were made already.
        """
        path = Path(target)
        if made.shows in ("film", "strip"):
            self._trajectory(made, path)
            return None
        if made.verb == "plot":
            from zoo_core.plots.draw import draw

            draw(self.model, made.plot, path, seed=made.seed, made=made)
            return None
        if made.verb == "score":
            self._check_size(0, made.options)
            self.files.score(made, path)
            return None
        x = self.samples(made) if samples is None else samples
        if made.verb in FROM_FILES and made.verb != "decode":
            self.files.write(made, path, x)
        elif made.index is not None and not is_folder(target):
            save_one(next(iter(x)), path, self.model.space.user, made)
        else:
            save_samples(x, target, self.model.space.user, made)
        return x

    def _drawn(self, made: Provenance, first: int, n: int, batch_size: int | None, observer: Any = None) -> Values:
        # A film shows one batch, with all that a network remembers.
        self._check_size(n, made.options, most=MOST if observer is None else MOST >> 6)
        chosen = make_sampler(self.model, made.sampler, **made.options)
        guidance = None if made.guidance == default_guidance(self.model) else made.guidance
        x = sample(
            self.model, n, sampler=chosen, seed=made.seed, first=first, condition=made.condition or None,
            guidance=guidance, batch_size=batch_size, observer=observer, progress=self.progress,
        )  # fmt: skip
        return cast(Values, x)

    def _trajectory(self, made: Provenance, path: Path) -> None:
        """Draws a film again: it shows the samples of one batch."""
        film = Recorder(self.model.space)
        self._drawn(made, made.first, made.n, made.n, film)
        save_trajectory(film.frames, str(path), made.at(path.suffix).text())

    def _check_size(self, n: int, options: Mapping[str, Any], length: int = 0, *, most: int = MOST) -> None:
        """Refuses more work than is done because a file says so."""
        numbers = n
        for size in self.model.space.user.shape:
            numbers *= 256 if size is None else size
        if numbers > most or "nfe" in options or any(value > LARGEST for value in [length, *_integers(options)]):
            what = f"a length of {length:,}" if length > LARGEST else f"{n:,} samples with {options}"
            raise IncompatibleError(f"{self.name} asks for {what}; more than is drawn because a file says so")


def _check_input(file: str, sha256: str, name: str) -> None:
    try:
        found = file_sha256(Path(file).expanduser())
    except (OSError, ValueError, RuntimeError) as err:
        raise DataError(f"{name} was made from {file!r}, which is not here; put it there again") from err
    if found != sha256:
        raise ChecksumError(
            f"{name} was made from {file!r} with SHA-256 {sha256[:16]}…; what is there now has {found[:16]}…"
        )


def _integers(values: Any) -> list[int]:
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return [number for value in values for number in _integers(value)]
    return [values] if isinstance(values, int) else []


def _has_commit(reference: str) -> bool:
    commit = reference.rpartition("@")[2]
    return len(commit) == 40 and set(commit) <= set("0123456789abcdef")
