"""What the core's tests share."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo_core import plugins
from zoo_core.cli import main
from zoo_core.errors import ZooError
from zoo_core.registry.entry import Entry, SamplerChoice
from zoo_core.saving import snapshot
from zoo_core.testing.fake_plugins import install

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
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
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


@pytest.fixture
def kinds(zoo_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Installs the plugin and gives a function that makes a folder with a model of some kind."""
    home = Path(__file__).parent / "kinds_plugin"
    modules = {"model": (home / "model.py").read_text(encoding="utf-8")}
    source, registry = ((home / name).read_text(encoding="utf-8") for name in ("plugin.py", "registry.toml"))
    install(zoo_site, "zoo-kinds", source, registry=registry, modules=modules)
    importlib.invalidate_caches()
    plugins.reset()
    monkeypatch.chdir(tmp_path)

    def make(kind: str, **config: object) -> str:
        from zoo_kinds.model import Kinds

        config = {"kind": kind, **config}
        entry = Entry(kind, "kinds", "zoo-kinds", config, kind, sampler=SamplerChoice("direct"))
        snapshot.save(tmp_path / kind, entry, Kinds(**config).state_dict())
        return f"./{kind}"

    return make


@pytest.fixture(scope="session")
def author(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """A clean environment with the core, as the first block of docs/plugins.md makes it: runs shell scripts there.

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
    yield run
    # A gigabyte in small files: pytest would keep it for three sessions, and then a fourth waits for a minute.
    subprocess.run(["sh", "-c", 'rm -rf "$0" >/dev/null 2>&1 &', str(home / ".venv")], check=True)


FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
"""Audit events that no input may cause."""
caught: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if caught is not None and event in FORBIDDEN:
        caught.append(event)


sys.addaudithook(_audit)


@pytest.fixture
def judged() -> Iterator[Callable[..., object]]:
    """Runs something on an input that nobody vouches for, and judges what becomes of it.

    ``judged(case, action, codes={4})`` returns the result, or ``None`` after a ZooError with one of these exit codes.
    Any other exception, a message of several lines or of pages, a process, a pickle, or more than ten seconds fail the
    test in the end, with all cases that did.
    """
    failures: list[str] = []

    def late(*_: object) -> None:
        raise TimeoutError("it hangs")

    def judge(case: str, action: Callable[[], object], *, codes: set[int], seconds: float = 10.0) -> object:
        global caught
        before, caught = signal.signal(signal.SIGALRM, late), []
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return action()
        except ZooError as err:
            if err.exit_code not in codes or "\n" in str(err) or len(str(err)) > 1500:
                failures.append(f"{case}: exit code {err.exit_code}, expected {codes}: {str(err)[:2000]}")
        except Exception as err:
            where = traceback.extract_tb(err.__traceback__)[-1]
            failures.append(f"{case}: {type(err).__name__}: {str(err)[:300]} ({where.filename}:{where.lineno})")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            failures.extend(f"{case}: caused {event}" for event in caught)
            caught = None
        return None

    yield judge
    if failures:
        pytest.fail(f"{len(failures)} cases:\n" + "\n".join(failures[:40]), pytrace=False)
