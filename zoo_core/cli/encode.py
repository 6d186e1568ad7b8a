"""``zoo encode``."""

from __future__ import annotations

import time
from typing import Any

import click

from zoo_core.cli.options import batch_size, conditions, noted, placement, with_flags
from zoo_core.cli.output import complete_model, how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.files.formats import check_source


@click.command("encode", short_help="Encode samples in files to latent codes.")
@click.argument("name", shell_complete=complete_model)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@conditions("samples")
@batch_size("samples handled")
@click.option("--out", required=True, metavar="FILE", help="File for the codes: .npz, .npy or .safetensors.")
@noted
@placement
@json_option
def command(
    name: str,
    files: tuple[str, ...],
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
    """Encode samples in files to latent codes.

    The codes of all FILEs are one array, codes, with a row for each sample in the order of the files; where the encoder
    is a distribution they are its means.  The file says how it was made: see 'zoo again'.

    \b
    Examples:
      zoo encode vae-mnist digits/*.png --out codes.npz
      zoo encode nsf-moons points.csv --out codes.npz
    """
    from zoo_core.coding import check_codes_file, encode, save_codes
    from zoo_core.datasets.reading import read_samples
    from zoo_core.interfaces.values import cat
    from zoo_core.loading import load
    from zoo_core.saving.making import of_files

    condition = with_flags(condition, "--condition", label=label)
    check_codes_file(out)
    for file in files:
        check_source(file)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    for file in files:
        check_source(file, model.space.user)
    began = time.perf_counter()
    x = cat([read_samples(file, model.space.user) for file in files])
    codes = encode(model, x, condition=condition, batch_size=batch_size, progress=progress(f"encoding by {name}"))
    made = how_made(note, out, lambda: of_files(
        "encode", model, name, files, condition=condition, n=len(codes), dtype=dtype, offline=offline
    ))  # fmt: skip
    save_codes(codes, out, made)
    seconds = time.perf_counter() - began
    if as_json:
        shown = {"model": name, "n": len(codes), "shape": list(codes.shape[1:]), "seconds": round(seconds, 3)}
        print_json({**shown, "out": out})
    else:
        number = "1 sample" if len(codes) == 1 else f"{len(codes)} samples"
        size = "×".join(str(size) for size in codes.shape[1:])
        click.echo(f"{number} encoded by {name} to codes of {size} numbers in {seconds:.1f} s: {out}", err=True)
