"""The options of ``zoo sample --shard``, and what is printed when a shard is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.output import print_json

if TYPE_CHECKING:
    from zoo_core.sharding import Sharded

__all__ = ["report", "shard_options"]


def shard_options(function: Any) -> Any:
    """Adds the options of a run that is drawn in parts."""
    for option in (
        click.option(
            "--format",
            "form",
            metavar="SUFFIX",
            help="With --shard, format of the files: npz, npy, safetensors, csv, json or txt.  [default: csv for "
            "tables, npz for all others]",
        ),
        click.option(
            "--part",
            type=click.IntRange(min=1),
            help="With --shard, number of samples in a file.  [default: about a million numbers]",
        ),
        click.option(
            "--shard",
            metavar="K/N",
            callback=_shard,
            help="Draw the K-th of N shards of the samples into a folder, in files of --part samples; a second call "
            "goes on where the first one was interrupted.  1/1 draws them all.",
        ),
    ):
        function = option(function)
    return function


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Reads ``3/16`` as the third of sixteen shards."""
    if value is None:
        return None
    number, _, of = value.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise click.BadParameter(f"{value!r} is not K/N with 1 ≤ K ≤ N, such as 3/16")
    return int(number), int(of)


def report(done: Sharded, name: str, out: str, seconds: float, as_json: bool) -> None:
    """Prints what a shard has done; samples that are not finite are an error."""
    from zoo_core.errors import DivergenceError

    (number, of), files = done.shard.shard or (1, 1), done.shard.files
    count = sum(file.n for file in files)
    if as_json:
        print_json(
            {
                "model": name,
                "shard": [number, of],
                "n": count,
                "files": len(files),
                "drawn": done.drawn,
                "seconds": round(seconds, 3),
                "out": out,
                "sha256": done.run.sha256 if done.run else None,
            }
        )
    else:
        there = f", {len(files) - done.drawn} of which were there" if done.drawn < len(files) else ""
        run = f"; all shards are there, sha256 {done.run.sha256}" if done.run else ""
        what = f"{count} samples of {name} in {len(files)} {'file' if len(files) == 1 else 'files'}{there}"
        click.echo(f"shard {number} of {of}: {what}, in {seconds:.1f} s: {out}{run}", err=True)
    if wrong := sum(file.not_finite for file in files):
        raise DivergenceError(f"{wrong} of {count} samples in {out} are not finite; try other options")
