"""What ``zoo samplers --for NAME`` says, from the registry alone, is what the samplers say of the model itself."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from zoo_core import lookup, plugins, registry
from zoo_core.catalogue import resolve
from zoo_core.cli import cli
from zoo_core.errors import IncompatibleError
from zoo_core.loading import build

PATH_MODELS = [entry.id for entry in lookup.find(capability="Denoiser")]


def refused(sampler, model):
    try:
        sampler.check(model)
    except IncompatibleError as err:
        return str(err)
    return None


@pytest.mark.parametrize("name", PATH_MODELS)
def test_the_listing_is_what_the_samplers_say(name):
    """Every core sampler with its default options, held against the model, built without weights."""
    entry = registry.load().get(name)
    listed = dict(lookup.samplers_of(entry, lookup.family_of(name), plugins.load().catalogue.all("sampler")))
    model = build(entry)
    for component, why in listed.items():
        if component.target.startswith("zoo_core.samplers."):
            assert (why is None) == (refused(resolve(component.target)(), model) is None), component.name


def test_a_coupled_path_lists_what_adds_no_noise():
    name = PATH_MODELS[0]
    entry, family = registry.load().get(name), lookup.family_of(name)
    known = plugins.load().catalogue.all("sampler")
    for coupled in (replace(entry, tags=("coupled",)), replace(entry, config={"coupling": "optimal-transport"})):
        whys = {c.name: why for c, why in lookup.samplers_of(coupled, family, known)}
        noisy = {n for n, why in whys.items() if why == "adds noise, and this path couples noise and data"}
        assert noisy >= {"ancestral", "euler-maruyama", "predictor-corrector", "annealed-langevin"}
        assert not noisy & {"ddim", "euler", "heun", "midpoint", "rk4", "ode", "dpm-solver", "unipc", "consistency"}
    free = {c.name for c, why in lookup.samplers_of(replace(entry, tags=()), family, known) if why is None}
    assert {"ancestral", "ddim", "unipc", "ode"} <= free


def test_the_verb_lists_and_says_why():
    rows = json.loads(CliRunner().invoke(cli, ["samplers", "--for", "ddpm-mnist", "--json"]).stdout)
    fits = {row["name"] for row in rows if row["fits"]}
    assert {"ancestral", "ddim", "euler", "heun", "midpoint", "rk4", "ode", "dpm-solver", "unipc", "euler-maruyama",
            "predictor-corrector", "annealed-langevin", "consistency"} <= fits  # fmt: skip
    assert {row["name"]: row["why_not"] for row in rows}["direct"].startswith("needs DirectSampler")
