"""The model: what it draws, that batches do not matter, and what is refused."""

from __future__ import annotations

import re

import pytest
import torch

from zoo_core.errors import ConditionError
from zoo_core.interfaces import Condition, Streams, capabilities
from zoo_core.sampling import sample
from zoo_gan.model import GAN
from zoo_gan.networks import ConvCritic, MLPCritic

MLP = {"kind": "mlp", "width": 16, "depth": 2}
CONFIGS = {
    "points": {"shape": [2], "latent": 3, "generator": MLP, "critic": MLP, "pac": 2},
    "image": {
        "shape": [1, 28, 28],
        "latent": 5,
        "generator": {"kind": "dcgan", "widths": [16, 8], "norm": "batch"},
        "critic": {"kind": "dcgan", "widths": [8, 16]},
    },
    "labels": {
        "shape": [1, 8, 8],
        "latent": 5,
        "classes": 4,
        "pac": 2,
        "generator": {"kind": "dcgan", "widths": [16, 8]},
        "critic": {"kind": "dcgan", "widths": [8, 16]},
    },
    "mlp on an image": {"shape": [1, 4, 4], "latent": 5, "classes": 4, "generator": MLP, "critic": MLP},
}


@pytest.fixture(autouse=True)
def initial_weights():
    """Layers draw their initial weights from the global generator: the same in every run, and put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trained(name: str, seed: int = 0) -> GAN:
    """A model whose parameters and running averages are not where they started, in evaluation mode."""
    model, source = GAN(**CONFIGS[name]), torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=source) * 0.2 + 0.01)
    return model.eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_seed_gives_the_same_samples_for_every_batch_size(name):
    model = trained(name)
    whole = sample(model, 9, sampler="direct", seed=3, batch_size=9)
    assert whole.shape == (9, *model.space.shape)
    assert torch.isfinite(whole).all()
    assert torch.equal(whole, sample(model, 9, sampler="direct", seed=3, batch_size=9))
    assert not torch.equal(whole, sample(model, 9, sampler="direct", seed=4, batch_size=9))
    for size in (1, 4):
        assert (whole - sample(model, 9, sampler="direct", seed=3, batch_size=size)).abs().max() < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_a_state_dict_is_the_whole_model(name):
    """Generator, critic and running averages: another instance draws and scores the same."""
    model, other = trained(name), GAN(**CONFIGS[name]).eval()
    assert {key.split(".")[0] for key in model.state_dict()} == {"generator", "critic"}
    other.load_state_dict(model.state_dict())
    x, streams = sample(model, 4, sampler="direct"), Streams(0, "label", 0, 4)
    assert torch.equal(x, sample(other, 4, sampler="direct"))
    label = None if model.classes is None else model.one_hot(Condition(label=streams.integers(model.classes)))
    assert torch.equal(model.critic(x, label), other.critic(x, label))
    assert model.critic(x, label).shape == (4 // model.critic.pac,)


def test_the_players_are_the_whole_model():
    model = GAN(**CONFIGS["labels"])
    players = [p for player in model.players.values() for p in player.parameters()]
    assert len(players) == len(list(model.parameters()))
    assert capabilities(model) == ("DirectSampler", "LatentVariable")


def test_drawing_is_decoding_a_drawn_code():
    model = trained("image")
    with torch.no_grad():
        z = model.draw_latent(Streams(0, "sample", 0, 3))
        assert z.shape == (3, 5)
        assert torch.equal(model.draw(Streams(0, "sample", 0, 3)), model.decode(z))
    with pytest.raises(TypeError, match="no encoder"):
        model.encode(z)


def test_images_are_in_range():
    x = trained("image").draw(Streams(0, "sample", 0, 3))
    assert x.abs().max() <= 1.0


def test_the_label_matters_and_the_code_is_the_same_with_and_without_it():
    model = trained("labels")
    zeros, ones = (Condition(label=torch.full((4,), y)) for y in (0, 1))
    a, b = sample(model, 4, sampler="direct", condition=zeros), sample(model, 4, sampler="direct", condition=ones)
    assert (a - b).abs().amax((1, 2, 3)).min() > 1e-4
    drawn = Streams(0, "sample", 0, 4)
    model.draw_latent(drawn)
    labels = Condition(label=drawn.integers(4))
    assert torch.equal(sample(model, 4, sampler="direct"), sample(model, 4, sampler="direct", condition=labels))


def test_labels_are_drawn_uniformly():
    """1,000 draws of 4 labels: each within four standard deviations (14) of 250."""
    model, seen = trained("mlp on an image"), []
    model.generator.forward = lambda z, label: seen.append(label) or z.new_zeros(len(z), 1, 4, 4)
    model.draw(Streams(0, "sample", 0, 1000))
    assert (seen[0].sum(0) - 250).abs().max() < 4 * 13.7


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_out_of_range_is_refused(label):
    model = trained("labels")
    condition = Condition(label=torch.tensor([0, label]))
    with pytest.raises(ConditionError, match=r"out of range; expected 0 … 3"):
        sample(model, 2, sampler="direct", condition=condition)
    with pytest.raises(ConditionError, match=r"out of range; expected 0 … 3"):
        model.decode(torch.zeros(2, 5), condition=condition)


def test_labels_that_are_missing_or_not_wanted_are_refused():
    with pytest.raises(ConditionError, match="needs a condition 'label' in 0 … 3"):
        trained("labels").decode(torch.zeros(2, 5))
    with pytest.raises(ConditionError, match="has no condition 'label'"):
        trained("image").decode(torch.zeros(2, 5), condition=Condition(label=torch.zeros(2, dtype=torch.int64)))


def test_half_precision_draws_nearly_the_same():
    model = trained("image")
    exact, low = model.draw(Streams(0, "sample", 0, 4)), model.bfloat16().draw(Streams(0, "sample", 0, 4))
    assert low.dtype == torch.float32
    assert (low - exact).abs().mean() < 0.03


def test_a_pack_is_scored_as_one():
    """A packed critic sees its samples together: swapping two between packs changes both scores."""
    critic = MLPCritic([2], classes=0, pac=2)
    x = Streams(0, "test", 0, 4).normal(2)
    assert critic(x).shape == (2,)
    assert not torch.isclose(critic(x), critic(x[[0, 2, 1, 3]])).any()
    assert torch.allclose(critic(x)[:1], critic(x[:2]), atol=1e-6)
    images = Streams(0, "test", 0, 6).normal(1, 8, 8)
    assert ConvCritic([1, 8, 8], classes=0, pac=3, widths=[8])(images).shape == (2,)
    with pytest.raises(ValueError, match="3 samples cannot be split into packs of pac = 2"):
        critic(x[:3])


def test_the_projection_critic_adds_the_label_s_inner_product():
    critic = MLPCritic([2], classes=3, pac=1, width=8)
    x = Streams(0, "test", 0, 3).normal(2)
    phi = critic.features(x)
    expected = critic.head(phi).squeeze(1) + (phi * critic.projection.weight.T).sum(1)
    assert torch.allclose(critic(x, torch.eye(3)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [28, 28]}, "expected [dimensions] or [channels, height, width]"),
        ({"latent": 0}, "latent = 0 and pac = 1; expected at least 1"),
        ({"pac": 0}, "latent = 5 and pac = 0; expected at least 1"),
        ({"classes": 1}, "classes = 1; expected at least 2"),
        ({"generator": {"kind": "unet"}}, "generator.kind = 'unet'; expected one of dcgan, mlp"),
        ({"critic": {}}, "critic.kind = None; expected one of dcgan, mlp"),
        ({"generator": {"kind": "dcgan", "widths": [16, 8, 8]}}, "28×28 cannot be halved 3 times"),
        ({"critic": {"kind": "dcgan", "widths": []}}, "28×28 cannot be halved 0 times"),
        ({"generator": {"kind": "dcgan", "norm": "layer"}}, "norm = 'layer'; expected one of group, batch, none"),
        ({"generator": {"kind": "dcgan", "widths": [12]}}, "8 groups must divide 12 channels"),
        ({"critic": {"kind": "mlp", "depth": 0}}, "width = 128 and depth = 0"),
        ({"shape": [2]}, "shape = [2]; a convolution needs [channels, height, width]"),
    ],
)
def test_bad_configurations_are_named(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GAN(**{**CONFIGS["image"], **change})
