"""Turns a folder of labelled recordings into sequences of cepstral coefficients, which a hidden Markov model learns.

    python -m zoo_hmm.cepstra words/ words.npz
    zoo train --family hmm --data words.npz

Sub-folders are the words.  The recordings are mono and at 8 kHz (:mod:`zoo_hmm.mfcc`); soundfile reads them.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from torch import Tensor

from zoo_core.datasets import sources
from zoo_core.errors import DataError, ZooError
from zoo_core.files.folders import write_whole
from zoo_core.interfaces import Ragged
from zoo_hmm.mfcc import RATE, mfcc

__all__ = ["cepstra"]


def cepstra(folder: Path, target: Path) -> int:
    """Writes ``x`` ``(n, longest, 26)``, ``lengths`` and, where there are sub-folders, ``y``, and counts recordings.

    Args:
        folder: folder of recordings, or a zip archive of one.
        target: ``.npz`` file to write.

    Raises:
        DataError: these are no recordings of one channel at 8 kHz, or the target is no ``.npz`` file.
        PluginError: soundfile is not installed.
    """
    if target.suffix.lower() != ".npz":
        raise DataError(f"cannot write sequences to {target}; expected a file .npz")
    found = sources.look(folder)
    form = tuple(found.reader.get(key) for key in ("channels", "rate"))
    if form != (1, RATE):
        what = found.kind if found.kind != "audio" else f"recordings with channels, Hz = {form[0]}, {form[1]}"
        raise DataError(f"{folder} has {what}; expected recordings with 1, {RATE}")
    rows = Ragged.of([mfcc(row[0]).float() for row in found.x])
    label = found.columns.get("label")
    labels = {"y": np.array(found.names["label"])[label.numpy()]} if isinstance(label, Tensor) else {}
    memory = io.BytesIO()
    np.savez(memory, x=rows.data.numpy(), lengths=rows.lengths.numpy(), **labels)
    write_whole(target, lambda to: to.write_bytes(memory.getvalue()))
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m zoo_hmm.cepstra FOLDER OUT.npz")
    try:
        print(f"{cepstra(Path(sys.argv[1]), Path(sys.argv[2]))} recordings: {sys.argv[2]}")
    except ZooError as err:
        sys.exit(f"zoo: {err}")
