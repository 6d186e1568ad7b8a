"""``zoo plugins doctor``: whatever is wrong with a plugin, it says the cause and the next step, and exits with 6."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from zoo_core.installed import discover
from zoo_core.testing.fake_plugins import install

PLUGIN = """
    from zoo_core.plugins.hookspecs import hookimpl

    ZOO_API = (1, 0)


    @hookimpl
    def zoo_register(catalogue):
        catalogue.family("{name}", "zoo_{name}.model:Die", "a die", capabilities=["DirectSampler"])
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

REGISTRY = """
    schema = 1

    [plugin]
    distribution = "zoo-{name}"

    [models.{name}-loaded]
    family = "{name}"
    summary = "a die"
    config = {{ faces = 6 }}

    [models.{name}-loaded.sampler]
    name = "direct"

    [models.{name}-loaded.recipe]
    objective = "em"
    data = {{ name = "two-moons" }}
"""

BUNDLED = """
    [models.{{name}}-loaded.weights]
    file = "model.safetensors"
    sha256 = "{sha256}"
    size = 1
    bundled = true
"""

WITHOUT_RECIPE = REGISTRY.partition("    [models.{name}-loaded.recipe]")[0]


@dataclass
class Case:
    """One thing wrong, made by a change of the plugin that is well."""

    cause: str
    next: str
    status: str = "loaded"
    plugin: tuple[str, str] = ("", "")
    model: tuple[str, str] = ("", "")
    registry: tuple[str, str] | None = ("", "")
    keep_recipe: bool = False
    more_registry: str = ""
    weights: bytes | None = None


BROKEN = {
    "importerror": Case(
        "ImportError: cannot import name 'nothing'",
        "line 2 of ",
        "broken",
        ("import hookimpl", "import nothing"),
    ),
    "nodependency": Case(
        "missing dependency 'not_there'", "pip install it", "broken", ("ZOO_API", "import not_there\n    ZOO_API")
    ),
    "noentry": Case(
        "its entry point names zoo_noentry.plugin, and there is no zoo_noentry.plugin",
        'correct [project.entry-points."zoo.plugins"]',
        "broken",
        ("DELETE", ""),
    ),
    "syntax": Case("SyntaxError: ", "correct line 8 of ", "broken", ("def zoo_register(catalogue)", "def (")),
    "exits": Case("SystemExit: 3", "line 4 of ", "broken", ("ZOO_API", "raise SystemExit(3)\n    ZOO_API")),
    "signature": Case(
        "PluginValidationError: ",
        "zoo_register(catalogue)",
        "broken",
        ("zoo_register(catalogue)", "zoo_register(catalog)"),
    ),
    "misspelled": Case(
        "implements 'zoo_regster', which is no hook; did you mean zoo_register?",
        "zoo_misspelled.plugin",
        "broken",
        ("zoo_register", "zoo_regster"),
    ),
    "nohook": Case("no function of it is a @hookimpl", "zoo_nohook.plugin", "broken", ("@hookimpl", "")),
    "raises": Case(
        "ZeroDivisionError: division by zero",
        "zoo_raises/plugin.py",
        "broken",
        ("catalogue.family(", "1 / 0\n        catalogue.family("),
    ),
    "noapi": Case("declares ZOO_API = None", "write ZOO_API = (1, ", "incompatible", ("ZOO_API = (1, 0)", "")),
    "newer": Case("is written for ZOO_API 1.99", "upgrade zoo-core", "incompatible", ("(1, 0)", "(1, 99)")),
    "older": Case("is written for ZOO_API 0.9", "upgrade the plugin", "incompatible", ("(1, 0)", "(0, 9)")),
    "taken": Case(
        "family 'gmm' is registered by zoo-gmm and by zoo-taken",
        "rename yours",
        "conflict",
        ('"taken", "zoo', '"gmm", "zoo'),
    ),
    "target": Case(
        "'zoo_target.model' is not 'package.module:attribute'", "plugin.py", "broken", (".model:Die", ".model")
    ),
    "slow": Case(
        "s to import, and every listing waits",
        "-X importtime",
        plugin=("ZOO_API", "import time; time.sleep(1.1)\n    ZOO_API"),
    ),
    "heavy": Case("imports numpy", "in the model's module only", plugin=("ZOO_API", "import numpy\n    ZOO_API")),
    "heavyhook": Case(
        "imports torch and numpy",
        "in the model's module only",
        plugin=("catalogue.family(", "import torch\n        catalogue.family("),
    ),
    "modelname": Case(
        "family 'modelname': zoo_modelname.model:Die cannot be imported: NameError: name 'nobody'",
        "correct zoo_modelname.model",
        model=("class Die", "nobody\n    class Die"),
    ),
    "attribute": Case("has no attribute 'Die'", "correct zoo_attribute.model", model=("class Die", "class Dice")),
    "modeldependency": Case(
        "needs the module 'not_there', which is not installed; pip install it",
        "zoo_modeldependency.model",
        model=("import torch", "import not_there, torch"),
    ),
    "nomodel": Case(
        "is no class of models", "inherit from zoo_core.interfaces.Model", model=("(Model, ", "(torch.nn.Module, ")
    ),
    "capability": Case(
        "there is no capability 'DirectSample'", "did you mean DirectSampler?", plugin=("DirectSampler", "DirectSample")
    ),
    "lacks": Case(
        "declares Density, which zoo_lacks.model:Die does not inherit from",
        "take it out of capabilities",
        plugin=('"DirectSampler"', '"DirectSampler", "Density"'),
    ),
    "undeclared": Case(
        "does not declare DirectSampler, which zoo_undeclared.model:Die inherits from",
        "add it to capabilities",
        plugin=('"DirectSampler"', ""),
    ),
    "nofragment": Case(
        "no registry has a model of nofragment", "put a registry.toml next to zoo_nofragment.plugin", registry=None
    ),
    "badfragment": Case(
        "zoo-badfragment/registry.toml: models.badfragment-loaded.config: expected object",
        "zoo registry validate",
        registry=("{ faces = 6 }", "6"),
    ),
    "notoml": Case("/registry.toml: cannot be read", "zoo registry validate", registry=("schema = 1", "schema")),
    "unknownkey": Case("colour: unknown key", "zoo registry validate", registry=("summary", "colour = 3\n    summary")),
    "liar": Case(
        "'zoo-ddpm' is not the distribution that ships it",
        "zoo registry validate",
        registry=('"zoo-liar"', '"zoo-ddpm"'),
    ),
    "reserved": Case("id is reserved by the zoo", "zoo registry validate", registry=("reserved-loaded", "ddpm-mnist")),
    "family": Case(
        "zoo-family registers no family 'famly'; zoo families lists them",
        "correct models.family-loaded in ",
        registry=('family = "family"', 'family = "famly"'),
    ),
    "config": Case(
        "refuses this config: ", "correct models.config-loaded in ", registry=("faces = 6", 'faces = "six"')
    ),
    "sampler": Case(
        "its sampler: unknown sampler 'dirct'; did you mean direct?",
        "correct models.sampler-loaded",
        registry=('"direct"', '"dirct"'),
    ),
    "misfit": Case("its sampler ddim needs Denoiser", "correct models.misfit-loaded", registry=('"direct"', '"ddim"')),
    "objective": Case(
        "its recipe: unknown objective 'emm'",
        "correct models.objective-loaded",
        registry=('"em"', '"emm"'),
        keep_recipe=True,
    ),
    "forothers": Case("its recipe's objective em is for gmm only", "correct models.forothers-loaded", keep_recipe=True),
    "dataset": Case(
        "its recipe: unknown dataset 'swis-roll'; did you mean swiss-roll?",
        "correct models.dataset-loaded",
        plugin=(
            "catalogue.family(",
            'catalogue.objective("fit", "zoo_dataset.model:Fit", "")\n        catalogue.family(',
        ),
        model=(
            "class Die",
            "from zoo_core.interfaces import GradientObjective\n"
            "    class Fit(GradientObjective):\n        def losses(self, *_): pass\n    class Die",
        ),
        registry=('"em"\n    data = { name = "two-moons" }', '"fit"\n    data = { name = "swis-roll" }'),
        keep_recipe=True,
    ),
    "missing": Case(
        "missing-loaded",
        "or make the weights again: zoo train missing-loaded",
        more_registry=BUNDLED.format(sha256="a" * 64),
    ),
    "otherhash": Case(
        "the registry says aaaa",
        "or make the weights again: zoo train otherhash-loaded",
        more_registry=BUNDLED.format(sha256="a" * 64),
        weights=b"x",
    ),
}


def write(site: Path, name: str, case: Case) -> None:
    """Installs the plugin of a case as the distribution ``zoo-NAME``."""

    def text(template: str, change: tuple[str, str]) -> str:
        made = template.format(name=name)
        if change[0] not in ("", "DELETE"):
            assert change[0] in made, change
            made = made.replace(*change)
        return made

    table = None
    if case.registry is not None:
        table = text(
            REGISTRY if case.keep_recipe else REGISTRY.split("    [models.{name}-loaded.recipe]")[0], case.registry
        )
        table += case.more_registry.format(name=name)
    package = install(site, f"zoo-{name}", text(PLUGIN, case.plugin), registry=table)
    (site / package / "model.py").write_text(textwrap.dedent(text(MODEL, case.model)), encoding="utf-8")
    if case.plugin[0] == "DELETE":
        (site / package / "plugin.py").unlink()
    if case.weights is not None:
        folder = site / package / "weights" / f"{name}-loaded"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(case.weights)


@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_the_cause_and_the_next_step(site, run, name):
    case = BROKEN[name]
    write(site, name, case)
    code, out, err = run("plugins", "doctor", name, "--json")
    (row,) = json.loads(out)["plugins"]
    assert row["status"] == case.status
    matching = [f for f in row["findings"] if case.cause in f["cause"]]
    assert matching, row["findings"]
    assert case.next in matching[0]["next"], matching
    assert all(f["next"] and "\n" not in f["cause"] + f["next"] for f in row["findings"])
    assert code == 6
    assert "Traceback" not in err


def test_nothing_is_found_where_nothing_is_wrong(site, run):
    write(site, "well", Case("", ""))
    code, out, _ = run("plugins", "doctor", "well")
    assert code == 0
    assert out == "well (zoo-well 1.0): loaded\n"


def test_a_clash_of_entry_points_and_of_models(site, run):
    for name in ("rhyme", "reason"):
        table = WITHOUT_RECIPE.format(name=name)
        install(
            site,
            f"zoo-{name}",
            PLUGIN.format(name=name),
            entry_point="twin",
            registry=table.replace(f"{name}-loaded", "same-loaded"),
        )
    code, out, _ = run("plugins", "doctor", "twin", "--json")
    assert code == 6
    rows = json.loads(out)["plugins"]
    assert [row["status"] for row in rows] == ["conflict", "conflict"]
    for row in rows:
        findings = {f["cause"]: f["next"] for f in row["findings"]}
        assert findings["the entry point 'twin' is claimed by zoo-reason and zoo-rhyme"] == "uninstall one of them"
        assert "rename the model, or uninstall one of them" in findings.values()


def test_findings_are_of_one_plugin_only(site, run):
    """``zoo-well`` is not blamed for what is wrong with ``zoo-well-done``."""
    write(site, "well", Case("", ""))
    install(site, "zoo-well-done", PLUGIN.format(name="well_done"), registry="schema = 9")
    code, _, _ = run("plugins", "doctor", "well")
    assert code == 0


def test_a_package_without_an_entry_point(site, run):
    write(site, "mute", Case("", ""))
    next(site.glob("zoo_mute-*.dist-info")).joinpath("entry_points.txt").unlink()
    for name in ("mute", "zoo-mute"):
        code, _, err = run("plugins", "doctor", name)
        assert code == 6
        assert 'zoo-mute is installed and names no plugin; add [project.entry-points."zoo.plugins"]' in err


def test_a_plugin_that_is_not_installed(run):
    assert run("plugins", "doctor", "ddmp")[::2] == (
        3,
        "zoo: unknown plugin 'ddmp'; did you mean ddpm?; zoo plugins lists those that are installed\n",
    )


@pytest.mark.long
@pytest.mark.slow
def test_the_traceback_is_shown_for_one(site, run):
    write(site, "raises", BROKEN["raises"])
    _, out, _ = run("plugins", "doctor", "raises")
    assert "Traceback" in out
    assert "1 / 0" in out
    assert "Traceback" not in run("plugins", "doctor")[1]


@pytest.mark.slow
def test_with_every_plugin_broken_the_verbs_that_repair_still_work(site, zoo):
    for record, _ in discover():
        package = record.module.partition(".")[0]
        (site / package).mkdir()
        (site / package / "__init__.py").write_text("raise RuntimeError('all is lost')\n", encoding="utf-8")
    for arguments, code in (
        (("plugins",), 0),
        (("plugins", "list", "--json"), 0),
        (("plugins", "doctor"), 6),
        (("--help",), 0),
        (("list",), 0),
        (("env",), 0),
        (("families",), 0),
        (("samplers",), 0),
        (("registry", "schema"), 0),
        (("plugins", "new", "phoenix"), 0),
    ):
        done = zoo(*arguments, path=site)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr, arguments
        if arguments[:2] == ("plugins", "doctor"):
            assert done.stdout.count("RuntimeError: all is lost") == len(list(discover()))
            assert done.stdout.count("  next:  correct line 1 of ") == len(list(discover()))
    done = zoo("load", "ddpm-moons", path=site)
    assert done.returncode == 6
    assert "run 'zoo plugins doctor ddpm'" in done.stderr
