"""Makes a file again from what it says of itself, and says whether the result is the same to the bit.

What the file says is untrusted, since anybody may have written it.  It names models by reference; a model is used only
when the hash of its weights is the one that the file names, and so is every other file.  Nothing is written but to the
path that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo_core.coding import check_codes_file
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.files import notes
from zoo_core.files.formats import check_target
from zoo_core.interfaces import SampleSpace, Values
from zoo_core.redrawing.differences import Difference, between_files
from zoo_core.redrawing.drawing import Maker
from zoo_core.redrawing.one_sample import with_one_sample
from zoo_core.saving.manifest import NAME, File, Manifest
from zoo_core.saving.provenance import VERBS, Provenance

__all__ = ["Redrawn", "again", "made_of"]


@dataclass(frozen=True)
class Redrawn:
    """A file that was made again, and how the result compares with it.

    Attributes:
        path: path of the file, or of the folder.
        made: how it was made.
        differences: how each file differs from the one that was made again, by name; empty where one of several samples
            was drawn that the file does not show by itself.
        because: what is not as it was: versions, the device, the config; each with both values.
        samples: samples that were drawn, in the user's range, or codes; ``None`` for films, plots, scores and folders.
        out: path that the result was written to, if any.
        index: index of the one sample that was drawn; ``None`` for all.
    """

    path: str
    made: Provenance
    differences: dict[str, Difference]
    because: tuple[str, ...] = ()
    samples: Values | None = field(default=None, repr=False)
    out: str | None = None
    index: int | None = None

    @property
    def same(self) -> bool | None:
        """Whether everything is the same to the bit; ``None`` where it cannot be compared."""
        return all(one.same for one in self.differences.values()) if self.differences else None

    def words(self) -> str:
        """Describes the outcome in one line."""
        because = f"; {', '.join(self.because)}" if self.because else ""
        if self.same is None:
            return f"{self.path}: sample {self.index} is not shown by itself, and so not compared{because}"
        if self.index is not None:
            (only,) = self.differences.values()
            said = only.words() if self.same else f"not the same: {only.words()}"
            return f"{self.path}: sample {self.index} drawn by itself is {said}{because}"
        several = len(self.differences) > 1
        if self.same:
            equal = all(one.same_bytes for one in self.differences.values())
            files = f"{len(self.differences)} files, " if several else ""
            return f"{self.path}: {files}the same to the bit{'' if equal else ', encoded in other bytes'}{because}"
        wrong = {name: one for name, one in self.differences.items() if not one.same}
        name, first = next(iter(wrong.items()))
        which = f"{len(wrong)} of {len(self.differences)} files differ; {name}: " if several else ""
        return f"{self.path} is not the same: {which}{first.words()}{because}"


def made_of(path: str | Path) -> Provenance:
    """Reads how a file was made, or the files of a folder; nothing is drawn.

    Raises:
        DataError: the file does not exist, says nothing, or what it says is damaged.
    """
    place = Path(path).expanduser()
    try:
        if place.is_dir():
            return _manifest(place).made
        if not place.is_file():
            raise DataError(f"there is no file {str(path)!r}; expected one that the zoo wrote")
        note = notes.read_note(place)
    except (OSError, ValueError) as err:
        raise DataError(f"cannot read {str(path)!r}: {getattr(err, 'strerror', None) or err}") from err
    if note is None:
        raise DataError(
            f"{path} does not say how it was made; files of zoo {', '.join(VERBS[:-1])} and "
            f"{VERBS[-1]} do, unless another program has written them since"
        )
    return Provenance.of(note, str(path))


def again(
    path: str | Path,
    *,
    out: str | Path | None = None,
    index: int | None = None,
    model: str | None = None,
    device: str | None = None,
    weights_from: str = "auto",
    offline: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Redrawn:
    """Makes a file again that one of :data:`~zoo_core.saving.provenance.VERBS` wrote, and compares the two.

    Args:
        path: path of the file, or of a folder with a manifest.
        out: path of a file for the result, of any format that holds it; nothing is written unless given.
        index: index of one sample that is drawn by itself, in place of all.
        model: reference to the model, in place of the one that the file names; the hash of its weights must be the
            file's.
        device: device; that of the file, if this machine has it, unless given.
        weights_from: source of the weights, as for :func:`zoo_core.load`.
        offline: whether network requests are forbidden.
        progress: function that is called with ``(done, total)`` after every batch.

    Raises:
        DataError: the file does not say how it was made.
        ChecksumError: the weights, or a file that it was made from, are others than they were.
        ZooError: it cannot be made; :mod:`zoo_core.errors` lists the kinds of errors.
    """
    place, name = Path(path).expanduser(), str(path)
    made = made_of(path)
    if index is not None and (made.verb != "sample" or index not in made.run):
        has = "no samples by number" if made.verb != "sample" else f"samples {made.run.start} … {made.run.stop - 1}"
        raise IncompatibleError(f"index = {index}; {name} has {has}")
    maker = Maker(made, name, model=model, device=device, weights_from=weights_from, offline=offline, progress=progress)
    space = maker.model.space.user
    because = _because(made, maker, changed=place.is_file() and notes.changed(place))
    if out is not None:
        _check_out(str(out), made, space, index)
    if index is not None:
        return _one(place, name, maker, made, index, out, because)
    if place.is_dir():
        return _folder(place, name, maker, out, because)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch) / place.name
        x = maker.write(made, str(copy))
        difference = between_files(place, copy, space if made.verb != "encode" else None)
    if out is not None:
        maker.write(_now(maker, made, Path(out)), str(out), samples=x)
    return Redrawn(name, made, {place.name: difference}, because, x, None if out is None else str(out))


def _one(
    place: Path,
    name: str,
    maker: Maker,
    made: Provenance,
    index: int,
    out: str | Path | None,
    because: tuple[str, ...],
) -> Redrawn:
    """Draws one sample by itself, and compares it with the file where that shows it by itself."""
    alone = replace(made, first=index, n=1, index=index, shows="samples")
    x = maker.samples(alone, 1)
    found = None if place.is_dir() else with_one_sample(place, made, index, x, maker.model.space.user)
    if out is not None:
        maker.write(_now(maker, alone, Path(out)), str(out), samples=x)
    differences = {} if found is None else {place.name: found}
    return Redrawn(name, made, differences, because, x, None if out is None else str(out), index)


def _folder(place: Path, name: str, maker: Maker, out: str | Path | None, because: tuple[str, ...]) -> Redrawn:
    """Makes all files of a folder again: a run in parts file by file, others at once."""
    manifest = _manifest(place)
    made, target = manifest.made, None if out is None else Path(out)
    if target is not None:
        target.mkdir(exist_ok=True)
    whole: dict[int, Values] = {}  # by the number of the completion
    differences = {}
    with TemporaryDirectory() as scratch:
        for file in manifest.files:
            part = _of_file(file, manifest, maker)
            if manifest.part is not None:
                x = maker.samples(part, manifest.batch)
            else:
                if file.completion not in whole:
                    all_of_it = replace(made, completion=file.completion) if made.verb == "fill" else made
                    whole[file.completion] = maker.samples(all_of_it, manifest.batch)
                x = whole[file.completion][file.first - made.first : file.first - made.first + file.n]
            copy = Path(scratch) / file.file
            maker.write(part, str(copy), samples=x)
            there = place / file.file
            differences[file.file] = (
                between_files(there, copy, maker.model.space.user) if there.is_file() else Difference()
            )
            copy.unlink()
            if target is not None:
                maker.write(_now(maker, part, target / file.file), str(target / file.file), samples=x)
    return Redrawn(name, made, differences, because, None, None if out is None else str(out))


def _of_file(file: File, manifest: Manifest, maker: Maker) -> Provenance:
    """Says how one file of a folder was made."""
    made = manifest.made
    if manifest.part is not None:
        return replace(made, first=file.first, n=file.n)
    if made.verb in ("translate", "fill"):
        return maker.files.of_file(file, made)
    return replace(made, index=file.first) if len(manifest.files) > 1 or file.n < made.n else made


def _manifest(folder: Path) -> Manifest:
    if not (folder / NAME).is_file():
        hint = "; zoo verify writes it when all shards are there" if list(folder.glob("manifest-*.json")) else ""
        raise DataError(f"{folder} does not say how its files were made: it has no {NAME}{hint}")
    return Manifest.read(folder / NAME)


def _check_out(out: str, made: Provenance, space: SampleSpace, index: int | None) -> None:
    """Refuses a path that the result cannot be written to, before anything is drawn."""
    if index is None and (made.verb in ("plot", "score") or made.shows != "samples"):
        if Path(out).suffix.lower() != made.format or not Path(out).resolve().parent.is_dir():
            raise IncompatibleError(f"cannot write a {made.shows} to {out!r}; use a {made.format} file in a folder")
        return
    if made.verb == "encode":
        check_codes_file(out)
        return
    check_target(out, space, 1 if index is not None else len(made.samples))


def _now(maker: Maker, made: Provenance, out: Path) -> Provenance:
    """Says how the new file was made: as the old one, with what is here and now."""
    now = maker.now
    return replace(made, model=now.model, id=now.id, config=now.config, device=now.device, versions=now.versions).at(
        out.suffix
    )


def _because(made: Provenance, maker: Maker, *, changed: bool) -> tuple[str, ...]:
    """Lists what is not as it was when the file was made."""
    now: dict[str, Any] = dict(maker.now.at(made.format).versions)
    found = [f"{key} {value} there, {now[key]} here" for key, value in made.versions.items() if now.get(key) != value
             and key in now]  # fmt: skip
    if made.device != maker.now.device:
        found.append(f"device {made.device} there, {maker.now.device} here")
    if not maker.config_is_same:
        found.append(f"the config of {made.model} is another")
    if changed:
        found.append("the file was changed after it was written")
    return tuple(found)
