"""The conformance kit, tried on a plugin in which nothing is wrong, and on the same with a line changed.

A check that cannot fail is worth nothing: each has at least one plugin here (``toy_plugin/broken.toml``) that fails it
and is told why.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo_core import loading, plugins, registry
from zoo_core.errors import PluginError
from zoo_core.interfaces import Metric, Result
from zoo_core.loading import weights_file
from zoo_core.plugins.catalogue import Component
from zoo_core.saving import snapshot
from zoo_core.testing import checks_for, parametrize_with_checks
from zoo_core.testing.check import CHECKS, ConformanceError
from zoo_core.testing.checks import devices
from zoo_core.testing.component_subjects import MetricSubject, SamplerSubject
from zoo_core.testing.conformance import Item, items
from zoo_core.testing.fake_plugins import install
from zoo_core.testing.measuring import trial
from zoo_core.testing.subjects import ModelSubject
from zoo_core.testing.toy_models import MixtureWithChains, capabilities_of

TOY = Path(__file__).parent / "toy_plugin"
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in [*TOY.glob("*.py"), TOY / "registry.toml"]}
BROKEN = tomllib.loads((TOY / "broken.toml").read_text(encoding="utf-8"))["broken"]

TRIAL = tomllib.loads((TOY.parent / "trial_faults.toml").read_text(encoding="utf-8"))["fault"]
"""Faults in the plugins of ``test_trial_plugins.py``, over bits and over sequences of open length."""

ELSEWHERE = {"check_weights_are_those_of_the_registry", "check_same_answers_on_an_accelerator"}
"""Broken below, by other means than a line."""

State = Callable[[Any], Mapping[str, Any]]


@pytest.fixture
def toy(zoo_site, monkeypatch):
    """Installs the plugin, with lines changed; ``toy-flow`` has weights, and there are no metrics but the plugin's."""
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-metrics")

    def make(*changes: tuple[str, str, str], state: State = lambda model: model.state_dict()) -> None:
        sources = dict(SOURCES)
        for file, line, instead in changes:
            assert line in sources[file], f"{file} has no {line!r}"
            sources[file] = sources[file].replace(line, instead)
        modules = {"model": sources["model.py"], "parts": sources["parts.py"]}
        install(zoo_site, "zoo-toy", sources["plugin.py"], registry=sources["registry.toml"], modules=modules)
        importlib.invalidate_caches()
        plugins.reset()
        add_weights(zoo_site / "zoo_toy", sources["registry.toml"], state)

    return make


def add_weights(package: Path, fragment: str, state: State) -> None:
    """A snapshot of ``toy-flow`` in the package, and its table; nothing where the model cannot be built."""
    entry = registry.load().entries.get("toy-flow")
    if entry is None or plugins.load().bad():
        return
    try:
        tensors = state(loading.build(entry))
    except Exception:
        return  # the checks will say so
    weights = snapshot.save(package / "weights" / "toy-flow", entry, tensors)
    assert weights.sha256 == hashlib.sha256(weights_file.serialise(tensors)).hexdigest()
    table = f'file = "{weights.file}"\nsha256 = "{weights.sha256}"\nsize = {weights.size}\nbundled = true'
    (package / "registry.toml").write_text(f"{fragment}\n[models.toy-flow.weights]\n{table}\n", encoding="utf-8")
    plugins.reset()


def item(key: str) -> Item:
    return next(i for i in items("zoo-toy") if i.key == key)


@pytest.mark.long
def test_nothing_is_wrong_with_the_toy(toy):
    toy()
    found, skipped = list(items("zoo-toy")), []
    for each in found:
        try:
            each()
        except pytest.skip.Exception as reason:
            skipped.append(f"{each.key}: {reason}")
    mine = {b["check"].partition("[")[0] for b in BROKEN} | ELSEWHERE
    assert {i.check.name for i in found} >= mine
    on_purpose = ("accelerator", "with_all_of_the_data", "[toy-whole]")
    assert [line for line in skipped if not any(word in line for word in on_purpose)] == []


@pytest.mark.parametrize("broken", BROKEN, ids=[f"{b['check']}-{i}" for i, b in enumerate(BROKEN)])
def test_a_changed_line_fails_its_check(toy, broken):
    toy((broken["file"], broken["line"], broken["instead"]))
    with pytest.raises(ConformanceError, match=re.escape(broken["words"])):
        item(broken["check"])()


def test_every_check_is_failed_by_something():
    assert {b["check"].partition("[")[0] for b in [*BROKEN, *TRIAL]} | ELSEWHERE == {c.name for c in CHECKS}


def test_weights_that_are_not_finite(toy):
    toy(state=lambda model: {k: v / 0 for k, v in model.state_dict().items()})
    with pytest.raises(ConformanceError, match="log_scale, shift has values that are not finite"):
        item("check_weights_are_those_of_the_registry[toy-flow]")()


MOVES = """invertible = True

    def to(self, *args, **options):
        self.shift.data += 1
        return super().to(*args, **options)"""


def test_a_model_that_changes_when_it_moves(toy, monkeypatch):
    toy(("model.py", "invertible = True", MOVES))
    monkeypatch.setattr(devices, "accelerator", lambda: "cpu")
    with pytest.raises(ConformanceError, match="from the CPU"):
        item("check_same_answers_on_an_accelerator[toy-flow]")()


def test_what_cannot_be_built_is_said_by_the_checks_that_ask_nothing(toy):
    toy(("model.py", "self.log_scale = nn", "raise ValueError(classes)\n        self.log_scale = nn"))
    keys = [i.key for i in items("zoo-toy") if i.key.endswith("[toy-flow]")]
    assert "check_builds_from_config_and_back[toy-flow]" in keys
    assert "check_log_prob_integrates_to_one[toy-flow]" not in keys


def test_every_item_is_listed_with_what_it_asserts(toy):
    toy()
    listed = checks_for("zoo-toy")
    assert ("check_same_seed_same_samples", "toy-flow") in [(name, subject) for name, subject, _ in listed]
    assert all(len(doc.splitlines()[0]) > 40 for _, _, doc in listed)


def marks(decorated: Any) -> dict[str, list[pytest.Mark]]:
    (parametrize,) = decorated.pytestmark
    return {parameter.id: list(parameter.marks) for parameter in parametrize.args[1]}


def test_expected_failures_are_strict_and_have_a_reason(toy):
    toy()
    key = "check_condition_matters[toy-flow]"

    @parametrize_with_checks("zoo-toy", expected_failures={key: "it is told to ignore them"})
    def test(check):
        check()

    found = marks(test)
    (expected,) = found[key]
    assert (expected.name, expected.kwargs) == ("xfail", {"reason": "it is told to ignore them", "strict": True})
    assert [m.name for m in found["check_every_long_metric_runs[toy-flow]"]] == ["slow"]
    assert found["check_same_seed_same_samples[toy-flow]"] == []


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"check_condition_matters[toy-flow]": " "}, "expected a sentence"),
        ({"check_condition_mattered[toy-flow]": "why"}, "did you mean 'check_condition_matters"),
    ],
)
def test_expected_failures_that_say_nothing_are_errors(toy, expected, words):
    toy()
    with pytest.raises(ValueError, match=words):
        parametrize_with_checks("zoo-toy", expected_failures=expected)


def test_a_name_that_nobody_installed(fresh_plugins):
    with pytest.raises(PluginError, match="did you mean zoo-gmm"):
        parametrize_with_checks("zoo-gm")


def test_a_sampler_is_tried_with_models_that_have_what_it_requires():
    """Stored chains are a fact of a model and not of its family; the kit's own model with chains is the first."""
    tried = {i.subject.name: i.subject.models for i in items("zoo-core") if isinstance(i.subject, SamplerSubject)}
    chains = [model.model.persistent_chains() for model in tried["persistent-chains"]]
    assert tried["persistent-chains"][0].name == "mixture-with-chains"
    assert chains
    assert all(each is not None for each in chains)
    assert {model.name for model in tried["persistent-chains"]} < {model.name for model in tried["gibbs"]}


class Patient(Metric[int]):
    """A metric that takes long, unless it is made quick."""

    uses = "data"

    def __init__(self, patience: int = 10**9) -> None:
        self.patience = patience

    def quick(self) -> Patient:
        return Patient(0)

    def init(self, model: Any, data: Any) -> int:
        return self.patience

    def update(self, state: int, model: Any, batch: Any, streams: Any) -> int:
        return state

    def merge(self, a: int, b: int) -> int:
        return a

    def compute(self, state: int) -> Result:
        return Result(state, 0.0, 3, "s", "lower")


def test_the_kit_measures_with_quick_settings(monkeypatch):
    monkeypatch.setattr("zoo_core.testing.measuring.metric_named", lambda name: Patient())
    toy = MixtureWithChains()
    family = Component("family", "toy", "", "", capabilities=capabilities_of(toy))
    subject = MetricSubject(
        "patience", Component("metric", "patience", "", ""), (ModelSubject("toy", family, toy=toy),)
    )
    assert trial(subject).measure().value == 0


WHY = "the x̂ of a denoiser is a mean and no sample: only a consistency model is right in one step"


@parametrize_with_checks("zoo-core", expected_failures={"check_sampler_draws_the_right_distribution[consistency]": WHY})
def test_the_samplers_of_the_core(check):
    check()
