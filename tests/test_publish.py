"""A model onto a Hub and back, over real HTTP: what is uploaded, what is pinned, and everything that can go wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

import zoo_core
from zoo_core import registry
from zoo_core.authoring import publishing
from zoo_core.errors import AccessError, ChecksumError, NetworkError, RegistryError, WeightsError, ZooError
from zoo_core.files import reading
from zoo_core.registry import writer
from zoo_core.registry.entry import Entry, Evaluation, SamplerChoice
from zoo_core.saving import snapshot
from zoo_core.testing.fake_plugins import install
from zoo_core.testing.hub_standin import READ_TOKEN, TOKEN, Fault, HubStandIn

NAME = "gmm-eight-gaussians"
REPO = "org/ring"

PLUGIN = """
from zoo_core.plugins.hookspecs import hookimpl
ZOO_API = (1, 0)
@hookimpl
def zoo_register(catalogue):
    catalogue.family("die", "zoo_die.model:Die", "a loaded die", capabilities=["DirectSampler"])
"""

MODEL = """
import torch
from zoo_core.interfaces import DirectSampler, Model, SampleSpace

class Die(Model, DirectSampler):
    def __init__(self, faces=6):
        super().__init__()
        self.space = SampleSpace("points", (1,))
        self.register_buffer("p", torch.full((faces,), 1 / faces))

    def draw(self, streams, *, condition=None):
        return streams.categorical(self.p).unsqueeze(1).float() + 1
"""

DIE = Entry(
    "die-loaded",
    "die",
    "zoo-die",
    {"faces": 6},
    "A six half of the time",
    dataset="dice",
    license="Apache-2.0",
    parameters=6,
    sampler=SamplerChoice("direct"),
    recipe={"how": "Thrown by hand.", "objective": "counts", "data": {"name": "dice"}},
    evaluations=(Evaluation(metric="nll", value=1.5, stderr=0.1, n=100, dataset="dice/test", seed=0, unit="nats"),),
)


@pytest.fixture(params=[True, False], ids=["lfs", "commit"])
def either(request):
    """A Hub that takes weights by LFS, and one that takes them in the commit."""
    with HubStandIn(lfs=request.param) as standin:
        yield standin


@pytest.fixture
def server():
    with HubStandIn() as standin:
        yield standin


@pytest.fixture
def die(tmp_path) -> tuple[Path, Path]:
    """A plugin of somebody else's, installed in a folder, and a model of it in another."""
    site = tmp_path / "site"
    install(site, "zoo-die", PLUGIN)
    (site / "zoo_die" / "model.py").write_text(MODEL, encoding="utf-8")
    p = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
    snapshot.save(tmp_path / "runs" / "die" / "model", DIE, {"p": p})
    return site, tmp_path / "runs" / "die" / "model"


@pytest.fixture
def quick(server, tmp_path, monkeypatch):
    """This process talks to the stand-in with a token and waits for nothing; the waits are recorded."""
    server.use_here(monkeypatch, tmp_path / "hf", token=True)
    waits: list[float] = []
    monkeypatch.setattr("zoo_core.authoring.publishing.time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    return waits


@cache
def package() -> publishing.Package:
    return publishing.prepare(NAME, REPO, offline=True)


# The round trip, each step in a process of its own.


@pytest.mark.slow
def test_a_folder_is_published_pinned_and_loaded_elsewhere(either, die, zoo, tmp_path):
    """Somebody publishes a model of a plugin of their own; others load it by ``hf:`` or by the pinned registry."""
    site, folder = die
    writer = either.environment(tmp_path / "writer", token=True)
    reader = either.environment(tmp_path / "reader")
    file = tmp_path / "registry.toml"
    arguments = ("publish", str(folder), "--repo", "org/die", "--registry", str(file))

    first = zoo(*arguments, "--json", path=site, **writer)
    assert first.returncode == 0, first.stderr
    facts = json.loads(first.stdout)
    commit, uploaded = either.repos["org/die"].at("main")
    assert (facts["revision"], facts["changed"]) == (commit, True)
    assert uploaded == {
        p.name: (uploaded[p.name] if p.name == "README.md" else p.read_bytes()) for p in folder.iterdir()
    }
    assert bool(either.lfs) == either.uses_lfs

    again = zoo(*arguments, path=site, **writer)
    assert again.returncode == 0, again.stderr
    assert f"unchanged: org/die@{commit} has it already; no commit was made" in again.stdout
    assert len(either.repos["org/die"].commits) == 2  # the empty one of a new repository, and ours

    (entry,) = registry.read(file).entries
    assert (entry.id, entry.weights.repo_id, entry.weights.revision) == ("die-loaded", "org/die", commit)
    assert entry.weights.sha256 == facts["files"][1]["sha256"]
    assert (entry.config, entry.recipe, entry.evaluations) == (DIE.config, DIE.recipe, DIE.evaluations)

    loaded = zoo("load", "hf:org/die", path=site, **reader)
    assert loaded.returncode == 0, loaded.stderr
    assert f"hub@{commit[:12]}" in loaded.stdout
    pinned = zoo("load", "die-loaded", path=site, ZOO_REGISTRY=str(file), **either.environment(tmp_path / "third"))
    assert pinned.returncode == 0, pinned.stderr

    before = len(either.downloads())
    lacking = zoo("load", "hf:org/die", **reader)
    assert lacking.returncode == 6
    assert lacking.stderr.splitlines()[-1].endswith(
        "is provided by zoo-die, which is not installed; pip install zoo-die"
    )
    assert len(lacking.stderr.splitlines()) == 1
    assert len(either.downloads()) == before  # of the repository, only its config was read, from the cache


@pytest.mark.slow
def test_a_private_and_a_gated_repository(server, die, zoo, tmp_path):
    site, folder = die
    token = server.environment(tmp_path / "writer", token=True)
    done = zoo("publish", str(folder), "--repo", "org/die", "--private", path=site, **token)
    assert done.returncode == 0, done.stderr
    assert server.repos["org/die"].private
    stranger = zoo("load", "hf:org/die", path=site, **server.environment(tmp_path / "stranger"))
    assert stranger.returncode == 5
    assert "org/die@main does not exist, or is private or gated" in stranger.stderr
    friend = zoo("load", "hf:org/die", path=site, **server.environment(tmp_path / "friend", token=READ_TOKEN))
    assert friend.returncode == 0, friend.stderr
    server.repos["org/die"].private, server.repos["org/die"].gated = False, True
    gated = zoo("load", "hf:org/die", path=site, **server.environment(tmp_path / "stranger"))
    assert gated.returncode == 5
    assert "gated" in gated.stderr


def test_without_a_token_nothing_is_asked(quick, server, run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    code, _, err = run("publish", NAME, "--repo", REPO)
    assert code == 5
    (line,) = err.splitlines()
    assert re.search(
        r"needs a token with write access to the Hub: run 'hf auth login' or set HF_TOKEN \(--dry-run and loading", line
    )
    assert server.requests == []


def test_a_dry_run_makes_no_request_and_lists_the_files(quick, server, run, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    file = tmp_path / "registry.toml"
    arguments = ("publish", NAME, "--repo", REPO, "--dry-run", "--registry", str(file))
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert server.requests == []
    assert not file.exists()
    assert (facts["dry_run"], facts["revision"], facts["registry"]) == (True, None, None)
    assert [row["file"] for row in facts["files"]] == ["config.json", "model.safetensors", "README.md"]
    weights = registry.load().get(NAME).weights
    assert (facts["files"][1]["sha256"], facts["files"][1]["size"]) == (weights.sha256, weights.size)
    assert len(facts["checks"]) == 3
    _, out, _ = run(*arguments)
    assert weights.sha256 in out
    assert "This was a dry run: nothing was sent to org/ring." in out


# What is uploaded.


def test_the_card_says_everything_and_the_hub_can_read_it():
    """A valid model-index for the Hub, and for a reader the exact load line, the recipe, use and limits."""
    for entry in registry.load().entries.values():
        if entry.weights is None:
            continue
        text = snapshot.card(entry, "org/model")
        assert text == snapshot.card(entry, "org/model")
        data = huggingface_hub.ModelCard(text).data
        assert data.license == entry.license.lower()
        assert data.library_name == "zoo"
        assert data.datasets == [entry.dataset]
        results = {(r.dataset_name, r.metric_type): r.metric_value for r in data.eval_results or []}
        assert results.keys() == {(row.dataset, row.metric) for row in entry.evaluations}
        for row in entry.evaluations:
            assert results[row.dataset, row.metric] == pytest.approx(row.value, rel=1e-5)
            assert row.text() in text
        assert "\nzoo load hf:org/model\n" in text
        assert f"\npip install {entry.plugin}\n" in text
        for section in ("## How it was made", "## Intended use and limits", "## What is verified"):
            assert section in text
        assert entry.weights.sha256 in text


AWKWARD: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "a licence that the Hub does not know": (
        {"license": "My Own, v2"},
        {"license": "other", "license_name": "my-own-v2"},
    ),
    "words that YAML would change": (
        {"tags": ("no", "a: b", "1e3", "x|y")},
        {"tags": ["zoo", "gmm", "no", "a: b", "1e3", "x|y"]},
    ),
    "a data set with a colon": ({"dataset": "mine: 2"}, {"datasets": ["mine: 2"]}),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_front_matter_of_awkward_words(case):
    changes, expected = AWKWARD[case]
    data = huggingface_hub.ModelCard(snapshot.card(replace(registry.load().get(NAME), **changes))).data.to_dict()
    assert {key: data[key] for key in expected} == expected


def test_numbers_of_any_size_are_numbers_in_the_card():
    entry = registry.load().get(NAME)
    for value in (1e22, 1e-9, 1234567.0, -0.0, 3, 1e300):
        row = replace(entry.evaluations[0], value=value, dataset="a|b")
        data = huggingface_hub.ModelCard(snapshot.card(replace(entry, evaluations=(row,)))).data
        assert data.eval_results[0].metric_value == pytest.approx(value, rel=1e-5)


def test_what_is_not_published(die, monkeypatch, tmp_path):
    """Every check has a model that it stops, before anything is asked."""
    monkeypatch.setattr("zoo_core.fetching.hub_client.require_connection", pytest.fail)
    model = zoo_core.load(NAME)
    good = model.entry

    def attempt(entry: Entry, state=None, name="ring") -> None:
        snapshot.save(tmp_path / name, entry, state or model.state_dict())
        publishing.prepare(str(tmp_path / name), REPO, offline=True)

    attempt(good)
    with pytest.raises(RegistryError, match="license is missing"):
        attempt(replace(good, license=""))
    for bad in (float("nan"), float("inf")):
        state = {k: v.clone() for k, v in model.state_dict().items()}
        state["means"][0, 0] = bad
        with pytest.raises(WeightsError, match="is not published: its tensor means has numbers that are not finite"):
            attempt(good, state)
    with pytest.raises(WeightsError, match="does not fit"):
        attempt(replace(good, config={"shape": [3], "components": 8}))
    with pytest.raises(RegistryError, match="'Not An Id' is not an id"):
        attempt(replace(good, id="Not An Id"), name="Not An Id")
    with pytest.raises(ZooError, match="unknown repository 'ring'"):
        publishing.prepare(NAME, "ring")
    with pytest.raises(WeightsError, match="is on the Hub already"):
        publishing.prepare("hf:org/ring", REPO)


# What goes wrong on the way.

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the client's own transport


def test_upload_is_idempotent_and_one_changed_word_is_a_commit(quick, server):
    first = publishing.upload(package())
    second = publishing.upload(package())
    assert (first.changed, second.changed) == (True, False)
    assert first.revision == second.revision == server.repos[REPO].commits[-1][0]
    entry = replace(package().entry, summary="Another word")
    other = replace(package(), files=package().files | {"README.md": snapshot.card(entry, REPO).encode()})
    third = publishing.upload(other)
    assert third.changed
    assert len(server.repos[REPO].commits) == 3


BUSY = {
    "rate limit": {"status": 429, "retry_after": 7},
    "rate limit without a word": {"status": 429},
    "error 500": {"status": 500},
    "error 503": {"status": 503},
    "error 504": {"status": 504},
}
STEPS = {
    "look": r"^GET /api/models/org/ring$",
    "create": "/api/repos/create",
    "card": "validate-yaml",
    "preupload": "preupload",
    "lfs": "lfs/objects/batch",
    "put": "^PUT /lfs",
    "commit": "/commit/main",
    "check": "paths-info",
}


@pytest.mark.parametrize(
    ("kind", "step"),
    [(kind, step) for kind in BUSY for step in STEPS if kind in ("rate limit", "error 503") or step == "commit"],
)
def test_a_busy_hub_is_asked_again(quick, server, kind, step):
    server.fail_next(pattern=STEPS[step], **BUSY[kind])
    done = publishing.upload(package())
    assert done.changed
    assert len(server.repos[REPO].commits) == 2
    if "retry_after" in BUSY[kind] and step not in ("preupload", "lfs", "put"):  # there the client itself waits
        assert quick == [7.0]


@pytest.mark.parametrize("step", STEPS)
def test_a_cut_connection_is_tried_again(quick, server, step):
    server.fault(Fault(STEPS[step], cut=0))
    assert publishing.upload(package()).changed
    assert len(server.repos[REPO].commits) == 2


@pytest.mark.parametrize("step", ["create", "put", "commit"])
def test_an_answer_that_is_lost_after_the_work_was_done_is_no_second_commit(quick, server, step):
    server.fault(Fault(STEPS[step], cut=0, after=True))
    done = publishing.upload(package())
    assert len(server.repos[REPO].commits) == 2
    assert done.revision == server.repos[REPO].commits[-1][0]


def html(status: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "text/html"}, body


FAILURES: dict[str, tuple[Fault, type[ZooError], str]] = {
    "rate limit for an hour": (
        Fault("preupload", (429, {"Retry-After": "3600"}, b""), 9),
        NetworkError,
        "try again in 3600 seconds",
    ),
    "rate limit without end": (
        Fault("/commit/", (429, {}, b""), 99),
        NetworkError,
        r"limits how often .*\(429\); try again later",
    ),
    "outage while looking": (Fault(STEPS["look"], (503, {}, b""), 99), NetworkError, "the repository of org/ring.*503"),
    "outage at the upload": (Fault("objects/batch", (500, {}, b""), 99), NetworkError, "the upload of org/ring failed"),
    "outage at the commit": (Fault("/commit/", (502, {}, b""), 99), NetworkError, "the upload of org/ring failed"),
    "outage at the check": (Fault("paths-info", (503, {}, b""), 99), NetworkError, "the check of the upload of org/r"),
    "refused": (
        Fault("/commit/", (403, {}, b""), 9),
        AccessError,
        r"refuses access to org/ring \(403\); check HF_TOKEN",
    ),
    "conflict": (Fault("/commit/", (409, {}, b""), 9), NetworkError, "the upload of org/ring failed"),
    "cut without end": (Fault("/commit/", cut=0, times=99), NetworkError, "the connection broke"),
    "HTML for JSON": (Fault("/commit/", html(200, b"<html>"), 99), NetworkError, "the answer is broken"),
    "no commit in the answer": (
        Fault("/commit/", (200, {}, b'{"commitOid": "../../etc", "commitUrl": "https://hf.co/org/ring/commit/y"}'), 99),
        NetworkError,
        "does not say which commit org/ring is",
    ),
    "a card that the Hub refuses": (
        Fault("validate-yaml", (400, {}, b'{"errors": [{"message": "bad tag"}], "warnings": []}'), 9),
        ZooError,
        "the Hub refuses the model card: .*bad tag",
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_one_line_and_pins_nothing(quick, server, run, tmp_path, kind):
    """The registry file stays as it was, to the byte; once the Hub is well again, so is the next attempt."""
    fault, error, message = FAILURES[kind]
    file = tmp_path / "registry.toml"
    before = f"schema = 1  # mine\n\n[models.other]\n{OTHER}"
    file.write_text(before, encoding="utf-8")
    server.fault(replace(fault))
    code, _, err = run("publish", NAME, "--repo", REPO, "--registry", str(file))
    assert code == error.exit_code
    (line,) = err.splitlines()
    assert re.search(message, line), line
    assert file.read_text(encoding="utf-8") == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "hf") == ["registry.toml"]
    server.heal()
    code, out, err = run("publish", NAME, "--repo", REPO, "--registry", str(file))
    assert code == 0, err
    after = file.read_text(encoding="utf-8")
    assert after.startswith(before)
    pinned = tomllib.loads(after)["models"][NAME]["weights"]
    assert pinned["revision"] == server.repos[REPO].commits[-1][0]
    assert f"pinned in {file}" in out


OTHER = """family = "gmm"
plugin = "zoo-gmm"
config = {}
summary = "another"
"""


def test_tokens_that_may_not(quick, server, monkeypatch):
    for token, message in ((READ_TOKEN, r"refuses access to org/ring \(403\)"), ("hf_wrong", "refuses access|private")):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(AccessError, match=message):
            publishing.upload(package())
    assert server.repos == {}


def test_private_is_never_public(quick, server):
    server.add_repo(REPO, {})
    with pytest.raises(AccessError, match="is public already"):
        publishing.upload(package(), private=True)
    assert server.repos[REPO].commits[-1][1] == {}


def test_other_bytes_on_the_hub_are_not_pinned(quick, server):
    publishing.upload(package())
    _, files = server.repos[REPO].commits[-1]
    files["config.json"] = files["config.json"].replace(b"8", b"9")
    body = json.dumps(
        [{"type": "file", "path": n, "size": len(c), "oid": reading.git_hash(c)} for n, c in files.items()]
    )
    server.fault(Fault("paths-info", (200, {"Content-Type": "application/json"}, body.encode())))
    with pytest.raises(ChecksumError, match=r"org/ring@[0-9a-f]{12} has another config\.json than was sent"):
        publishing.upload(package())


def test_offline_and_unreachable_are_said_at_once(quick, monkeypatch):
    ready = package()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="offline, and publishing needs the Hub"):
        publishing.upload(ready)
    monkeypatch.delenv("ZOO_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match=r"cannot reach http://127\.0\.0\.1:9"):
        publishing.upload(ready)


@pytest.mark.slow
def test_a_slow_hub_is_waited_for(server, die, zoo, tmp_path):
    """Seconds before every answer and in the middle of a file; real waits of the real client, in its own process."""
    site, folder = die
    server.fault(*(Fault(pattern, wait=2.0) for pattern in STEPS.values()))
    server.fail_next(503, pattern=STEPS["commit"])
    server.fail_next(429, pattern=STEPS["look"], retry_after=2)
    done = zoo("publish", str(folder), "--repo", "org/die", path=site, **server.environment(tmp_path / "w", token=True))
    assert done.returncode == 0, done.stderr
    server.slow(3.0)
    server.fault(Fault("resolve.*config", cut=100), Fault("resolve.*model.safetensors", cut=60))
    loaded = zoo("load", "hf:org/die", path=site, **server.environment(tmp_path / "reader"))
    assert loaded.returncode == 0, loaded.stderr


# The registry file.


def published(**weights: object) -> Entry:
    entry = registry.load().get(NAME)
    pin = {"repo_id": REPO, "revision": "a" * 40, "bundled": False} | weights
    return replace(entry, weights=replace(entry.weights, **pin))


def test_pinning_leaves_the_rest_of_the_file_alone(tmp_path):
    """Of the zoo's own registry, two lines are added; the numbers, which are of the same bytes, stay."""
    file = tmp_path / "registry.toml"
    text = registry.central_file().read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    writer.pin_published(file, published())
    lines = file.read_text(encoding="utf-8").splitlines()
    added = ['repo_id = "org/ring"', f'revision = "{"a" * 40}"']
    assert [line for line in lines if line not in added] == text.splitlines()
    writer.pin_published(file, published())
    assert file.read_text(encoding="utf-8").splitlines() == lines


def test_other_weights_take_the_place_of_the_old_with_their_own_numbers(tmp_path):
    file = tmp_path / "registry.toml"
    file.write_text(registry.central_file().read_text(encoding="utf-8"), encoding="utf-8")
    entry = published(sha256="b" * 64, size=7)
    writer.pin_published(file, replace(entry, evaluations=()))
    found = next(e for e in registry.read(file).entries if e.id == NAME)
    assert found.weights == replace(entry.weights, bundled=False)
    assert found.evaluations == ()
    writer.pin_published(file, published(sha256="c" * 64, size=7))
    assert next(e for e in registry.read(file).entries if e.id == NAME).evaluations == entry.evaluations


BAD_FILES = {
    "no TOML": "schema = ",
    "another schema": "schema = 9",
    "models is a list": "schema = 1\nmodels = [1]",
    "a table that is none": f'schema = 1\n[models]\n{NAME} = 3',
    "a mistake elsewhere": "schema = 1\n[models.x]\nfamily = 'x'",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_registry_file_with_mistakes_is_said_before_anything_is_sent(quick, server, run, tmp_path, kind):
    file = tmp_path / "mine.toml"
    file.write_text(BAD_FILES[kind], encoding="utf-8")
    code, _, err = run("publish", NAME, "--repo", REPO, "--registry", str(file))
    assert code == 6
    assert len(err.splitlines()) == 1
    assert file.read_text(encoding="utf-8") == BAD_FILES[kind]
    assert server.requests == []


def test_no_folder_for_the_registry_file_and_no_tomlkit(tmp_path, monkeypatch):
    with pytest.raises(RegistryError, match="cannot be written: No such file or directory"):
        writer.pin_published(tmp_path / "nowhere" / "registry.toml", published())
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(RegistryError, match="pip install tomlkit"):
        writer.pin_published(tmp_path / "registry.toml", published())


PIN = """
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from zoo_core import registry
from zoo_core.registry import writer
entry = registry.load().get("gmm-eight-gaussians")
for i in range(5):
    name = f"ring-{sys.argv[2]}-{i}"
    weights = replace(entry.weights, repo_id="org/ring", revision="a" * 40, bundled=False)
    writer.pin_published(Path(sys.argv[1]), replace(entry, id=name, weights=weights))
"""


def test_several_who_pin_at_once_lose_nothing(tmp_path):
    file = tmp_path / "registry.toml"
    command = [sys.executable, "-c", PIN, str(file)]
    processes = [subprocess.Popen([*command, str(i)], env=os.environ) for i in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert {e.id for e in registry.read(file).entries} == {f"ring-{i}-{j}" for i in range(4) for j in range(5)}
    assert [p.name for p in tmp_path.iterdir()] == ["registry.toml"]


def test_the_token_is_the_one_that_was_given(quick, server):
    assert publishing.require_token() == TOKEN


def test_a_silent_hub_is_given_up(quick, server, monkeypatch):
    """The Hub's client itself waits without end for the answer to an upload."""
    monkeypatch.setattr("zoo_core.fetching.hub_client.TIMEOUT", 0.2)
    monkeypatch.setattr("zoo_core.authoring.publishing.WAITS", ())
    huggingface_hub.close_session()
    server.fault(Fault(STEPS["commit"], wait=2.0, times=9))
    with pytest.raises(NetworkError, match=r"the connection broke .*timed out"):
        publishing.upload(package())
    huggingface_hub.close_session()
