"""How long a user waits: ``zoo list`` and ``zoo load`` against the imports that they cannot do without."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from comparison import Row, of_commands

LIST_FLOOR = ["python", "-c", "import click, pluggy"]
LOAD_FLOOR = ["python", "-c", "import torch"]
DIFFUSERS = "from diffusers import DDPMPipeline; import sys; DDPMPipeline.from_pretrained(sys.argv[1])"


def measure() -> list[Row]:
    """Five rounds of each command, in turns."""
    zoo = shutil.which("zoo", path=str(Path(sys.executable).parent)) or "zoo"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_") and k != "PYTHONDONTWRITEBYTECODE"}
    environment = inherited | {"HF_HUB_OFFLINE": "1"}  # with bytecode, as installers leave a package
    with tempfile.TemporaryDirectory() as folder:
        exported = str(Path(folder) / "ddpm-mnist")
        commands = {
            "list": [zoo, "list"],
            "list floor": LIST_FLOOR,
            "load": [zoo, "load", "ddpm-mnist"],
            "load floor": LOAD_FLOOR,
            "diffusers": ["python", "-c", DIFFUSERS, exported],
        }
        export = [zoo, "export", "ddpm-mnist-plain", "--format", "diffusers", "--force", exported]
        of_commands({"export": export}, 1, environment)
        took = of_commands(commands, 5, environment)
    ours = took["load"] - took["load floor"]
    share = f"{took['load floor']:.2f} s of it is importing torch, {ours:.2f} s ({ours / took['load']:.0%}) is ours"
    return [
        Row("`zoo list`", '`python -c "import click, pluggy"`', took["list"], took["list floor"], 1 / 3),
        Row(
            "`zoo load ddpm-mnist`",
            '1.3 × `python -c "import torch"` + 0.3 s',
            took["load"],
            1.3 * took["load floor"] + 0.3,
            1.0,
            share,
        ),
        Row(
            "`zoo load ddpm-mnist`",
            "importing diffusers and `DDPMPipeline.from_pretrained`",
            took["load"],
            took["diffusers"],
            2.0,
        ),
    ]
