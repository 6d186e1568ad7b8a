"""Guidance against mixtures of Gaussians, whose conditional scores are known at every time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_core import sampling
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Batch, Condition, Streams
from zoo_core.paths import (
    CosinePath,
    GaussianPath,
    LinearPath,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
)
from zoo_core.registry.entry import Entry, SamplerChoice
from zoo_core.samplers.ddim import DDIM
from zoo_core.samplers.path import guided
from zoo_core.testing.exact_denoisers import ExactDenoiser
from zoo_guidance.classifier_guidance import ClassifierGuidance, Guided, log_likelihood
from zoo_guidance.label_dropout import LabelDropout
from zoo_guidance.noisy_classifier import NoisyClassifier, NoisyCrossEntropy

PATHS = [LinearPath(), CosinePath(), VariancePreserving(), SubVariancePreserving(), VarianceExploding(0.01, 10.0)]
MEANS, SCALE = ((-1.0, 0.0), (1.0, 0.5), (0.0, -1.0)), 0.4


def mixture(path: GaussianPath, *, labelled: bool = True) -> ExactDenoiser:
    return ExactDenoiser(path, MEANS, SCALE, weights=[0.5, 0.3, 0.2], labelled=labelled)


def component(path: GaussianPath, k: int) -> ExactDenoiser:
    return ExactDenoiser(path, (MEANS[k],), SCALE)


def exact(model: ExactDenoiser, label: Tensor):  # type: ignore[no-untyped-def]
    """log p(y | x_t), by Bayes."""

    def said(x_t: Tensor, t: float) -> Tensor:
        joint = model.log_prob_at(x_t, t, condition=Condition(label=label)) + model.log_weights[label]
        return joint - model.log_prob_at(x_t, t)

    return said


def noisy(path: GaussianPath, t: float, n: int = 64) -> tuple[Tensor, Condition]:
    streams = Streams(0, "test", 0, n, dtype=torch.float64)
    x = mixture(path).draw_data(streams)
    return path.diffuse(x, streams.normal(2), t), Condition(label=torch.arange(n) % 3)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_guidance_of_one_is_the_class_and_of_zero_is_none(path, t):
    """Against the denoiser of that component alone: float64 rounding."""
    x, condition = noisy(path, t)
    model = mixture(path)
    own = torch.stack([component(path, k).predict(x, t).data for k in range(3)])
    own = own[condition["label"], torch.arange(len(x))]
    assert (guided(model, x, t, condition, 1.0).data - own).abs().max() < 1e-9
    assert (guided(model, x, t, condition, 0.0).data - model.predict(x, t).data).abs().max() < 1e-9


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_classifier_guidance_with_the_exact_classifier_is_classifier_free_guidance(path, strength):
    """∇ log p(y | x_t) = ∇ log p(x_t | y) − ∇ log p(x_t): the two are one at every s, and at 1 the conditional model.

    Both predictions, to float64 rounding divided by α ≥ 0.05.
    """
    for t in (0.05, 0.5, 0.9):
        x, condition = noisy(path, t)
        model = mixture(path)
        ours = Guided(model, exact(model, condition["label"]), strength).predict(x, t)
        free = guided(model, x, t, condition, strength)
        assert (ours.data - free.data).abs().max() < 1e-8
        assert (ours.noise - free.noise).abs().max() < 1e-8


def test_samples_guided_by_the_exact_classifier_are_those_of_the_class():
    """The same noise through the guided model and the component alone ends at the same points, to 1e-6: α is held
    where it is small, in the first step."""
    path = VariancePreserving()
    model, label = mixture(path), torch.full((32,), 1)
    noise = Streams(0, "test", 0, 32, dtype=torch.float64).normal(2)
    streams = Streams(0, "test", 0, 32, dtype=torch.float64)
    ours = DDIM(20).sample(Guided(model, exact(model, label), 1.0), streams, noise=noise)
    own = DDIM(20).sample(component(path, 1), streams.restarted(), noise=noise)
    assert (ours - own).abs().max() < 1e-6


def trained(steps: int = 120) -> NoisyClassifier:
    """A classifier of the mixture, after a few seconds."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NoisyClassifier([2], 3, widths=[64, 64])
    optimiser, goal = torch.optim.Adam(model.parameters(), lr=1e-2), NoisyCrossEntropy()
    means, shares = torch.tensor(MEANS), torch.tensor([0.5, 0.3, 0.2])
    for step in range(steps):
        g = torch.Generator().manual_seed(step)
        label = torch.multinomial(shares, 512, replacement=True, generator=g)
        x = means[label] + SCALE * torch.randn(512, 2, generator=g)
        streams = Streams(0, f"train/{step}", 0, 512)
        loss = next(goal.losses(model, Batch(x, Condition(label=label)), streams)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


@pytest.mark.long
def test_the_classifier_learns_the_posterior_and_guides_to_the_class():
    """p(y | x_t) within 0.1 of Bayes' on average at every level of noise, on two paths though trained on none; and
    samples that are guided to a class have its mean to 0.25, where unguided ones are 0.5 and more away."""
    classifier = trained()
    for path in (LinearPath(), VariancePreserving()):
        model = mixture(path, labelled=False)
        for t in (0.1, 0.4, 0.8):
            x, condition = noisy(path, t, 256)
            label = condition["label"]
            said = log_likelihood(classifier, model, label)(x.float(), t).exp()
            assert (said - exact(model, label)(x, t).exp()).abs().mean() < 0.1
        label = torch.full((256,), 2)
        likelihood = log_likelihood(classifier, model, label)
        drawn = [
            DDIM(20).sample(m, Streams(0, "test", 0, 256)).mean(0)
            for m in (Guided(model, likelihood, 1.0), Guided(model, likelihood, 0.0))
        ]
        gaps = [(mean - torch.tensor(MEANS[2])).norm().item() for mean in drawn]
        assert gaps[0] < 0.25
        assert gaps[1] > 0.5


def test_a_gradient_is_of_its_own_sample():
    """Sample 0 is guided alike alone and among others, in an image classifier with its normalisations."""
    classifier = NoisyClassifier([1, 8, 8], 10, widths=[8, 16])
    classifier.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    x = Streams(0, "test", 0, 4).normal(1, 8, 8).requires_grad_()
    theta = torch.tensor([0.7])
    whole = torch.autograd.grad(classifier.log_probabilities(x, theta)[:, 3].sum(), x)[0][:1]
    alone = torch.autograd.grad(classifier.log_probabilities(x[:1], theta)[:, 3].sum(), x)[0][:1]
    assert (whole - alone).abs().max() < 1e-6


def test_who_cannot_be_guided():
    coupled = ExactDenoiser(LinearPath(independent=False), MEANS, SCALE)
    with pytest.raises(IncompatibleError, match="needs the score, and this path couples"):
        ClassifierGuidance().check(coupled)
    with pytest.raises(IncompatibleError, match="has no option 'no-such'"):
        ClassifierGuidance(options={"no-such": 1}).check(mixture(LinearPath()))


def test_the_default_guidance_of_a_model_is_that_of_its_entry():
    model = mixture(LinearPath())
    model.entry = Entry("m", "f", "p", {}, "s", sampler=SamplerChoice("ddim", {"steps": 4, "guidance": 2.5}))
    condition = Condition(label=torch.tensor([0, 1, 2]))
    assert sampling.default_guidance(model) == 2.5
    draw: dict[str, Any] = {"condition": condition, "seed": 1}
    own = sampling.sample(model, 3, **draw)
    assert torch.equal(own, sampling.sample(model, 3, guidance=2.5, **draw))
    assert not torch.equal(own, sampling.sample(model, 3, guidance=1.0, **draw))


def test_labels_are_hidden_as_often_as_asked():
    """A tenth of 4,000: within five standard errors, 0.024; the others are as they were."""
    label = torch.arange(4000) % 3
    batch = Batch(torch.zeros(4000, 2), Condition(label=label))
    streams = Streams(0, "train/7", 0, 4000)
    hidden = LabelDropout().hidden(mixture(LinearPath()), batch, streams).condition
    assert hidden is not None
    gone = hidden["label"] == 3
    assert abs(gone.float().mean().item() - 0.1) < 5 * math.sqrt(0.09 / 4000)
    assert torch.equal(hidden["label"][~gone], label[~gone])
    first = streams.normal(2)
    assert torch.equal(first, streams.restarted().normal(2))  # nothing was taken from the objective's own


def test_dropout_of_none_and_of_all():
    """With p = 0 it is the wrapped objective to the bit, with p = 1 that on no labels at all."""
    from zoo_ddpm.model import DDPM
    from zoo_ddpm.objective import Simple

    model = DDPM([2], {"kind": "mlp", "width": 16, "depth": 2}, steps=20, classes=3)
    source = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(std=0.3, generator=source)
    x, condition = Streams(0, "x", 0, 8).normal(2), Condition(label=torch.arange(8) % 3)

    def loss(goal: Any, condition: Condition | None) -> float:
        return next(goal.losses(model, Batch(x, condition), Streams(0, "train/0", 0, 8))).value.item()

    wrapped = {"objective": "ddpm-simple"}
    assert loss(LabelDropout(**wrapped, probability=0.0), condition) == loss(Simple(), condition)
    assert loss(LabelDropout(**wrapped, probability=1.0), condition) == loss(Simple(), None)
    assert loss(LabelDropout(**wrapped), None) == loss(Simple(), None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"probability": 1.5}, "probability = 1.5; expected a number in"),
        ({"objective": "label-dropout"}, "would wrap itself"),
        ({"objective": "em"}, "has no gradient"),
    ],
)
def test_what_cannot_be_wrapped(arguments, words):
    with pytest.raises(ValueError, match=words):
        LabelDropout(**arguments)


def test_a_wrapper_of_nothing_says_so():
    with pytest.raises(IncompatibleError, match="wraps another objective, and none is named"):
        next(LabelDropout().losses(mixture(LinearPath()), Batch(torch.zeros(1, 2)), Streams(0, "train/0", 0, 1)))


def test_a_label_is_needed():
    guidance = ClassifierGuidance()
    guidance.classifier, guidance._classifier = "mine", NoisyClassifier([2], 3, widths=[8])
    model = mixture(LinearPath(), labelled=False)
    assert set(guidance.conditions(model)) == {"label"}
    with pytest.raises(ConditionError, match="needs a label to guide to; give one with --label"):
        guidance.sample(model, Streams(0, "test", 0, 1))
    with pytest.raises(IncompatibleError, match="classifier = 'mine': it is of other data"):
        guidance.check(ExactDenoiser(LinearPath(), ((0.0,),)))
