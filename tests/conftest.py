"""What the core's tests share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo_core import plugins
from zoo_core.cli import main

Zoo = Callable[..., subprocess.CompletedProcess[str]]
Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """Discovery begins anew, before and after."""
    plugins.reset()
    yield
    plugins.reset()


@pytest.fixture
def site(zoo_site: Path) -> Path:
    """``zoo_site`` of the conformance kit, under a shorter name."""
    return zoo_site


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """Runs the command line in a process of its own, as a user does."""

    def run(*arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_"))}
        variables |= {
            "HF_HOME": str(tmp_path / "hf"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "OMP_NUM_THREADS": "1",
        }
        if path is not None:
            variables["PYTHONPATH"] = str(path)
        command = [sys.executable, "-m", "zoo_core.cli", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=variables | environment, cwd=tmp_path, timeout=120
        )

    return run


@pytest.fixture
def zoo_json(zoo: Zoo) -> Callable[..., object]:
    """Runs a verb with ``--json`` and parses what it prints."""

    def run(*arguments: str, **options: object) -> object:
        done = zoo(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A verb in this process, in an empty folder: ``(exit code, stdout, stderr)``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


@pytest.fixture(scope="session")
def author(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A clean environment with the core in it, as the first block of docs/plugins.md makes it: runs shell scripts there.

    All tests that need one share it, because installing torch takes most of a minute.
    """
    root, home = Path(__file__).parent.parent, tmp_path_factory.mktemp("author")
    (home / "zoo").symlink_to(root)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_", "PYTHON", "VIRTUAL_ENV"))}
    variables |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PIP_CONSTRAINT": str(root / "constraints.txt"),
        "HF_HOME": str(home / "hf"),
    }

    def run(script: str, **environment: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables | environment, cwd=home,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    first = re.search(r"```sh\n(.*?)```", (root / "docs" / "plugins.md").read_text(encoding="utf-8"), re.DOTALL)
    assert first
    run(first[1])
    return run
