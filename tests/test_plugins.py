"""Ten kinds of broken plugin, installed beside the good ones."""

from __future__ import annotations

import importlib
import os
import types
import warnings
from pathlib import Path

import pytest

from zoo_core import plugins, registry
from zoo_core.authoring import doctor
from zoo_core.errors import AmbiguousNameError, PluginError
from zoo_core.installed import discover
from zoo_core.plugins import hookspecs
from zoo_core.plugins.catalogue import KINDS, Catalogue
from zoo_core.testing.fake_plugins import install

GOOD = """
    from zoo_core.plugins.hookspecs import hookimpl

    ZOO_API = (1, 0)

    @hookimpl
    def zoo_register(catalogue):
        catalogue.sampler({name!r}, "{name}.samplers:Sampler", "a sampler", needs=["Denoiser"])
"""

FRAGMENT = """
    schema = 1

    [plugin]
    distribution = {distribution!r}

    [models.{model}]
    family = "other"
    config = {{}}
    summary = "a model"
"""

BROKEN = {
    "import-error": ("from zoo_core import no_such_name", "broken", "cannot import name 'no_such_name'"),
    "syntax-error": ("def zoo_register(:", "broken", "SyntaxError"),
    "system-exit": ("raise SystemExit(3)", "broken", "SystemExit: 3"),
    "wrong-signature": (
        "from zoo_core import hookimpl\nZOO_API = (1, 0)\n@hookimpl\ndef zoo_register(catalog): pass",
        "broken",
        "catalog",
    ),
    "misspelled-hook": (
        "from zoo_core import hookimpl\nZOO_API = (1, 0)\n@hookimpl\ndef zoo_regster(catalogue): pass",
        "broken",
        "did you mean zoo_register?",
    ),
    "raising-hook": (
        "from zoo_core import hookimpl\nZOO_API = (1, 0)\n@hookimpl\ndef zoo_register(catalogue): 1 / 0",
        "broken",
        "ZeroDivisionError",
    ),
    "newer-api": ("ZOO_API = (1, 99)", "incompatible", "upgrade zoo-core"),
    "missing-dependency": (
        "import a_package_that_is_not_there",
        "broken",
        "missing dependency 'a_package_that_is_not_there'",
    ),
}


def install_ten(site: Path) -> None:
    """Eight that are broken by themselves, one pair that claims an entry point, one pair that claims a model."""
    for kind, (source, _, _) in BROKEN.items():
        install(site, f"zoo-{kind}", source)
    for distribution in ("zoo-twin-a", "zoo-twin-b"):
        install(site, distribution, GOOD.format(name=distribution.replace("-", "_")), entry_point="twin")
    for distribution in ("zoo-claim-a", "zoo-claim-b"):
        fragment = FRAGMENT.format(distribution=distribution, model="other-moons")
        install(site, distribution, GOOD.format(name=distribution.replace("-", "_")), registry=fragment)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_with_its_cause(site, kind):
    source, status, cause = BROKEN[kind]
    install(site, f"zoo-{kind}", source)
    found = plugins.load()
    record = next(r for r in found.records if r.distribution == f"zoo-{kind}")
    assert record.status == status
    assert cause in record.line()
    assert "\n" not in record.line()
    assert {r.status for r in found.records if r.distribution in registry.load().first_party} == {"loaded"}


def test_two_claims_to_one_entry_point_name_both(site):
    install_ten(site)
    twins = [r for r in plugins.load().records if r.name == "twin"]
    assert [t.status for t in twins] == ["conflict", "conflict"]
    assert all("zoo-twin-a and zoo-twin-b" in t.reason for t in twins)


def test_nobody_takes_the_place_of_ours(site):
    install(site, "zoo-impostor", GOOD.format(name="impostor"), entry_point="ddpm")
    by_distribution = {r.distribution: r for r in plugins.load().records}
    assert by_distribution["zoo-impostor"].status == "conflict"
    assert by_distribution["zoo-ddpm"].status == "loaded"


def test_two_claims_to_one_component_name_both_and_leave_nothing(site):
    source = GOOD.format(name="x").replace(
        'needs=["Denoiser"])', 'needs=[])\n        catalogue.sampler("ddim", "x:Y", "", needs=[])'
    )
    install(site, "zoo-thief", source)
    found = plugins.load()
    record = next(r for r in found.records if r.distribution == "zoo-thief")
    assert record.status == "conflict"
    assert "zoo-core" in record.reason
    assert "zoo-thief" in record.reason
    assert "x" not in [c.name for c in found.catalogue.all("sampler")]


def test_a_model_that_two_plugins_claim_is_ambiguous(site):
    install_ten(site)
    known = registry.load()
    with pytest.raises(AmbiguousNameError, match=r"zoo-claim-a:other-moons or zoo-claim-b:other-moons"):
        known.get("other-moons")
    assert known.get("zoo-claim-a:other-moons").plugin == "zoo-claim-a"


def test_first_party_ids_are_reserved(site):
    install(
        site,
        "zoo-shadow",
        GOOD.format(name="s"),
        registry=FRAGMENT.format(distribution="zoo-shadow", model="ddpm-mnist"),
    )
    known = registry.load()
    assert known.get("ddpm-mnist").plugin == "zoo-ddpm"
    assert any("zoo-shadow" in p and "reserved" in p for p in known.problems)


def test_a_fragment_must_name_its_own_distribution(site):
    install(
        site, "zoo-liar", GOOD.format(name="l"), registry=FRAGMENT.format(distribution="zoo-ddpm", model="liar-moons")
    )
    known = registry.load()
    assert "liar-moons" not in known.entries
    assert any("'zoo-ddpm' is not the distribution that ships it" in p for p in known.problems)


def test_order_is_by_name(site):
    for distribution in ("zoo-zebra", "zoo-aardvark"):
        install(site, distribution, GOOD.format(name=distribution.replace("-", "_")))
    names = [r.name for r in plugins.load().records]
    assert names == sorted(names)


def test_disabling(site, monkeypatch):
    install(site, "zoo-bad", "raise SystemExit('imported')")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo_bad, gmm")
    status = {r.distribution: r.status for r in plugins.load().records}
    assert status["zoo-bad"] == "disabled"
    assert status["zoo-gmm"] == "disabled"
    assert status["zoo-ddpm"] == "loaded"


def test_strictness_makes_the_first_bad_plugin_an_error(site, monkeypatch):
    install(site, "zoo-bad", "1 / 0")
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="zoo-bad"):
        plugins.load()


OF_1_0 = """
    # As plugins were written for ZOO_API 1.0, with every argument that the catalogue's methods had.  It stays as it is.
    from zoo_core.plugins.catalogue import Catalogue
    from zoo_core.plugins.hookspecs import hookimpl

    ZOO_API = (1, 0)

    @hookimpl
    def zoo_register(catalogue: Catalogue) -> None:
        catalogue.family("old", "zoo_old.code:Model", "a family", capabilities=["Density", "DirectSampler"])
        catalogue.sampler("old-sampler", "zoo_old.code:Sampler", "a sampler", needs=["Denoiser"], families=["old"])
        catalogue.objective("old-objective", "zoo_old.code:Objective", "an objective", needs=(), families=["old"])
        catalogue.metric("old-metric", "zoo_old.code:Metric", "a metric", needs=["Density"])
        catalogue.dataset("old-data", "zoo_old.code:data", "a data set")
        catalogue.exporter("old-exporter", "zoo_old.code:export", "a format", families=["old"])
        catalogue.plot("old-plot", "zoo_old.code:plot", "a plot", needs=["Density"], families=["old"])
"""


def later_hooks(monkeypatch: pytest.MonkeyPatch, **spec: object) -> None:
    """The core as it may be one day: ZOO_API 1.9, with another hook and an argument more (and one that goes away)."""
    later = types.ModuleType("hookspecs")

    @hookspecs.hookspec(**spec)
    def zoo_register(catalogue, settings):
        """Registers components."""

    @hookspecs.hookspec
    def zoo_after_load(model):
        """Is shown every model that was loaded."""

    later.ZOO_API, later.zoo_register, later.zoo_after_load = (1, 9), zoo_register, zoo_after_load
    monkeypatch.setattr(plugins, "hookspecs", later)
    monkeypatch.setattr(plugins, "hook_arguments", lambda own: {"catalogue": own, "settings": {}})


SINCE_1_1 = {"layout"}
"""Kinds that a plugin of 1.0 could not register."""


@pytest.mark.parametrize("core", ["today's", "a later one"])
def test_an_old_plugin_still_loads(site, core, monkeypatch):
    if core != "today's":
        later_hooks(monkeypatch)
    install(site, "zoo-old", OF_1_0)
    found = plugins.load()
    record = next(r for r in found.records if r.distribution == "zoo-old")
    assert (record.status, record.deprecations) == ("loaded", ())
    assert {c.kind for kind in KINDS for c in found.catalogue.all(kind) if c.plugin == "zoo-old"} == set(
        KINDS
    ) - SINCE_1_1
    assert {r.status for r in found.records} == {"loaded"}


def test_an_implementation_may_take_fewer_arguments(site):
    source = "from zoo_core import hookimpl\nZOO_API = (1, 0)\n@hookimpl\ndef zoo_register(): pass"
    install(site, "zoo-old", source)
    assert {r.distribution: r.status for r in plugins.load().records}["zoo-old"] == "loaded"


@pytest.mark.parametrize("kind", ["argument", "method"])
def test_what_goes_away_warns_first(site, monkeypatch, run, kind):
    """The plugin loads; who runs it with warnings sees one, and the doctor says what to use and until when."""
    advice = f"this {kind} goes away with ZOO_API 2.0; use catalogue.metric"
    source = GOOD.format(name="soon")
    if kind == "argument":
        later_hooks(monkeypatch, warn_on_impl_args={"settings": DeprecationWarning(advice)})
        source = source.replace("zoo_register(catalogue)", "zoo_register(catalogue, settings)")
    else:

        def score(self, name, target, summary):
            warnings.warn(advice, DeprecationWarning, stacklevel=2)
            self.metric(name, target, summary)

        monkeypatch.setattr(Catalogue, "score", score, raising=False)
        source += '        catalogue.score("soon-score", "zoo_soon.code:Score", "a metric")\n'
    install(site, "zoo-soon", source)
    with pytest.warns(DeprecationWarning, match=advice):
        record = next(r for r in plugins.load().records if r.distribution == "zoo-soon")
    assert (record.status, record.deprecations) == ("loaded", (advice,))
    monkeypatch.setattr(doctor, "examine", lambda record: [])
    code, out, _ = run("plugins", "doctor", "soon")
    assert (code, out) == (0, f"soon (zoo-soon 1.0): loaded\n  soon:  {advice}\n")


@pytest.mark.parametrize(
    "declared", ["", "ZOO_API = 1", "ZOO_API = ('1', '0')", "ZOO_API = (0, 9)", "ZOO_API = (2, 0)"]
)
def test_another_api_is_incompatible(site, declared):
    install(site, "zoo-other", declared)
    record = next(r for r in plugins.load().records if r.distribution == "zoo-other")
    assert record.status == "incompatible"


def test_every_plugin_module_is_light(zoo):
    """A plugin module may import zoo_core, but neither torch nor numpy; ours are held to it, in fresh processes."""
    import subprocess
    import sys

    for record, _ in discover():
        heavy = ("torch", "numpy", "diffusers", "huggingface_hub")
        code = f"import sys, {record.module}; print([m for m in {heavy} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True
        )
        assert done.stdout.strip() == "[]", record


def test_declared_capabilities_are_those_of_the_class(fresh_plugins):
    from zoo_core.interfaces import capabilities

    for family in plugins.load().catalogue.all("family"):
        module, _, name = family.target.partition(":")
        kind = getattr(importlib.import_module(module), name)
        assert set(capabilities(kind)) == set(family.capabilities), family.name


def test_every_registered_target_exists(fresh_plugins):
    from zoo_core.plugins.catalogue import resolve

    catalogue = plugins.load().catalogue
    for kind in KINDS:
        for component in catalogue.all(kind):
            assert callable(resolve(component.target)), component


@pytest.mark.slow
def test_with_ten_broken_plugins_the_command_line_works(site, zoo, zoo_json):
    install_ten(site)
    listed = {row["id"] for row in zoo_json("list", path=site)}
    assert "ddpm-mnist" in listed
    assert "other-moons" not in listed
    loaded = zoo("load", "ddpm-mnist", path=site)
    assert loaded.returncode == 0, loaded.stderr
    assert "verified" in loaded.stdout
    assert "Traceback" not in loaded.stderr

    doctor = zoo("plugins", "doctor", path=site)
    assert doctor.returncode == 6
    for kind, (_, status, cause) in BROKEN.items():
        assert f"(zoo-{kind} 1.0): {status}" in doctor.stdout
        assert cause in doctor.stdout
    for distribution in ("zoo-twin-a", "zoo-twin-b", "zoo-claim-a", "zoo-claim-b"):
        assert distribution in doctor.stdout
    assert "claimed by zoo-twin-a and zoo-twin-b" in doctor.stdout
    assert "model 'other-moons' is provided by zoo-claim-a and zoo-claim-b" in doctor.stdout
    assert "Traceback" not in doctor.stderr


def test_a_family_that_no_plugin_registered_is_an_error(site, tmp_path):
    """A registry file can name a family only: there is no code that it could name."""
    from zoo_core.loading import load

    install(
        site, "zoo-evil", GOOD.format(name="e"), registry=FRAGMENT.format(distribution="zoo-evil", model="evil-moons")
    )
    with pytest.raises(PluginError, match=r"evil-moons: zoo-evil registers no family 'other'"):
        load("evil-moons")


def test_a_family_whose_dependency_is_missing_says_what_to_install(site):
    from zoo_core.plugins.catalogue import resolve

    install(site, "zoo-needy", "")
    (site / "zoo_needy" / "model.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    with pytest.raises(PluginError, match="needs the module 'a_package_that_is_not_there'"):
        resolve("zoo_needy.model:Model")
