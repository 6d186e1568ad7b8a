"""registry.toml: all problems at once, and the same by the published JSON Schema."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from zoo_core import registry
from zoo_core.errors import IncompatibleError, RegistryError, UnknownNameError
from zoo_core.registry import schema
from zoo_core.registry.entry import FromRegistry
from zoo_core.registry.json_schema import json_schema

GOOD = """
schema = 1

[models.toy-moons]
family = "toy"
plugin = "zoo-toy"
summary = "a toy"
config = { width = 3 }
tags = ["2d"]
parameters = 12

[models.toy-moons.sampler]
name = "ddim"
steps = 5

[models.toy-moons.recipe]
objective = "nll"
betas = [0.9, 1]
decay = "none"
data = { name = "two-moons", classes = [1], n = 100 }

[models.toy-moons.weights]
file = "model.safetensors"
sha256 = "%s"
size = 10
repo_id = "org/toy"
revision = "%s"

[[models.toy-moons.eval]]
metric = "nll"
value = 1
stderr = 0.1
n = 100
dataset = "two-moons"
seed = 0
sampler = "ddim"
options = { eta = 0.5 }
""" % ("a" * 64, "b" * 40)  # noqa: UP031

BAD = {
    "schema = 1": ("schema = 2", "schema: 2 is not supported"),
    'family = "toy"': ("", "models.toy-moons.family: missing"),
    'plugin = "zoo-toy"': ("plugin = 3", "models.toy-moons.plugin: expected string, found 3"),
    "{ width = 3 }": ("3", "models.toy-moons.config: expected object, found 3"),
    'tags = ["2d"]': ("tags = [2]", "models.toy-moons.tags: expected an array of strings"),
    "parameters = 12": ("parameters = -1", "models.toy-moons.parameters: -1 is negative"),
    'name = "ddim"': ("", "models.toy-moons.sampler.name: missing"),
    'objective = "nll"': ("", "models.toy-moons.recipe.objective: missing"),
    "[0.9, 1]": ('["high"]', "models.toy-moons.recipe.betas: expected an array of numbers"),
    'decay = "none"': ('decay = "fast"', "models.toy-moons.recipe.decay: 'fast' is not cosine, linear or none"),
    "n = 100 }": ("n = 1.5 }", "models.toy-moons.recipe.data.n: expected integer, found 1.5"),
    "[1]": ('["one"]', "models.toy-moons.recipe.data.classes: expected an array of integers"),
    'file = "model.safetensors"': (
        'file = "../secret"',
        "models.toy-moons.weights.file: '../secret' is not a plain file name",
    ),
    '"%s"' % ("a" * 64): ('"abc"', "models.toy-moons.weights.sha256: 'abc' is not 64 hex digits"),
    '"%s"' % ("b" * 40): ('"main"', "models.toy-moons.weights.revision: 'main' is not a commit of 40 hex digits"),
    'repo_id = "org/toy"': ("", "models.toy-moons.weights.revision: repo_id and revision go together"),
    "value = 1": ('value = "low"', "models.toy-moons.eval[0].value: expected number, found 'low'"),
    "models.toy-moons]": ("models.Toy_Moons]", "models.Toy_Moons: 'Toy_Moons' is not an id like ddpm-mnist"),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path):
    read = registry.read(write(tmp_path, GOOD))
    (entry,), deprecated, warnings = read.entries, read.deprecated, read.warnings
    assert entry.sampler is not None
    assert (entry.sampler.name, dict(entry.sampler.options)) == ("ddim", {"steps": 5})
    assert entry.weights is not None
    assert entry.weights.revision == "b" * 40
    assert entry.evaluations[0].value == 1
    assert not deprecated
    assert not warnings


@pytest.mark.parametrize("old", BAD)
def test_each_mistake_is_named_with_its_key(tmp_path, old):
    new, message = BAD[old]
    with pytest.raises(RegistryError) as caught:
        registry.read(write(tmp_path, GOOD.replace(old, new, 1)))
    assert any(message in p for p in caught.value.problems), caught.value.problems
    assert all(p.startswith("registry.toml: ") for p in caught.value.problems)


def test_all_mistakes_at_once(tmp_path):
    text = GOOD
    for old, (new, _) in list(BAD.items())[3:8]:
        text = text.replace(old, new, 1)
    with pytest.raises(RegistryError) as caught:
        registry.read(write(tmp_path, text))
    assert len(caught.value.problems) == 5
    assert "and 4 more" in str(caught.value)


@pytest.mark.parametrize("old", [None, *(k for k in BAD if k not in ("schema = 1",))])
def test_the_json_schema_agrees(old):
    """What the validator refuses, editors refuse (and the good file passes both)."""
    jsonschema = pytest.importorskip("jsonschema")
    text = GOOD if old is None else GOOD.replace(old, BAD[old][0], 1)
    if old is not None and "plugin" in old:
        pytest.skip("a plugin's fragment may leave the plugin out, so the schema cannot demand it")
    validator = jsonschema.Draft202012Validator(json_schema())
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert validator.is_valid(tomllib.loads(text)) == (old is None)


def test_unknown_keys_warn(tmp_path):
    text = GOOD.replace('summary = "a toy"', 'summary = "a toy"\ncolour = "red"')
    warnings = registry.read(write(tmp_path, text)).warnings
    assert warnings == ["registry.toml: models.toy-moons.colour: unknown key, ignored"]


@pytest.mark.parametrize("where", ["recipe", "recipe.data", "weights"])
def test_unknown_keys_warn_in_every_table(tmp_path, where):
    new = GOOD.replace("n = 100 }", "n = 100, colour = 3 }") if where == "recipe.data" else GOOD
    if where != "recipe.data":
        new = new.replace(f"[models.toy-moons.{where}]", f"[models.toy-moons.{where}]\ncolour = 3")
    warnings = registry.read(write(tmp_path, new)).warnings
    assert warnings == [f"registry.toml: models.toy-moons.{where}.colour: unknown key, ignored"]


def test_the_optimiser_may_be_spelt_with_a_z(tmp_path):
    """Both spellings are read; an entry, and so all that is written of it, has the zoo's own."""
    text = GOOD.replace('objective = "nll"', 'objective = "nll"\noptimizer = "adamw"')
    found = registry.read(write(tmp_path, text))
    assert found.warnings == []
    recipe = found.entries[0].recipe
    assert recipe["optimiser"] == "adamw"
    assert "optimizer" not in recipe
    assert found.entries[0].table()["recipe"] == recipe
    with pytest.raises(RegistryError, match=r"recipe\.optimizer: 'adan' is not adam, adamw, adamax or sgd"):
        registry.read(write(tmp_path, text.replace("adamw", "adan")))


def test_the_optimiser_in_both_spellings_is_an_error(tmp_path):
    text = GOOD.replace('objective = "nll"', 'objective = "nll"\noptimizer = "adamw"\noptimiser = "adamw"')
    both = "optimizer and optimiser are two spellings of one key; leave one out"
    with pytest.raises(RegistryError, match=rf"models\.toy-moons\.recipe: {both}"):
        registry.read(write(tmp_path, text))
    entry = registry.read(write(tmp_path, GOOD)).entries[0]
    with pytest.raises(IncompatibleError, match=f"the recipe's {both}"):
        replace(entry, recipe={"optimizer": "adamw", "optimiser": "adamw"})


def test_the_json_schema_knows_both_spellings_of_the_optimiser():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    text = GOOD.replace('objective = "nll"', 'objective = "nll"\noptimizer = "adamw"')
    assert validator.is_valid(tomllib.loads(text))
    assert not validator.is_valid(tomllib.loads(text.replace("adamw", "adan")))


def test_the_schema_knows_every_key_of_a_recipe():
    from dataclasses import fields

    from zoo_core.training.recipe import Recipe

    assert set(schema.RECIPE) == {f.name for f in fields(Recipe)} | {"how"}


@pytest.mark.parametrize("text", ["schema = ", "\x00", "schema = 1\n[models]\nx = 1", "[" * 3000])
def test_no_toml_is_a_registry_error(tmp_path, text):
    with pytest.raises(RegistryError):
        registry.read(write(tmp_path, text))


def test_no_utf8_and_no_file(tmp_path):
    path = tmp_path / "registry.toml"
    path.write_bytes(b"\xff\xfe")
    for wrong in (path, tmp_path / "absent.toml"):
        with pytest.raises(RegistryError, match="cannot be read"):
            registry.read(wrong)


def test_weights_that_are_nowhere(tmp_path):
    text = GOOD.replace('repo_id = "org/toy"', "").replace('revision = "%s"' % ("b" * 40), "")
    with pytest.raises(RegistryError, match="neither bundled = true nor a repo_id"):
        registry.read(write(tmp_path, text))


def test_look_ups(fresh_plugins):
    known = registry.load()
    found = [e.id for e in known.find(["ddpm-*"], dataset="mnist")]
    assert found == ["ddpm-mnist", "ddpm-mnist-cond", "ddpm-mnist-plain"]
    assert {e.family for e in known.find(family="gmm")} == {"gmm"}
    assert known.find(["nothing-like-this"]) == []
    with pytest.raises(UnknownNameError, match="did you mean ddpm-mnist"):
        known.get("ddpm-mnits")


def test_natural_order():
    names = ["glow-10", "glow-2", "ddpm-mnist", "glow"]
    assert sorted(names, key=registry.natural_key) == ["ddpm-mnist", "glow", "glow-2", "glow-10"]


def test_the_users_overlay(tmp_path, monkeypatch, fresh_plugins):
    monkeypatch.setenv("ZOO_REGISTRY", str(write(tmp_path, GOOD + '\n[deprecated]\n"old-moons" = "toy-moons"\n')))
    known = registry.load()
    assert known.get("toy-moons").origin == FromRegistry(tmp_path / "registry.toml")
    assert known.get("old-moons").id == "toy-moons"


def test_a_broken_overlay_is_a_warning(tmp_path, monkeypatch, fresh_plugins):
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "absent.toml"))
    known = registry.load()
    assert known.get("ddpm-mnist")
    assert any("absent.toml: cannot be read" in p for p in known.problems)


def test_the_central_file_is_whole(fresh_plugins):
    """Every entry's family is registered by the plugin that it names, and its sampler and objective exist."""
    from zoo_core import plugins

    catalogue = plugins.load().catalogue
    known = registry.load()
    assert not known.problems
    for entry in known.entries.values():
        family = catalogue.get("family", entry.family)
        assert family.plugin == entry.plugin, entry.id
        if family.capabilities:  # a classifier draws nothing
            assert entry.sampler is not None
            assert catalogue.get("sampler", entry.sampler.name).misfit(family) is None
        assert catalogue.get("objective", entry.recipe["objective"]), entry.id
        assert catalogue.get("dataset", entry.recipe["data"]["name"]), entry.id
        assert entry.weights is not None, entry.id
        assert entry.evaluations, entry.id
        assert all((entry.license, entry.paper, entry.dataset, entry.parameters)), entry.id
