"""The four interfaces (model, objective, sampler, metric) and the types that they exchange."""

from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.capabilities import (
    CAPABILITIES,
    Completer,
    Denoiser,
    Density,
    DirectSampler,
    EnergyBased,
    LatentVariable,
    Scorer,
    Translator,
    can,
    capabilities,
)
from zoo_core.interfaces.columns import Column, Encoding
from zoo_core.interfaces.composition import Composition
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.dataset import DataSet
from zoo_core.interfaces.metric import Metric, Result
from zoo_core.interfaces.model import Model
from zoo_core.interfaces.objective import Examples, GradientObjective, Loss, StatisticsObjective
from zoo_core.interfaces.sampler import Call, Frame, Observer, Sampler
from zoo_core.interfaces.space import SampleSpace
from zoo_core.interfaces.values import Ragged, Values
from zoo_core.paths import GaussianPath, Prediction
from zoo_core.randomness import Streams

__all__ = [
    "CAPABILITIES",
    "Batch",
    "Call",
    "Column",
    "Completer",
    "Composition",
    "Condition",
    "ConditionSpec",
    "DataSet",
    "Denoiser",
    "Density",
    "DirectSampler",
    "Encoding",
    "EnergyBased",
    "Examples",
    "Frame",
    "GaussianPath",
    "GradientObjective",
    "LatentVariable",
    "Loss",
    "Metric",
    "Model",
    "Observer",
    "Prediction",
    "Ragged",
    "Result",
    "SampleSpace",
    "Sampler",
    "Scorer",
    "StatisticsObjective",
    "Streams",
    "Translator",
    "Values",
    "can",
    "capabilities",
]
