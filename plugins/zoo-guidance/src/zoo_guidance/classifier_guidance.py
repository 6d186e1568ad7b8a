r"""Classifier guidance (Dhariwal & Nichol 2021, algorithm 2), on predictions, for every path and every sampler.

The score of p_t(x_t)·p(y | x_t)^s is that of p_t plus s·∇ log p(y | x_t), and ε̂ = −σ·score, so that

    ε̂ ← ε̂ − s·σ·∇ log p(y | x_t),          x̂ ← x̂ + s·(σ²/α)·∇ log p(y | x_t).

At s = 1 an exact classifier turns the unconditional model into the conditional one.  Samples do not influence each
other's gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Call, Condition, ConditionSpec, Denoiser, Model, Prediction, Sampler, Values
from zoo_core.loading import load
from zoo_core.sampling import make_sampler
from zoo_guidance.inner import inner_evaluations, inner_misfit
from zoo_guidance.noisy_classifier import NoisyClassifier

__all__ = ["ClassifierGuidance", "Guided", "LogLikelihood", "log_likelihood"]

LogLikelihood = Callable[[Tensor, float | Tensor], Tensor]
"""log p(y | x_t) of noisy data at a time, nats, ``(n,)``; differentiable in x_t."""

LEAST_ALPHA = 1e-3
"""Least α in the factor σ²/α, which would otherwise amplify errors of the gradient without bound."""


class Guided(Model, Denoiser):
    """A path model with classifier guidance.

    Args:
        model: model on a path.
        log_likelihood: function that computes log p(y | x_t, t).
        strength: guidance strength s.
    """

    def __init__(self, model: Model, log_likelihood: LogLikelihood, strength: float) -> None:
        super().__init__()
        assert isinstance(model, Denoiser)
        self.model, self.log_likelihood, self.strength = model, log_likelihood, strength
        self.space, self.path, self.prediction, self.variance = (
            model.space,
            model.path,
            model.prediction,
            model.variance,
        )

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        said = self.model.predict(x_t, t)
        with torch.inference_mode(False), torch.enable_grad():
            x = x_t.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_likelihood(x, t).sum(), x)
        alpha, sigma = self.path.coefficients(t, like=x_t)
        held = alpha.clamp_min(LEAST_ALPHA) if isinstance(alpha, Tensor) else max(alpha, LEAST_ALPHA)
        push = self.strength * gradient
        return Prediction(said.data + sigma * sigma / held * push, said.noise - sigma * push, said.variance_mix)


def log_likelihood(classifier: NoisyClassifier, model: Denoiser, label: Tensor) -> LogLikelihood:
    """Returns log p(y | x_t) by a classifier of ours.

    Args:
        classifier: classifier of noisy data.
        model: model on whose path x_t lies.
        label: labels y, ``(n,)``.
    """

    def said(x_t: Tensor, t: float | Tensor) -> Tensor:
        alpha, sigma = (
            torch.as_tensor(c, dtype=x_t.dtype, device=x_t.device) for c in model.path.coefficients(t, like=x_t)
        )
        y, theta = x_t / torch.hypot(alpha, sigma), torch.atan2(sigma, alpha).flatten()
        return classifier.log_probabilities(y, theta).gather(1, label.view(-1, 1)).squeeze(1)

    return said


class ClassifierGuidance(Sampler[Denoiser]):
    """Classifier guidance for any sampler.

    ``--guidance`` is the strength s; at 1 the classifier's gradient is not scaled.  The condition ``label`` is the
    classifier's; a label of the model itself is not used.

    Args:
        classifier: classifier of noisy data, a name for ``zoo load``; without it there is no guidance.
        sampler: registered name of the inner sampler.
        steps: number of steps of the inner sampler, if it has that option.
        options: other options of the inner sampler.
    """

    name = "classifier-guidance"
    needs = (Denoiser,)
    guides = True

    def __init__(
        self,
        classifier: str | None = None,
        sampler: str = "ddim",
        steps: int | None = 50,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.classifier, self.sampler, self.steps = classifier, sampler, steps
        self.options = {**({} if steps is None else {"steps": steps}), **(options or {})}
        self._classifier: NoisyClassifier | None = None

    def conditions(self, model: Model) -> Mapping[str, ConditionSpec]:
        if self.classifier is None:
            return model.conditions
        return {"label": ConditionSpec.label(self._loaded().classes)}

    def fits(self, model: Denoiser) -> str | None:
        assert isinstance(model, Model)
        if not model.path.independent:
            return "needs the score, and this path couples noise and data"
        if (reason := inner_misfit(model, self.sampler, self.options)) is not None:
            return reason
        if self.classifier is not None and self._loaded().space != model.space:
            return f"cannot use classifier = {self.classifier!r}: it is of other data than this model's"
        return None

    def draw(self, model: Denoiser, call: Call) -> Values:
        assert isinstance(model, Model)
        inner = make_sampler(model, self.sampler, **self.options)
        if self.classifier is None:
            return inner.draw(model, call)
        if call.condition is None or "label" not in call.condition:
            raise ConditionError("classifier guidance needs a label to guide to; give one with --label")
        classifier = self._loaded().to(call.streams.device)
        with torch.inference_mode(False):
            label = call.condition["label"].clone()  # a clone made outside of inference mode, as gradients require
        likelihood = log_likelihood(classifier, model, label)
        return inner.draw(Guided(model, likelihood, call.guidance), replace(call, condition=None, guidance=1.0))

    def evaluations(self, steps: int) -> int:
        return inner_evaluations(self.sampler, steps)

    def _loaded(self) -> NoisyClassifier:
        if self._classifier is None:
            assert self.classifier is not None
            with torch.inference_mode(False):  # tensors made in inference mode have no gradients
                found = load(self.classifier)
            if not isinstance(found, NoisyClassifier):
                raise IncompatibleError(f"classifier = {self.classifier!r} is no classifier of noisy data")
            self._classifier = found
        return self._classifier
