"""From a name to a model, from a model to samples: what the Python interface promises."""

from __future__ import annotations

import inspect

import pytest
import torch

import zoo_core
from zoo_core import loading, plugins
from zoo_core.errors import IncompatibleError, UnknownNameError, WeightsError, ZooError
from zoo_core.sampling import make_sampler

RING, MOONS = "gmm-eight-gaussians", "ddpm-moons"


def test_a_loaded_model_is_for_use():
    model = zoo_core.load(MOONS)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert model.entry.id == MOONS
    facts = loading.describe(model)
    assert facts["parameters"] == model.entry.parameters
    assert facts["sample_shape"] == [2]


def test_loading_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    zoo_core.sample(zoo_core.load(MOONS), 2, steps=2)
    assert torch.equal(before, torch.get_rng_state())


def test_dtype_and_device():
    assert zoo_core.load(MOONS, dtype="float64").dtype == torch.float64
    assert zoo_core.load(MOONS, dtype=torch.float16).dtype == torch.float16
    assert zoo_core.load(MOONS, device="auto").device.type in ("cpu", "cuda", "mps")
    with pytest.raises(IncompatibleError, match="unknown dtype 'int8'; expected one of float32"):
        zoo_core.load(MOONS, dtype="int8")


@pytest.mark.parametrize("device", ["meta", "cuda", "cuda:1", "cpu:1", "mps", "xla"])
def test_a_device_that_is_not_there_is_said_with_those_that_are(device, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(IncompatibleError, match=f"this machine has no device '{device}'; there are cpu, and auto"):
        zoo_core.load(RING, device=device)


@pytest.mark.parametrize("device", ["tpu", "", "-1", "cuda:-1", 1.5, None])
def test_what_is_no_device_at_all(device, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(IncompatibleError, match=r"no device is called .*; there are cpu, and auto"):
        zoo_core.load(RING, device=device)
    assert zoo_core.load(RING, device="cpu:0").device.type == "cpu"


def test_the_devices_are_those_that_torch_sees(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    with pytest.raises(IncompatibleError, match="no device 'cuda:2'; there are cpu, cuda, cuda:1, and auto"):
        zoo_core.load(RING, device="cuda:2")


def test_sources():
    model, fetched = loading.load_with_weights(RING, weights_from="bundled")
    assert fetched.came_from == "bundled"
    _, from_folder = loading.load_with_weights(RING, weights_from=str(fetched.path.parent))
    assert (from_folder.came_from, from_folder.sha256) == ("folder", fetched.sha256)
    with pytest.raises(WeightsError, match="is in no repository on the Hub"):
        zoo_core.load(RING, weights_from="hub")
    with pytest.raises(WeightsError, match="no file"):
        zoo_core.load(RING, weights_from="/nowhere")
    assert model.components == 8


def test_sampling_by_name_and_by_model():
    x = zoo_core.sample(RING, 7, seed=5)
    assert torch.equal(x, zoo_core.sample(zoo_core.load(RING), 7, seed=5, batch_size=2))
    assert x.shape == (7, 2)
    assert not x.is_inference()
    assert torch.equal(x[3:], zoo_core.sample(RING, 4, seed=5, first=3))


def test_an_observer_sees_every_step_and_progress_every_batch():
    seen, done = [], []
    zoo_core.sample(
        MOONS,
        5,
        steps=3,
        batch_size=2,
        observer=lambda start, frame: seen.append((start, frame.step)),
        progress=lambda i, n: done.append((i, n)),
    )
    assert seen == [(start, step) for start in (0, 2, 4) for step in (1, 2, 3)]
    assert done == [(2, 5), (4, 5), (5, 5)]


def test_options_of_samplers():
    model = zoo_core.load(MOONS)
    assert make_sampler(model, "ddim", steps=7, eta=0.5).steps == 7
    with pytest.raises(IncompatibleError, match="has no option 'stps'; its options are steps, eta, spacing, clip"):
        make_sampler(model, "ddim", stps=7)
    with pytest.raises(IncompatibleError, match="sampler 'ddim' has steps = 'many'; expected an integer"):
        make_sampler(model, "ddim", steps="many")
    with pytest.raises(IncompatibleError, match="n = 0 and batch_size"):
        zoo_core.sample(model, 0)


def test_look_ups():
    found = [e.id for e in zoo_core.find("ddpm-*", dataset="mnist")]
    assert found == ["ddpm-mnist", "ddpm-mnist-cond", "ddpm-mnist-plain"]
    assert {e.id for e in zoo_core.find(family="gmm")} >= {RING, "gmm-digits", "gmm-mnist0", "gaussian-mnist0"}
    assert {"ddpm", "flow-matching", "score-sde"} <= {e.family for e in zoo_core.find(capability="Denoiser")}
    assert not {"gmm", "vae", "gan", "glow"} & {e.family for e in zoo_core.find(capability="Denoiser")}
    assert zoo_core.find("nothing-like-it") == []
    with pytest.raises(UnknownNameError, match="unknown capability 'Flying'"):
        zoo_core.find(capability="Flying")
    facts = zoo_core.info(RING)
    assert facts["capabilities"] == ["Density", "DirectSampler", "Completer"]
    assert facts["samplers"] == ["direct", "langevin"]
    assert facts["weights_are"] == "bundled"
    with pytest.raises(ZooError, match="did you mean"):
        zoo_core.info("gmm-eight-gausians")


def test_the_public_names_have_docstrings():
    for name in zoo_core.__all__:
        assert inspect.getdoc(getattr(zoo_core, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zoo_core.nothing  # noqa: B018


def test_a_factory_that_makes_no_model_is_refused(site, monkeypatch):
    from zoo_core.errors import PluginError
    from zoo_core.registry.entry import Entry
    from zoo_core.testing.fake_plugins import install

    source = """
    from zoo_core.plugins.hookspecs import hookimpl
    ZOO_API = (1, 0)
    @hookimpl
    def zoo_register(catalogue):
        catalogue.family("toy", "builtins:dict", "not a model", capabilities=[])
    """
    install(site, "zoo-toy", source)
    plugins.reset()
    with pytest.raises(PluginError, match="made a dict, which is no"):
        loading.build(Entry("toy", "toy", "zoo-toy", {}, "a toy"))
