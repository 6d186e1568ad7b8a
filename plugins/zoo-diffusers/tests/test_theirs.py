"""Networks that are diffusers' own, behind our path interface; what is said without diffusers."""

from __future__ import annotations

import sys

import pytest
import torch

import zoo_core
from zoo_core.cli import main
from zoo_core.errors import ConditionError, PluginError, WeightsError
from zoo_core.interfaces import Condition, ConditionSpec, Streams
from zoo_core.saving.exporting import export
from zoo_diffusers import theirs

diffusers = pytest.importorskip("diffusers")


@pytest.fixture
def embedded(small, tmp_path):
    """A function that makes a pipeline whose network is told numbers, and saves it in the folder ``p``."""

    def make(kind):  # type: ignore[no-untyped-def]
        with small.seeded():
            unet = small.shaken(diffusers.UNet2DModel(**small.unet, class_embed_type=kind))
        pipeline = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(num_train_timesteps=20, beta_end=0.9))
        pipeline.save_pretrained(tmp_path / "p")
        return pipeline, zoo_core.load(str(tmp_path / "p"))

    return make


@pytest.mark.parametrize(("kind", "shape"), [("timestep", ()), ("identity", (32,))])
def test_a_network_that_is_told_numbers(embedded, kind, shape):
    """The network is diffusers' own, so its answers are equal to rounding of x̂, 1e-5."""
    pipeline, model = embedded(kind)
    assert model.conditions == {"label": ConditionSpec("vector", shape=shape)}
    streams = Streams(0, "test", 0, 2)
    x, label = streams.normal(3, 8, 8), streams.normal(*shape)
    with torch.no_grad():
        theirs = pipeline.unet(x, torch.tensor(9), class_labels=label).sample
        assert (model.predict(x, 0.5, condition=Condition(label=label)).noise - theirs).abs().max() < 1e-5
        other = model.predict(x, 0.5, condition=Condition(label=label + 1.0)).noise
    assert (other - theirs).abs().max() > 1e-3
    with pytest.raises(ConditionError, match="needs a condition 'label' and cannot be asked without one"):
        model.predict(x, 0.5)
    value = 3.5 if kind == "timestep" else [0.5] * 32
    assert zoo_core.sample(model, 2, sampler="ddim", steps=3, condition={"label": value}).isfinite().all()
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in pipeline.unet.state_dict().items())


def test_it_is_exported_as_it_came(embedded, tmp_path):
    pipeline, _ = embedded("timestep")
    export(str(tmp_path / "p"), "diffusers", tmp_path / "out")
    again = diffusers.DDPMPipeline.from_pretrained(tmp_path / "out")
    assert again.unet.config.class_embed_type == "timestep"
    assert all(torch.equal(v, again.unet.state_dict()[k]) for k, v in pipeline.unet.state_dict().items())


def test_without_diffusers_one_line_says_what_to_install(embedded, monkeypatch, tmp_path, capsys):
    embedded("timestep")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    words = r"unet: this UNet2DModel is run by diffusers itself, .*; pip install 'zoo-diffusers\[diffusers\]'"
    with pytest.raises(PluginError, match=words):
        zoo_core.load(str(tmp_path / "p"))
    with pytest.raises(SystemExit) as end:
        main(["load", str(tmp_path / "p")])
    assert end.value.code == 6
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_only_known_classes_are_built():
    for kind in ("UNet2DConditionModel", "DiffusionPipeline", "configuration_utils", "__loader__"):
        with pytest.raises(WeightsError, match=f"unet: _class_name = '{kind}' has no counterpart here"):
            theirs.build("unet", {"_class_name": kind})
