"""The four interfaces (model, objective, sampler, metric) and what they speak of."""

from zoo_core.interfaces.condition import Condition, ConditionSpec
from zoo_core.interfaces.metric import Metric, Result
from zoo_core.interfaces.model import (
    CAPABILITIES,
    Denoiser,
    Density,
    DirectSampler,
    EnergyBased,
    LatentVariable,
    Model,
    SampleSpace,
    Translator,
    capabilities,
)
from zoo_core.interfaces.objective import Batch, GradientObjective, Loss, StatisticsObjective
from zoo_core.interfaces.sampler import Frame, Observer, Sampler
from zoo_core.paths import GaussianPath, Prediction
from zoo_core.randomness import Streams

__all__ = [
    "CAPABILITIES",
    "Batch",
    "Condition",
    "ConditionSpec",
    "Denoiser",
    "Density",
    "DirectSampler",
    "EnergyBased",
    "Frame",
    "GaussianPath",
    "GradientObjective",
    "LatentVariable",
    "Loss",
    "Metric",
    "Model",
    "Observer",
    "Prediction",
    "Result",
    "SampleSpace",
    "Sampler",
    "StatisticsObjective",
    "Streams",
    "Translator",
    "capabilities",
]
