"""``zoo plugins new``: what it writes is a plugin that is well, passes every check, and installs beside the core."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from zoo_core import plugins
from zoo_core.authoring import scaffold
from zoo_core.errors import NameTakenError
from zoo_core.registry.json_schema import json_schema
from zoo_core.testing.fake_plugins import install

REFUSED = {
    "My_Flow": "did you mean my-flow?",
    "MyFlow": "did you mean my-flow?",
    "my flow": "did you mean my-flow?",
    "9flow": "did you mean flow?",
    "flow-": "did you mean flow?",
    "": "like my-family",
    "../flow": "did you mean flow?",
    "flöw": "did you mean fl-w?",
    "zoo-flow": "so leave out 'zoo-'; did you mean flow?",
    "ddpm": "zoo-ddpm has a family of this name; choose another name, for example my-ddpm",
    "vae": "zoo-vae has a family of this name",
    "beta-vae": None,
    "metrics": "zoo-metrics is a part of the zoo",
    "core": "zoo-core is a part of the zoo",
    "nets": "zoo-nets is a part of the zoo",
    "none": "its class would be called None, which is a word of Python's",
    "density": "its class would be called Density, which its module uses for something else",
    "affine-coupling": "its class would be called AffineCoupling",
    "json": "json is a module of Python's",
}


@pytest.fixture
def package(tmp_path, site):
    """A new plugin ``zoo-hyper-flow``, installed as ``pip install -e`` does it: its ``src`` is on the path."""
    home = scaffold.new("hyper-flow", tmp_path)
    install(site, "zoo-hyper-flow", "")
    shutil.rmtree(site / "zoo_hyper_flow")
    (site / "zoo_hyper_flow").symlink_to(home / "src" / "zoo_hyper_flow")
    forget()
    yield home
    forget()


def forget() -> None:
    """What was found and imported of an earlier one, which lay elsewhere."""
    plugins.reset()
    importlib.invalidate_caches()
    for name in [m for m in sys.modules if m.partition(".")[0] == "zoo_hyper_flow"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", REFUSED)
def test_names(name, fresh_plugins):
    wanted = REFUSED[name]
    if wanted is None:
        scaffold.check_name(name)
        return
    with pytest.raises(NameTakenError) as caught:
        scaffold.check_name(name)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_name_that_another_plugin_has(site):
    install(site, "zoo-others", "ZOO_API = (0, 0)")  # installed, though it does not load
    with pytest.raises(NameTakenError, match="zoo-others is installed"):
        scaffold.check_name("others")
    (site / "zoo_by_hand.py").write_text("", encoding="utf-8")
    with pytest.raises(NameTakenError, match="Python finds a package zoo_by_hand"):
        scaffold.check_name("by-hand")


def test_the_verb(run, tmp_path, fresh_plugins):
    code, out, err = run("plugins", "new", "hyper-flow", "--dir", "deep/er")
    assert (code, out) == (0, "deep/er/zoo-hyper-flow\n")
    assert "zoo: next: pip install -e 'deep/er/zoo-hyper-flow[dev]'\n" in err
    assert "zoo: next: zoo train hyper-flow-moons\n" in err
    code, out, err = run("plugins", "new", "Hyper Flow")
    assert (code, out) == (2, "")
    assert err == (
        "zoo: 'Hyper Flow' is no name for a family; expected lower-case words joined by '-', like my-family; "
        "did you mean hyper-flow?\n"
    )


def test_nothing_is_overwritten(run, tmp_path, fresh_plugins):
    (tmp_path / "zoo-hyper-flow").mkdir()
    (tmp_path / "zoo-hyper-flow" / "mine.txt").write_text("mine", encoding="utf-8")
    code, _, err = run("plugins", "new", "hyper-flow")
    assert code == 1
    assert "zoo-hyper-flow is there already, and nothing is overwritten" in err
    assert [p.name for p in (tmp_path / "zoo-hyper-flow").iterdir()] == ["mine.txt"]


def test_whole_or_not_at_all(run, tmp_path, monkeypatch, fresh_plugins):
    def half(name):
        yield "README.md", "half"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaffold, "files", half)
    code, _, err = run("plugins", "new", "hyper-flow")
    assert (code, err) == (
        1,
        "zoo: cannot write zoo-hyper-flow: No space left on device; what was there is unchanged\n",
    )
    assert not list(tmp_path.iterdir())


def test_every_file_has_the_new_name(tmp_path):
    home = scaffold.new("hyper-flow", tmp_path)
    made = sorted(p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file())
    template = (p.relative_to(scaffold.TEMPLATE) for p in scaffold.TEMPLATE.rglob("*") if p.is_file())
    kept = {p.as_posix().replace("my_family", "hyper_flow") for p in template if "cache" not in str(p)}
    assert set(made) == kept | {"registry.schema.json"}
    for path in made:
        text = (home / path).read_text(encoding="utf-8")
        assert not any(old in text for old in ("my-family", "my_family", "MyFamily")), path
        if path.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads((home / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["zoo.plugins"] == {"hyper-flow": "zoo_hyper_flow.plugin"}


def test_an_editor_finds_the_schema(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    fragment = scaffold.new("hyper-flow", tmp_path) / "src" / "zoo_hyper_flow" / "registry.toml"
    directive, _, path = fragment.read_text(encoding="utf-8").splitlines()[0].partition(" ")
    assert directive == "#:schema"
    schema = json.loads((fragment.parent / path).read_text(encoding="utf-8"))
    assert schema == json_schema()
    assert jsonschema.Draft202012Validator(schema).is_valid(tomllib.loads(fragment.read_text(encoding="utf-8")))


def test_the_new_plugin_is_well(package, run):
    assert run("plugins", "doctor", "hyper-flow")[:2] == (0, "hyper-flow (zoo-hyper-flow 1.0): loaded\n")
    fragment = package / "src" / "zoo_hyper_flow" / "registry.toml"
    for options in ((), ("--distribution", "zoo-hyper-flow")):
        code, out, err = run("registry", "validate", str(fragment), *options)
        assert (code, out, err) == (0, f"{fragment}: 1 model, all well\n", "")
    code, _, err = run("registry", "validate", str(fragment), "--distribution", "zoo-other")
    assert code == 6
    assert "'zoo-hyper-flow' is not the distribution that ships it, 'zoo-other'" in err


WITHOUT_WEIGHTS = {
    ("load", "hyper-flow-moons"): 4,
    ("sample", "hyper-flow-moons", "--out", "x.png"): 4,
    ("eval", "hyper-flow-moons", "--metric", "nll"): 4,
    ("plot", "hyper-flow-moons", "density", "--out", "x.png"): 4,
    ("download", "hyper-flow-moons"): 4,
    ("info", "hyper-flow-moons"): 0,
    ("verify", "hyper-flow-moons"): 0,
}


@pytest.mark.parametrize("arguments", WITHOUT_WEIGHTS, ids=lambda a: a[0])
def test_a_model_without_weights_says_how_to_make_them(package, run, arguments):
    code, out, err = run(*arguments)
    assert code == WITHOUT_WEIGHTS[arguments], err
    assert "zoo train hyper-flow-moons" in (err if code else out)
    assert "\n" not in err.strip()


def test_release_writes_into_the_plugin_that_has_the_model(package, tmp_path, monkeypatch):
    from zoo_core import loading, registry
    from zoo_core.authoring import release
    from zoo_core.saving import snapshot

    entry = registry.load().get("hyper-flow-moons")
    snapshot.save(tmp_path / "run", entry, loading.build(entry).state_dict())
    central = registry.central_file().read_bytes()
    monkeypatch.setattr(sys, "argv", ["release", "hyper-flow-moons", "--weights", str(tmp_path / "run")])
    release.main()
    plugins.reset()
    loaded = loading.load("hyper-flow-moons")
    assert loaded.entry is not None
    assert loaded.entry.parameters == sum(p.numel() for p in loaded.parameters())
    assert (package / "src/zoo_hyper_flow/weights/hyper-flow-moons/README.md").is_file()
    assert registry.central_file().read_bytes() == central


def released(monkeypatch, *arguments):
    """The exit code of a release of hyper-flow-moons, and the entry as the registry has it then."""
    from zoo_core import registry
    from zoo_core.authoring import release

    monkeypatch.setattr(sys, "argv", ["release", "hyper-flow-moons", *map(str, arguments)])
    try:
        release.main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    plugins.reset()
    return code, registry.load().get("hyper-flow-moons")


def test_release_refuses_weights_that_another_recipe_or_config_made(package, tmp_path, monkeypatch, capsys):
    """The run's own config.json says how they were made; ``--adopt`` takes that into the registry."""
    from zoo_core import loading, registry
    from zoo_core.saving import snapshot
    from zoo_core.training.variants import changed

    entry = registry.load().get("hyper-flow-moons")
    made = changed(entry, {"lr": 0.5, "clip": None, "data.n": 77})
    snapshot.save(tmp_path / "run", made, loading.build(made).state_dict())
    for weights in (tmp_path / "run", tmp_path / "run" / snapshot.FILE):
        code, after = released(monkeypatch, "--weights", weights)
        assert code == 4
        err = capsys.readouterr().err
        assert "was not made with the recipe and config of hyper-flow-moons: " in err
        assert "no clip there and clip = 1.0 here" in err
        assert "data.n = 77 there and data.n = " in err
        assert "copy them into the registry with --adopt" in err
        assert after == entry
    code, after = released(monkeypatch, "--weights", tmp_path / "run", "--adopt")
    assert code == 0
    assert (after.recipe["lr"], after.recipe["data"]["n"]) == (0.5, 77)
    assert "clip" not in after.recipe
    assert (after.id, after.summary, after.license) == (entry.id, entry.summary, entry.license)
    assert released(monkeypatch, "--weights", tmp_path / "run")[0] == 0  # now it is what made them
    card = (package / "src/zoo_hyper_flow/weights/hyper-flow-moons/README.md").read_text(encoding="utf-8")
    assert "- lr: `0.5`" in card


def test_release_refuses_a_run_that_was_stopped(package, tmp_path, monkeypatch, capsys):
    from zoo_core import registry
    from zoo_core.training import Options, train

    train(registry.load().get("hyper-flow-moons"), tmp_path / "run", Options(max_steps=2, samples_every=0))
    assert released(monkeypatch, "--weights", tmp_path / "run" / "model")[0] == 4
    assert "stopped = 2 there and no stopped here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("absent", "cannot read absent: No such file or directory; zoo train hyper-flow-moons makes"),
        (".", "cannot read"),
    ],
)
def test_release_says_what_it_lacks(package, weights, message, monkeypatch, capsys, tmp_path):
    from zoo_core.authoring import release

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["release", "hyper-flow-moons", "--weights", weights])
    with pytest.raises(SystemExit) as stop:
        release.main()
    assert stop.value.code == 4
    assert message in capsys.readouterr().err


def test_release_writes_into_no_installed_copy(tmp_path, monkeypatch, fresh_plugins, capsys):
    from zoo_core.authoring import release

    site = tmp_path / "site-packages"
    site.mkdir()
    home = scaffold.new("hyper-flow", tmp_path)
    install(site, "zoo-hyper-flow", "", registry=(home / "src/zoo_hyper_flow/registry.toml").read_text())
    (home / "src" / "zoo_hyper_flow" / "plugin.py").replace(site / "zoo_hyper_flow" / "plugin.py")
    monkeypatch.syspath_prepend(str(site))
    plugins.reset()
    monkeypatch.setattr(sys, "argv", ["release", "hyper-flow-moons"])
    with pytest.raises(SystemExit) as stop:
        release.main()
    assert stop.value.code == 6
    assert "is an installed copy; install your checkout with pip install -e" in capsys.readouterr().err


def test_its_tests_pass(package, site, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=package, text=True, capture_output=True)
    out = done.stdout
    assert done.returncode == 0, out + done.stderr
    assert int(out.split(" passed")[0].split()[-1]) >= 20
    assert "failed" not in out
    assert "xfail" not in out


@pytest.mark.slow
def test_downstream_a_new_plugin_in_a_clean_environment(author):
    """Generated, installed beside the core, tested, trained, released, drawn from and measured, as an author would."""
    out = author(
        """
        . .venv/bin/activate
        mkdir downstream
        cd downstream
        zoo plugins new hyper-flow
        pip install --quiet "./zoo-hyper-flow[dev]"
        (cd zoo-hyper-flow && pytest -q)
        zoo train hyper-flow-moons --set steps=200 --out runs/hyper-flow-moons
        zoo sample ./runs/hyper-flow-moons/model -n 100 --seed 0 --out points.safetensors
        zoo eval ./runs/hyper-flow-moons/model --metric nll
        zoo plugins doctor hyper-flow
        test -s points.safetensors
        pip uninstall --quiet --yes zoo-hyper-flow
        """,
        OMP_NUM_THREADS="1",
    )
    assert " passed" in out
    assert "hyper-flow (zoo-hyper-flow 0.1.0): loaded" in out
    assert "nll: " in out
