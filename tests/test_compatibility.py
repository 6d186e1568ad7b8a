"""What listings say fits a model is what the components themselves say of the built model."""

import json
from dataclasses import replace
from functools import cache

import pytest
from click.testing import CliRunner

from zoo_core import datasets, lookup, plugins, registry
from zoo_core.cli import cli
from zoo_core.errors import NetworkError
from zoo_core.evaluation import metric_named, misfit_of
from zoo_core.loading import build
from zoo_core.lookup import compatibility
from zoo_core.lookup.model_facts import read_facts
from zoo_core.plugins.catalogue import resolve

ENTRIES = registry.load().find()


@pytest.fixture(scope="module")
def built():
    kept = {}
    return lambda entry: kept[entry.id] if entry.id in kept else kept.setdefault(entry.id, build(entry))


@cache
def data_of(name, split, classes):
    """A data set, read once for all models; skips where it is not on this machine."""
    try:
        return datasets.load(name, split, classes=list(classes) if classes else None)
    except NetworkError as err:
        pytest.skip(str(err))


def listed(entry, kind):
    return dict(compatibility.fitting(entry, plugins.load().catalogue.all(kind)))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_the_facts_of_the_registry_are_those_of_the_model(entry, built):
    assert set(entry.facts) == set(read_facts(built(entry)))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_samplers_are_listed_where_their_check_passes(entry, built):
    model = built(entry)
    for component, why in listed(entry, "sampler").items():
        said = resolve(component.target)().misfit(model)
        assert (why is None) == (said is None), f"{component.name}: the listing says {why!r}, the check {said!r}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_metrics_are_listed_where_their_check_passes(entry, built):
    model = built(entry)
    for component, why in listed(entry, "metric").items():
        metric, data = metric_named(component.name), entry.recipe["data"]
        split = "test" if metric.uses == "data" else "train"
        said = misfit_of(model, metric, data_of(data["name"], split, tuple(data.get("classes", ()))))
        assert (why is None) == (said is None), f"{component.name}: the listing says {why!r}, the check {said!r}"


def test_info_load_plot_and_listings_name_the_same():
    """Once a coupled path listed 17, 13 and 10 samplers in three places."""
    name = "otcfm-eight-gaussians"
    facts = lookup.info(name)
    for kind in ("sampler", "metric", "plot"):
        fits = [c.name for c, why in listed(registry.load().get(name), kind).items() if why is None]
        assert facts[f"{kind}s"] == fits
    assert not {"ancestral", "euler-maruyama", "inpaint", "sdedit", "classifier-guidance"} & set(facts["samplers"])
    assert {"ddim", "heun", "ode", "interpolate"} <= set(facts["samplers"])
    rows = json.loads(CliRunner().invoke(cli, ["samplers", "--for", name, "--json"]).stdout)
    assert [row["name"] for row in rows if row["fits"]] == facts["samplers"]
    assert {r["name"]: r["why_not"] for r in rows}["ancestral"] == "does not fit a path that couples noise and data"
    shown = CliRunner().invoke(cli, ["load", name]).stdout
    line = next(line for line in shown.splitlines() if line.strip().startswith("samplers"))
    assert line.split(None, 1)[1].partition(" (")[0].split(", ") == facts["samplers"]
    plots = json.loads(CliRunner().invoke(cli, ["plot", name, "--json"]).stdout)
    assert [row["name"] for row in plots] == facts["plots"]
    metrics = json.loads(CliRunner().invoke(cli, ["metrics", "--for", "gmm-digits", "--json"]).stdout)
    fits = {row["name"] for row in metrics if row["fits"]}
    assert not {"fd-mnist-v1", "fd-fashion-v1", "mode-coverage", "noisy-accuracy"} & fits


def test_an_entry_without_facts_is_held_to_its_capabilities_alone():
    entry = registry.load().get("otcfm-eight-gaussians")
    fits = dict(compatibility.fitting(replace(entry, facts=()), plugins.load().catalogue.all("sampler")))
    assert {c.name for c, why in fits.items() if why is None} >= {"ancestral", "ddim"}
    assert "needs DirectSampler" in {c.name: why for c, why in fits.items()}["direct"]


def test_every_requirement_is_a_fact_that_can_be_said():
    known = {*compatibility.FACTS, *(c.name for c in plugins.load().catalogue.all("dataset"))}
    for kind in ("sampler", "metric", "objective", "plot"):
        for component in plugins.load().catalogue.all(kind):
            for requirement in component.requires:
                for fact in requirement.lstrip("!").split("|"):
                    assert fact.removeprefix("data:") in known, f"{component.name}: {fact}"
