"""Makes again what was made from files: translations, completed samples, codes, samples of codes, and scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from zoo_core.coding import decode, encode, read_codes, save_codes
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError
from zoo_core.filling import fill
from zoo_core.filling.given import Given
from zoo_core.interfaces import Model, Ragged, Values
from zoo_core.interfaces.values import cat
from zoo_core.sampling import make_sampler
from zoo_core.saving.making import part_of_filling
from zoo_core.saving.manifest import File
from zoo_core.saving.provenance import Input, Provenance
from zoo_core.saving.samples import save_result
from zoo_core.scoring.files import save_scores, score_files
from zoo_core.translation import translate

__all__ = ["FromFiles"]

_SCORING = {"statistic": str, "false_alarms": float, "held_out": str, "n": int}
"""Options of :func:`zoo_core.scoring.files.score_files` that a file may name, and their types."""


class FromFiles:
    """What it takes to make files again that were made from other files, which are known to be the same.

    Args:
        model: model that they were made with.
        name: name of the file in messages.
        progress: function that is called with ``(done, total)`` after every batch.
    """

    def __init__(self, model: Model, name: str, progress: Callable[[int, int], None] | None) -> None:
        self.model, self.name, self.progress = model, name, progress
        self._read: dict[tuple[tuple[Input, ...], str | None, int | None], Given] = {}

    def values(self, made: Provenance) -> Values:
        """Makes the samples of a file again, or its codes.

        Raises:
            DataError: the files have another number of samples than the note says.
        """
        space, files = self.model.space.user, [one.file for one in made.inputs]
        if made.verb == "fill":
            return self._filled(made)
        if made.verb == "decode":
            x: Values = decode(
                self.model, read_codes(files[0]), condition=made.condition or None, progress=self.progress
            )
        elif made.verb == "encode":
            given = cat([read_samples(file, space) for file in files])
            x = encode(self.model, given, condition=made.condition or None, progress=self.progress)
        else:
            given = cat([read_samples(file, space) for file in files])
            x = cast(Values, translate(
                self.model, given, to=made.to, source=made.source, seed=made.seed, first=made.first,
                progress=self.progress,
            ))  # fmt: skip
        if len(x) != made.n:
            raise DataError(f"{self.name} has {made.n} rows, it says; the files that it names have {len(x)}")
        return x

    def write(self, made: Provenance, path: Path, x: Values) -> None:
        """Writes what :meth:`values` returned, in the format of the path's suffix."""
        if made.verb == "fill":
            given = self._given(made)
            given.save(x, given.part_of(made.first, made.n, self.name)[1], path, made)
        elif made.verb == "encode":
            assert not isinstance(x, Ragged)
            save_codes(x, str(path), made)
        else:
            save_result(x, path, self.model.space.user, made)

    def score(self, made: Provenance, path: Path) -> None:
        """Scores examples again, and writes the table."""
        if not all(type(value) is _SCORING.get(key) for key, value in made.options.items()):
            raise DataError(f"{self.name} was made with {made.options}, which zoo score does not take")
        _, rows = score_files(
            self.model, [one.file for one in made.inputs], seed=made.seed, condition=made.condition,
            progress=self.progress, **made.options,
        )  # fmt: skip
        save_scores(rows, path, made)

    def of_file(self, file: File, made: Provenance) -> Provenance:
        """Says how one file of a folder was made, from how all are."""
        if made.verb == "fill":
            given = self._given(made)
            _, part = given.part_of(file.first, file.n, file.file)
            own = made.inputs[given.parts.index(part)] if part in given.parts else made.inputs[0]
            return part_of_filling(made, own, first=file.first, n=file.n, completion=file.completion)
        mine = tuple(one for one in made.inputs if Path(one.file).name == file.file)
        return replace(made, first=file.first, n=file.n, inputs=mine)

    def _given(self, made: Provenance) -> Given:
        """Reads the files that were filled, once for all results."""
        key = (made.inputs, made.mask, made.length)
        if key not in self._read:
            files = [one.file for one in made.inputs]
            self._read[key] = Given.read(files, self.model.space.user, mask=made.mask, length=made.length)
        return self._read[key]

    def _filled(self, made: Provenance) -> Values:
        """Draws one completion again: of the samples of one file, among those that were filled with them, or of all."""
        given = self._given(made)
        first, part = given.part_of(made.first, made.n, self.name)
        way = make_sampler(self.model, made.sampler, **made.options) if made.sampler else None
        (completed,) = fill(
            self.model, given.x, given.known, seed=made.seed, sampler=way, condition=made.condition or None,
            guidance=made.guidance, first=first, first_completion=made.completion or 0, progress=self.progress,
        )  # fmt: skip
        return completed[part]
