"""Two families that a stranger would write, in their shortest form: all verbs work, the kit is green, faults are red.

One is over sequences of open length and is trained by statistics, the other is energy-based and has a capability by
size; neither needs a special case anywhere.
"""

import importlib
import json
import math
import re
import sys
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import datasets, plugins, registry
from zoo_core.authoring import doctor
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError, PluginError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import Density, Ragged, Streams, can, capabilities
from zoo_core.loading import build
from zoo_core.lookup import compatibility
from zoo_core.lookup.model_facts import read_facts
from zoo_core.samplers.annealed_importance import annealed_importance
from zoo_core.sampling import make_sampler
from zoo_core.testing.check import ConformanceError
from zoo_core.testing.conformance import items
from zoo_core.testing.fake_plugins import install
from zoo_core.training import Options, train

HERE = Path(__file__).parent


def sources(name):
    folder = HERE / f"{name.replace('-', '_')}_plugin"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))} | {
        "registry": (folder / "registry.toml").read_text(encoding="utf-8")
    }


@pytest.fixture
def plugin(zoo_site):
    """Installs one of the two, with lines changed."""

    def make(name, *changes):
        text = sources(name)
        for module, line, instead in changes:
            assert line in text[module], f"{module} has no {line!r}"
            text[module] = text[module].replace(line, instead)
        modules = {k: v for k, v in text.items() if k not in ("plugin", "registry")}
        install(zoo_site, f"zoo-{name}", text["plugin"], registry=text["registry"], modules=modules)
        importlib.invalidate_caches()
        plugins.reset()

    return make


EXPECTED = {
    "trial-hmm": {
        "check_padding_is_never_read",
        "check_statistics_do_not_read_padding",
        "check_statistics_add",
        "check_discrete_samples_agree_with_log_prob",
        "check_data_set_is_the_same_at_every_call",
    },
    "boltzmann": {
        "check_gibbs_step_leaves_the_distribution_invariant",
        "check_energy_and_density_agree",
        "check_probabilities_sum_to_one",
        "check_chain_states_are_samples",
    },
}


@pytest.mark.long
@pytest.mark.parametrize("name", ["trial-hmm", "boltzmann"])
def test_the_kit_is_green(plugin, name):
    plugin(name)
    skipped = []
    found = list(items(f"zoo-{name}"))
    for item in found:
        try:
            item()
        except pytest.skip.Exception as reason:
            skipped.append(f"{item.key}: {reason}")
    ran = {item.check.name for item in found}
    assert ran >= EXPECTED[name]
    assert not [line for line in skipped if "accelerator" not in line and "needs the" not in line], skipped


FAULTS = tomllib.loads((HERE / "trial_faults.toml").read_text(encoding="utf-8"))["fault"]


@pytest.mark.parametrize("fault", FAULTS, ids=[f["name"] for f in FAULTS])
def test_an_injected_fault_is_red(plugin, fault):
    plugin(fault["plugin"], (fault["module"], fault["line"], fault["instead"]))
    with pytest.raises(ConformanceError):
        {item.key: item for item in items(f"zoo-{fault['plugin']}")}[fault["check"]]()


def test_a_data_set_that_ignores_n_is_cut_to_it(plugin):
    plugin("trial-hmm", ("data", "0, n))\n", "0, 3 * n))\n"))
    assert len(datasets.load("trial-casino", n=10)) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("data", "def casino(split: str, n: int = 1000)", "def casino(split: str)"),
            "expected a function (split, n=…)",
        ),
        (("data", "    return DataSet", "    DataSet"), "returned NoneType; expected a DataSet"),
        (("data", "truth = HMM(2, 6)", "truth = HMM(2, 6) and 1 / 0"), "zoo-trial-hmm: ZeroDivisionError"),
    ],
)
def test_a_broken_data_set_is_said_with_its_plugin_and_by_the_doctor(plugin, change, words):
    plugin("trial-hmm", change)
    with pytest.raises(PluginError, match=re.escape(words)):
        datasets.load("trial-casino", n=10)
    record = next(r for r in plugins.load().records if r.distribution == "zoo-trial-hmm")
    assert any(words in finding.cause for finding in doctor.examine(record))


@pytest.mark.slow
def test_the_hmm_learns_the_casino_from_sequences_of_every_length(plugin, tmp_path):
    """Baum–Welch in batches of 100: the likelihood never falls, and the truth is found to the accuracy of 400 games."""
    plugin("trial-hmm")
    entry = registry.load().get("trial-hmm-casino")
    model = train(entry, tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line)["log_likelihood"] for line in lines]
    assert all(b >= a - 1e-9 for a, b in pairwise(history))
    loaded = zoo_core.load(str(tmp_path / "run" / "model"))
    assert max(loaded.B[:, 5].tolist()) == pytest.approx(0.5, abs=0.05)
    result = evaluate(loaded, "nll", data=datasets.load("trial-casino", "test"), n=500)
    assert result.value == pytest.approx(-history[-1], abs=4 * result.stderr)
    assert model.entry is not None


@pytest.mark.long
def test_samples_of_open_length_go_through_every_verb(plugin, tmp_path, run):
    plugin("trial-hmm")
    train(registry.load().get("trial-hmm-casino"), tmp_path / "run", Options(max_steps=2))
    name = str(tmp_path / "run" / "model")
    x = zoo_core.sample(zoo_core.load(name), 100, seed=3)
    assert isinstance(x, Ragged)
    assert x.dtype == torch.int64
    assert len(x) == 100
    assert len(set(x.lengths.tolist())) > 5
    again = zoo_core.sample(zoo_core.load(name), 100, seed=3, batch_size=7)
    assert all(torch.equal(a, b) for a, b in zip(x, again, strict=True))
    for out, reads in (
        ("s.csv", False),
        ("s.json", True),
        ("s.txt", False),
        ("s.safetensors", False),
        ("s.png", False),
    ):
        code, _, err = run("sample", name, "-n", "70", "--out", out)
        assert code == 0, err
        if reads:
            rows = json.loads((tmp_path / out).read_text())
            assert len(rows) == 70
            assert all(0 <= token < 6 for row in rows for token in row)
    for verb in (["load", name], ["info", name], ["samplers", "--for", name], ["metrics", "--for", name],
                 ["eval", name, "--metric", "nll", "-n", "50"], ["plot", name]):  # fmt: skip
        code, _, err = run(*verb)
        assert code == 0, f"{verb}: {err}"
    code, _, err = run("eval", name, "--metric", "mmd", "-n", "50")
    assert code != 0
    assert "codes, whose differences have no meaning" in err


@pytest.mark.long
def test_the_machine_learns_samples_and_is_measured(plugin, tmp_path, run):
    plugin("boltzmann")
    train(registry.load().get("boltzmann-digits"), tmp_path / "run")
    name = str(tmp_path / "run" / "model")
    model = zoo_core.load(name)
    fresh = build(registry.load().get("boltzmann-digits"))
    test = datasets.load("digits", "test")
    bits = Prepared(model, test).rows(torch.arange(200)).x
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert model.log_prob(bits).mean() > fresh.log_prob(bits).mean() + 5
    code, out, err = run("eval", name, "--metric", "nll", "-n", "200")
    assert code == 0, err
    assert "binarised by chance" in out
    for sampler, options in (("gibbs", ["--steps", "20"]), ("persistent-chains", ["--nfe", "10"])):
        code, _, err = run("sample", name, "-n", "9", "--sampler", sampler, *options, "--out", "digits.png")
        assert code == 0, err
    assert make_sampler(model, "gibbs", nfe=77).steps == 77
    code, _, err = run("eval", name, "--metric", "fd-digits-v1")
    assert code != 0
    assert "black and white" in err


def test_the_normaliser_by_annealing_is_that_of_the_sum(plugin):
    """AIS of a machine with 10 hidden units against the exact log Z: within four of its standard errors."""
    plugin("boltzmann")
    model = build(registry.load().get("boltzmann-digits")).requires_grad_(False)
    source = torch.Generator().manual_seed(0)
    for p in (model.W, model.a, model.b):
        p.copy_(0.3 * torch.randn(p.shape, generator=source))
    x = Streams(0, "x", 0, 1).integers(2, 1, 8, 8).float()
    exact = float(-model.free_energy(x) - model.log_prob(x))

    def path(beta):
        between = build(registry.load().get("boltzmann-digits")).requires_grad_(False)
        between.W.copy_(beta * model.W)
        between.a.copy_(beta * model.a)
        between.b.copy_(beta * model.b)
        return between

    betas = torch.linspace(0, 1, 201).tolist()
    found = annealed_importance(path, (64 + 10) * math.log(2), betas, Streams(0, "ais", 0, 200))
    assert abs(found.value - exact) < 4 * found.stderr
    assert found.stderr < 0.1
    assert found.effective_runs > 50


def test_a_capability_depends_on_the_size(plugin):
    """With 200 hidden units the normaliser is not known: no density, no likelihood, but chains all the same."""
    plugin("boltzmann", ("registry", "hidden = 10", "hidden = 200"))
    entry = registry.load().get("boltzmann-digits")
    model = build(entry)
    assert isinstance(model, Density)
    assert not can(model, Density)
    assert capabilities(model) == ("EnergyBased",)
    with pytest.raises(IncompatibleError, match="normaliser of 200 hidden units is not known"):
        evaluate(model, "nll", data=datasets.load("digits", "test"), n=10)
    x = zoo_core.sample(model, 3, sampler="gibbs", steps=2)
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    fits = dict(compatibility.fitting(replace(entry, facts=read_facts(model)), plugins.load().catalogue.all("metric")))
    assert {c.name: why for c, why in fits.items()}["nll"] == "needs Density"


def test_a_fault_of_a_plugin_is_one_line_with_its_name(plugin, tmp_path, run):
    plugin("trial-hmm")
    train(registry.load().get("trial-hmm-casino"), tmp_path / "run", Options(max_steps=1))
    plugin(
        "trial-hmm", ("model", "        u = streams.uniform(1).squeeze(1)\n", "        u = streams.no_such_thing()\n")
    )
    for name in [name for name in sys.modules if name.startswith("zoo_trial_hmm")]:
        del sys.modules[name]
    code, _, err = run("sample", str(tmp_path / "run" / "model"), "--out", "x.json")
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("zoo: a fault of zoo-trial-hmm: AttributeError: ")
    assert "Traceback" not in err
