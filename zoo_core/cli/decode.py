"""``zoo decode``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.options import batch_size, conditions, noted, placement, with_flags
from zoo_core.cli.output import complete_model, how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import DivergenceError
from zoo_core.files.formats import check_target, is_folder


@click.command("decode", short_help="Decode latent codes to samples.")
@click.argument("name", shell_complete=complete_model)
@click.argument("file", metavar="CODES", type=click.Path())
@conditions("samples")
@batch_size("samples handled")
@click.option("--out", required=True, metavar="FILE|FOLDER/", help="File for the samples, or a folder/ of files.")
@noted
@placement
@json_option
def command(
    name: str,
    file: str,
    condition: dict[str, Any],
    label: int | None,
    batch_size: int | None,
    out: str,
    note: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Decode latent codes to samples.

    CODES is a file with an array codes, as 'zoo encode' writes it: .npz, .npy or .safetensors.
    Files of samples say how they were made: see 'zoo again'.

    \b
    Examples:
      zoo decode vae-mnist codes.npz --out digits/
      zoo decode nsf-moons codes.npz --out points.csv
    """
    from zoo_core.coding import decode, read_codes
    from zoo_core.interfaces.values import finite_rows
    from zoo_core.loading import load
    from zoo_core.saving.making import of_files
    from zoo_core.saving.manifest import check_free
    from zoo_core.saving.samples import save_samples

    condition = with_flags(condition, "--condition", label=label)
    check_target(out)
    if note and is_folder(out):
        check_free(Path(out), "decode")
    codes = read_codes(file)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    check_target(out, model.space.user, len(codes))
    began = time.perf_counter()
    x = decode(model, codes, condition=condition, batch_size=batch_size, progress=progress(f"decoding by {name}"))
    made = how_made(note, out, lambda: of_files(
        "decode", model, name, [file], condition=condition, n=len(x), dtype=dtype, offline=offline
    ))  # fmt: skip
    save_samples(x, out, model.space, made)
    seconds = time.perf_counter() - began
    if (wrong := int((~finite_rows(x)).sum())) > 0:
        raise DivergenceError(f"{wrong} of {len(x)} samples in {out} are not finite; try --dtype float64")
    if as_json:
        print_json({"model": name, "n": len(x), "seconds": round(seconds, 3), "out": out})
    else:
        number = "1 code" if len(x) == 1 else f"{len(x)} codes"
        click.echo(f"{number} decoded by {name} in {seconds:.1f} s: {out}", err=True)
