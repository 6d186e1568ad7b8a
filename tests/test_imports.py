"""What is not imported: listing, completion and help must be quick, and a model's code runs only when it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "diffusers", "PIL", "safetensors", "huggingface_hub", "pooch", "accelerate", "sklearn")
MODEL_CODE = ("zoo_ddpm.model", "zoo_gmm.model", "zoo_nets", "zoo_metrics.likelihood")

LISTING = [
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "ddpm-*", "--installed", "--json"],
    ["list", "--cached"],
    ["info", "ddpm-mnist"],
    ["info", "ddpm-mnist", "--json"],
    ["families", "--json"],
    ["samplers", "--for", "ddpm-mnist"],
    ["objectives"],
    ["metrics", "--for", "gmm-digits"],
    ["datasets"],
    ["plugins"],
    ["plugins", "list", "--json"],
    ["registry", "schema"],
    ["registry", "validate", "registry.toml"],
    ["env", "--json"],
    ["cache", "ls"],
    ["cache", "path"],
    ["completion", "bash"],
    ["load", "--help"],
    ["sample", "--help"],
    ["fill", "--help"],
    ["score", "--help"],
    ["encode", "--help"],
    ["decode", "--help"],
    ["again", "--help"],
]

RUN = """
import sys
from zoo_core.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def modules_after(arguments, **environment):
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_")} | environment
    root = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, env=variables, cwd=root, timeout=60
    )
    code, *modules = done.stderr.splitlines()[-1].split()
    return code, set(modules), done.stdout


@pytest.mark.parametrize("arguments", LISTING, ids=" ".join)
def test_listing_imports_nothing_heavy(arguments):
    code, modules, _ = modules_after(arguments)
    assert code == "0"
    assert not modules.intersection((*HEAVY, *MODEL_CODE))


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["info", "ddpm-mnist"]], ids=" ".join)
def test_nothing_heavy_for_the_first_words_either(arguments):
    """Modules that are quick enough but needless where nothing goes over a network."""
    _, modules, _ = modules_after(arguments)
    assert not modules.intersection(("asyncio", "http.client", "ssl", "unittest", "multiprocessing"))


def test_completion_imports_nothing_heavy():
    """Pressing Tab after ``zoo load ddpm-m``."""
    code, modules, out = modules_after([], _ZOO_COMPLETE="bash_complete", COMP_WORDS="zoo load ddpm-m", COMP_CWORD="2")
    assert "plain,ddpm-mnist" in out.split()
    assert code == "0"
    assert not modules.intersection((*HEAVY, *MODEL_CODE))


def test_import_zoo_core_is_cheap():
    check = "import sys, zoo_core; dir(zoo_core); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert not modules.intersection((*HEAVY, "click", "pluggy", "tomllib"))
    look_up = "import sys, zoo_core; zoo_core.find('ddpm'); zoo_core.info('ddpm-mnist'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look_up], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()).intersection((*HEAVY, *MODEL_CODE))


def test_loading_imports_no_diffusers():
    check = "import sys, zoo_core; zoo_core.load('ddpm-moons'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "torch" in modules
    assert not modules.intersection(("diffusers", "accelerate", "sklearn", "huggingface_hub", "zoo_gmm.model"))
