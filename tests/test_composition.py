"""A composition: samplers draw from the model inside, and what they drew is decoded; outer ∘ inner."""

from __future__ import annotations

import inspect

import pytest
import torch

from zoo_core import plugins
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import (
    Call,
    Composition,
    ConditionSpec,
    Denoiser,
    Model,
    SampleSpace,
    Streams,
    capabilities,
)
from zoo_core.lookup import compatibility
from zoo_core.lookup.model_facts import read_facts
from zoo_core.paths import LinearPath, to_prediction
from zoo_core.plugins.catalogue import Catalogue, Component, resolve
from zoo_core.registry.entry import Entry
from zoo_core.samplers.ddim import DDIM
from zoo_core.sampling import default_batch_size, make_sampler, sample
from zoo_core.testing.toy_models import all_toys


class Doubled(Model, Composition):
    """Decodes codes z as (2z, 0)."""

    def __init__(self, inner: Model) -> None:
        super().__init__()
        self.inner, self.conditions = inner, inner.conditions
        self.space = SampleSpace("points", (2 * int(inner.space.shape[0] or 1),))

    def decoded(self, codes):  # type: ignore[no-untyped-def]
        return torch.cat([2.0 * codes, torch.zeros_like(codes)], 1)


class Told(Model, Denoiser):
    """Predicts its label as data, and 0 without one."""

    prediction = "data"

    def __init__(self) -> None:
        super().__init__()
        self.space, self.path = SampleSpace("points", (1,)), LinearPath()
        self.conditions = {"label": ConditionSpec.label(3, null=True)}

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        data = torch.zeros_like(x_t) if condition is None else condition["label"][:, None].to(x_t.dtype)
        return to_prediction(self.path, "data", x_t, t, data)


TOYS = {name: toy for name, toy in all_toys().items() if "Denoiser" in capabilities(toy)}


@pytest.fixture
def toy():
    return next(toy for toy in TOYS.values() if toy.space.kind == "points" and not toy.conditions)


def test_every_path_sampler_draws_codes_and_decodes_them(toy):
    model = Doubled(toy)
    for component in plugins.load().catalogue.all("sampler"):
        sampler = resolve(component.target)()
        inside = sampler.misfit(toy)
        assert sampler.misfit(model) == inside, component.name
        if inside is None and "Denoiser" in component.needs:
            steps = {"steps": 2} if "steps" in inspect.signature(type(sampler)).parameters else {}
            codes, x = (sample(one, 3, sampler=component.name, **steps) for one in (toy, model))
            assert torch.equal(x, model.decoded(codes)), component.name


def test_compositions_of_compositions(toy):
    whole = Doubled(Doubled(toy))
    x = sample(whole, 2, sampler="ddim", steps=3)
    codes = sample(toy, 2, sampler="ddim", steps=3)
    assert torch.equal(x[:, : codes.shape[1]], 4.0 * codes)


def test_frames_are_decoded_and_so_is_what_a_batch_of_streams_draws(toy):
    model, seen, inside = Doubled(toy), [], []
    sampler, streams = DDIM(4), Streams(0, "test", 0, 2)
    x = sampler.sample(model, streams, observer=seen.append)
    sampler.draw(toy, Call(Streams(0, "test", 0, 2), observer=inside.append))
    assert [frame.step for frame in seen] == [1, 2, 3, 4]
    assert torch.equal(seen[-1].state, x)
    for outer, inner in zip(seen, inside, strict=True):
        assert torch.equal(outer.data, model.decoded(inner.data))


def test_conditions_and_guidance_are_those_of_the_model_inside():
    model = Doubled(Told())
    x = sample(model, 3, sampler="ddim", steps=3, condition={"label": [0, 1, 2]}, guidance=2.0)
    assert torch.equal(x, torch.tensor([[0.0, 0.0], [4.0, 0.0], [8.0, 0.0]]))
    with pytest.raises(ConditionError, match="'label' = 4 is out of range"):
        sample(model, 3, sampler="ddim", condition={"label": 4})


def test_a_sampler_that_begins_with_data_does_not_go_inside(toy):
    class Given(DDIM):
        takes_data = True

    assert Given(3).misfit(toy) is None
    assert Given(3).misfit(Doubled(toy)) == (
        "begins with data, which this model would have to encode first; it only decodes"
    )
    with pytest.raises(IncompatibleError, match="needs EnergyBased, which"):
        make_sampler(Doubled(toy), "gibbs")


def test_listings_know_what_is_inside():
    toy = Told()
    found = Catalogue()
    found.family("doubled", "x:y", "a toy", capabilities=["Composition"], inner=capabilities(toy))
    family = found.get("family", "doubled")
    entry = Entry("it", "doubled", "", {}, "", facts=read_facts(Doubled(toy)))
    for component in plugins.load().catalogue.all("sampler"):
        why = compatibility.misfit(component, entry, family)
        assert (why is None) == (resolve(component.target)().misfit(Doubled(toy)) is None), component.name
        meant = not component.families and set(component.needs) <= set(capabilities(toy))
        assert (component.misfit(family) is None) == meant
    for kind in ("metric", "objective", "plot"):
        for component in plugins.load().catalogue.all(kind):
            if "Denoiser" in component.needs:
                assert compatibility.misfit(component, entry, family) is not None
    assert capabilities(Doubled(toy)) == ("Composition",)


def test_large_images_are_drawn_few_at_a_time():
    """64 images of 28×28 or 32×32 at once, as before; one of 256×256, whose activations take hundreds of MiB."""

    class Blank(Model):
        def __init__(self, *shape: int) -> None:
            super().__init__()
            self.space = SampleSpace.of(shape)

    sizes = {
        shape: default_batch_size(Blank(*shape)) for shape in ((1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 256, 256))
    }
    assert list(sizes.values()) == [64, 64, 21, 1]
    assert default_batch_size(Blank(3, 4096, 4096)) == 1


def test_a_component_says_what_its_family_offers():
    family = Component("family", "it", "x:y", "", capabilities=("Composition",), inner=("Denoiser",))
    assert family.offers("sampler") == ("Composition", "Denoiser")
    assert family.offers("metric") == ("Composition",)
