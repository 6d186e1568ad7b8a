"""Small models of the kit: of every kind one, in place of a large one, and nothing is left unasked."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from zoo_core import loading, plugins, registry
from zoo_core.testing import small_models, tiny_data
from zoo_core.testing.behaviour import answers
from zoo_core.testing.check import ConformanceError
from zoo_core.testing.conformance import items, marks
from zoo_core.testing.subjects import LARGE, ModelSubject

PLUGIN = """
    from zoo_core.plugins.hookspecs import hookimpl

    ZOO_API = (1, 0)

    @hookimpl
    def zoo_register(catalogue):
        catalogue.family("toybig", "zoo_toy.model:Big", "noise of many channels", capabilities=["DirectSampler"])
"""

MODEL = """
    import torch
    from zoo_core.interfaces import DirectSampler, Model, SampleSpace


    class Big(Model, DirectSampler):
        def __init__(self, shape, width, least=1):
            super().__init__()
            if width < least:
                raise ValueError(f"width = {width}; expected at least {least}")
            self.space = SampleSpace("image", tuple(shape), 0.0, 1.0)
            self.scale = torch.nn.Parameter(torch.zeros(width, *shape))

        def draw(self, streams, *, condition=None):
            return torch.sigmoid(streams.normal(*self.space.shape) + self.scale.mean(0))
"""

REGISTRY = """
    schema = 1

    [plugin]
    distribution = "zoo-toy"

    [models.toy-big]
    family = "toybig"
    config = { shape = [1, 28, 28], width = 300 }
    summary = "noise"
    sampler = { name = "direct" }
"""


@pytest.fixture
def big(zoo_install, monkeypatch):
    """Installs a plugin with one large model, with a line changed."""
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-metrics")

    def make(line="", instead=""):
        assert line in MODEL + REGISTRY
        model, fragment = MODEL.replace(line, instead), REGISTRY.replace(line, instead)
        zoo_install("zoo-toy", PLUGIN, registry=fragment, modules={"model": model})
        return {item.key: item for item in items("zoo-toy")}

    return make


@pytest.fixture(scope="module")
def large():
    """The registered models that are large."""
    catalogue = plugins.load().catalogue
    subjects = (ModelSubject(e.id, catalogue.get("family", e.family), e) for e in registry.load().entries.values())
    return [subject for subject in subjects if subject.is_large]


@pytest.mark.long
def test_every_large_model_has_a_small_one_by_the_same_code(large):
    """It is a third of the size or less; most are a thirtieth."""
    assert len(large) > 20
    for subject in large:
        assert subject.small is not None, subject.name
        model = subject.small.model
        assert type(model) is loading.factory_of(subject.entry)
        assert model.space.kind == loading.build(subject.entry).space.kind
        assert subject.small.size < subject.size / 3, subject.name
        assert subject.small.size < 3 * LARGE


@pytest.mark.parametrize("name", ["ddpm-mnist-cond", "glow-mnist-plain", "vae-mnist", "cgan-mnist"])
def test_a_small_one_answers_as_one_that_has_learned(large, name):
    """Layers that begin at zero have been moved: other questions get other answers."""
    (subject,) = [s.small for s in large if s.name == name]
    found = answers(subject, subject.model)
    for key, value in found.items():
        assert value.isfinite().all(), key
        assert not torch.equal(value[0], value[1]), key
    again = answers(subject, small_models.build_small(subject.entry))
    assert all(torch.equal(value, again[key]) for key, value in found.items())


def test_configs_that_become_the_same_are_one_kind(large):
    kinds = defaultdict(list)
    for subject in large:
        kinds[small_models.kind_of(subject.small.entry)].append(subject.name)
    assert ["ddpm-fashion", "ddpm-mnist"] in kinds.values()
    assert ["dcgan-fashion-bags", "wgan-gp-mnist"] in kinds.values()
    (alone,) = [names for names in kinds.values() if "otcfm-mnist" in names]  # another coupling is another kind
    assert alone == ["otcfm-mnist"]


@pytest.mark.long
@pytest.mark.parametrize("plugin", ["zoo-ddpm", "zoo-flow-matching", "zoo-gan"])
def test_every_check_of_a_large_model_is_made_and_the_quick_ones_often(large, plugin):
    """Slowly of the large model itself; and of it or of a small one of its kind whenever the suite runs.

    Only a check that is slow of the small one too is made of the large one alone.
    """
    made, quick = defaultdict(set), defaultdict(set)
    for item in items(plugin):
        asked = item.subject.asked
        if asked is None:
            continue
        objective = item.subject.name.partition("@")[0] if "@" in item.subject.name else ""
        if not asked.is_small:
            made[asked.entry.id].add((item.check, objective))
        if asked.is_small:
            quick[small_models.kind_of(asked.entry)].add((item.check, objective))
        elif "slow" not in marks(item):
            quick[asked.entry.id].add((item.check, objective))
    for subject in (s for s in large if s.entry.plugin == plugin):
        small = subject.small
        for check, objective in made[subject.entry.id]:
            if check in {c for c, _ in quick[subject.entry.id]}:
                continue
            spoken_for = check.kind == "model" and (not check.when(small) or check.slow(small))
            least = check.name == "check_training_lowers_the_loss" or check.name == "check_likelihood_never_falls"
            kind = quick[small_models.kind_of(small.entry)]
            assert (check, objective) in kind or spoken_for or least, (check.name, subject.name, objective)


def test_a_teacher_is_small_too(large):
    """The distilled model's recipe names its teacher; the small one's names a folder with a small teacher."""
    (subject,) = [s for s in large if s.name == "consistency-mnist"]
    options = subject.small.entry.recipe["objective_options"]
    assert subject.entry.recipe["objective_options"]["teacher"] == "ddpm-mnist-plain"
    assert loading.load(options["teacher"]).space == subject.small.model.space
    assert {k: v for k, v in options.items() if k != "teacher"} == {
        k: v for k, v in subject.entry.recipe["objective_options"].items() if k != "teacher"
    }
    assert json.loads(json.dumps(options)) == options


def test_what_is_wrong_with_a_large_model_is_seen_on_its_small_one(big):
    found = big("streams.normal(*self.space.shape)", "torch.randn(len(streams), *self.space.shape)")
    key = "check_global_generators_are_left_alone[toy-big/small]"
    assert marks(found[key]) == []
    assert found[key].subject.model.scale.shape == (8, 1, 8, 8)
    with pytest.raises(ConformanceError, match="torch's global generator"):
        found[key]()
    assert marks(found["check_global_generators_are_left_alone[toy-big]"]) == ["slow", "large"]


def test_what_is_shipped_is_asked_of_the_large_model(big):
    found = big()
    assert marks(found["check_registry_entry_is_valid[toy-big]"]) == ["large"]
    assert "check_registry_entry_is_valid[toy-big/small]" not in found
    found["check_same_seed_same_samples[toy-big]"]()


@pytest.mark.parametrize(("least", "sizes"), [(1, (8, 8)), (10, (16, 16)), (20, (32, 28))])
def test_the_first_size_that_a_family_takes(big, least, sizes):
    found = big("least=1", f"least={least}")
    width, side = sizes
    scale = found["check_global_generators_are_left_alone[toy-big/small]"].subject.model.scale
    assert scale.shape == (width, 1, side, side)


DRAW = "return torch.sigmoid(streams"


@pytest.mark.parametrize(
    ("line", "instead"),
    [("least=1", "least=100"), (DRAW, f"assert len(self.scale) == 300\n            {DRAW}")],
    ids=["it is refused", "it cannot be asked"],
)
def test_a_family_without_small_sizes_is_asked_at_its_own(big, line, instead):
    """As often as any other model: nothing is left to the slow tests."""
    found = big(line, instead)
    assert not [key for key in found if "/small" in key]
    assert marks(found["check_global_generators_are_left_alone[toy-big]"]) == ["large"]


def test_small_ones_are_asked_with_data_of_their_size(large):
    (subject,) = [s.small for s in large if s.name == "vae-mnist"]
    assert tiny_data.batch(subject.model, 3).x.shape == (3, 1, 8, 8)


def test_a_large_model_whose_code_cannot_be_imported_has_no_small_one():
    """Collecting the kit's items goes on; the checks of the model itself say what is wrong."""
    entry = replace(registry.load().get("ddpm-mnist"), family="nowhere")
    assert small_models.small_entry(entry) is None
