"""Checks that a model can be moved to other devices and number formats."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.interfaces import Density
from zoo_core.interfaces.values import finite_rows
from zoo_core.testing.behaviour import answers
from zoo_core.testing.check import ConformanceError, check, require, skip
from zoo_core.testing.comparing import gap, largest
from zoo_core.testing.subjects import ModelSubject

FLOAT32_SLACK = 1e-3
"""Allowed difference between float32 and float64 outputs, relative to the largest value.

float32 has a precision of 1e-7, of which a deep network loses three digits.
"""

RANDOM = ("sample", "draw", "draw_latent", "decode", "gibbs_step")
"""Outputs that depend on random numbers, which differ between floating types."""


@check("model")
def check_tensors_are_parameters_or_buffers(subject: ModelSubject) -> None:
    """Every tensor of a module is a parameter or a buffer, so that ``.to()`` and the EMA include it.

    A plain attribute would stay on the CPU when the model moves, which nobody notices on a machine without accelerator.
    """
    left = sorted(_plain_tensors(subject.model))
    require(not left, f"{subject.name}: {', '.join(left)} is a plain tensor; use register_buffer(…, persistent=False)")
    moved = copy.deepcopy(subject.model).to("meta")
    stayed = [name for name, value in moved.state_dict().items() if value.device.type != "meta"]
    require(not stayed, f"{subject.name}: {', '.join(stayed)} stayed behind when the model moved")


@check("model")
def check_moves_to_float64(subject: ModelSubject) -> None:
    """The model works after ``.double()``: samples, log-probabilities, codes and predictions are float64 and finite.

    Outputs without random numbers (codes of data, predictions, exact log-probabilities) agree with those in float32
    within 1e-3 of the largest value.  Random numbers of different types are different numbers.
    """
    before = answers(subject, subject.model)
    try:
        after = answers(subject, copy.deepcopy(subject.model).double())
    except (RuntimeError, TypeError) as err:
        reason = " ".join(str(err).split())
        raise ConformanceError(
            f"{subject.name} fails in float64: {reason}; make new tensors with the dtype of those at hand"
        ) from err
    for name, value in after.items():
        if value.is_floating_point():
            require(
                value.dtype == torch.float64,
                f"{subject.name}: {name} is {value.dtype} where the model is float64; keep the type of the input",
            )
            require(bool(finite_rows(value).all()), f"{subject.name}: {name} is not finite in float64")
        if not _depends_on_chance(subject, name):
            apart, size = gap(value, before[name]), max(1.0, largest(before[name]))
            require(
                apart <= FLOAT32_SLACK * size,
                f"{subject.name}: {name} in float64 is {apart:.3g} from float32, of {size:.3g}; expected rounding only",
            )


@check("model")
def check_same_answers_on_an_accelerator(subject: ModelSubject) -> None:
    """On cuda or mps the model gives what it gives on the CPU, within 1e-2 of the largest value.

    Random numbers, and so samples, are equal on all devices up to rounding; accelerators may multiply matrices with a
    precision of 10 bits (TF32).  The check is skipped if there is no accelerator.
    """
    device = accelerator()
    if device is None:
        skip("neither cuda nor mps on this machine")
    here = answers(subject, subject.model)
    there = answers(subject, copy.deepcopy(subject.model).to(device))
    for name, value in here.items():
        apart, size = gap(value, there[name].cpu()), max(1.0, largest(there[name]))
        require(apart <= 1e-2 * size, f"{subject.name}: {name} on {device} is {apart:.3g} from the CPU, of {size:.3g}")


def accelerator() -> str | None:
    """Returns the accelerator to compare with the CPU; ``None`` if there is none."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None


def _depends_on_chance(subject: ModelSubject, name: str) -> bool:
    model = subject.model
    if name == "log_prob":
        return isinstance(model, Density) and model.log_prob_is != "exact"
    return name in RANDOM or name.startswith("predict")  # noisy data is drawn too


def _plain_tensors(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_buffers", "_modules") and any(_tensors(value)):
                yield f"{name}.{attribute}".lstrip(".")


def _tensors(value: Any) -> Iterator[bool]:
    if isinstance(value, Tensor):
        yield True
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
