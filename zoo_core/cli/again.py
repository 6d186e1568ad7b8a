"""``zoo again``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import weights_source
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins

if TYPE_CHECKING:
    from zoo_core.redrawing import Redrawn


@click.command("again", short_help="Make a file again, and say whether the result is the same.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "--out",
    metavar="FILE|FOLDER/",
    help="File for the result, in any format that holds it; without it, nothing is written.",
)
@click.option("--index", type=click.IntRange(min=0), help="Index of one sample to draw by itself, in place of all.")
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=complete_model,
    help="Model to use in place of the one that the file names; its weights must have the same hash.",
)
@click.option(
    "--device", help="Device to compute on, as for zoo sample.  [default: that of the file, where this machine has it]"
)
@click.option("--show", is_flag=True, help="Show how the file was made, and draw nothing.")
@weights_source
@json_option
def command(
    file: str,
    out: str | None,
    index: int | None,
    model: str | None,
    device: str | None,
    show: bool,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Make a file again, and say whether the result is the same.

    FILE is what zoo sample, translate, plot, fill, encode, decode or score wrote, or a folder of such files with a
    manifest.json.  It says how it was made; a model is used only if the hash of its weights is the one that the file
    names, and so is each file that it was made from.

    The exit code is 0 if the result is the same to the bit, 1 if it is not, and 4 if the weights are others, or the
    file does not say how it was made.

    \b
    Examples:
      zoo again samples.png
      zoo again samples.png --out samples.npz
      zoo again samples.png --index 7 --out seven.png
      zoo again samples.png --show
    """
    from zoo_core.errors import DifferenceError
    from zoo_core.redrawing import again, made_of

    if show:
        made = made_of(file)
        if as_json:
            print_json(made.table())
        else:
            click.echo(made.command())
        return
    done = again(
        file, out=out, index=index, model=model, device=device, weights_from=weights_from, offline=offline,
        progress=progress(f"drawing {file}"),
    )  # fmt: skip
    warn_about_plugins()
    if as_json:
        print_json(_facts(done))
    if done.same is False:
        raise DifferenceError(done.words())
    if not as_json:
        click.echo(done.words())


def _facts(done: Redrawn) -> dict[str, Any]:
    """Returns the outcome as JSON values."""
    differing = {
        name: {"greatest": one.greatest, "differing": one.differing, "of": one.of, "levels": one.levels}
        for name, one in done.differences.items()
        if not one.same
    }
    return {
        "file": done.path,
        "same": done.same,
        "same_bytes": all(one.same_bytes for one in done.differences.values()) if done.differences else None,
        "files": len(done.differences),
        "differing": differing,
        "because": list(done.because),
        "out": done.out,
        "made": done.made.table(),
    }
