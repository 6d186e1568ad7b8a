"""Checks encoders and decoders of latent codes."""

from __future__ import annotations

import copy

import torch

from zoo_core.interfaces import LatentVariable, Model
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import encodes, streams_for
from zoo_core.testing.check import ConformanceError, check, require
from zoo_core.testing.subjects import ModelSubject

INVERSE_SLACK = 1e-3
"""Allowed error of an inverse, relative to the largest value, for a deep invertible network or the steps of an ODE."""


@check("model", needs=("LatentVariable",))
def check_encode_and_decode_have_shapes(subject: ModelSubject) -> None:
    """``decode`` of n drawn codes is ``(n, *space.shape)``; ``encode`` of data has the shape of drawn codes; finite.

    ``encode`` of a model without an encoder must raise a TypeError.
    """
    model, n = subject.model, 3
    assert isinstance(model, LatentVariable)
    batch, expected = tiny_data.batch(model, n), (n, *tiny_data.shape_of(model.space))
    with torch.inference_mode():
        z = model.draw_latent(streams_for(model, n))
        require(len(z) == n, f"{subject.name}: draw_latent of {n} streams has shape {tuple(z.shape)}")
        _check_tensor(subject, "decode(z)", model.decode(z, condition=batch.condition), expected)
        if not encodes(model):
            _check_says_so(subject, model, batch.x)
            return
        code = model.encode(batch.x, condition=batch.condition)
        _check_tensor(subject, "encode(x)", code, tuple(z.shape))
        _check_tensor(subject, "decode(encode(x))", model.decode(code, condition=batch.condition), expected)


def _check_tensor(subject: ModelSubject, what: str, value: torch.Tensor, shape: tuple[int, ...]) -> None:
    require(tuple(value.shape) == shape, f"{subject.name}: {what} has shape {tuple(value.shape)}; expected {shape}")
    require(bool(torch.isfinite(value).all()), f"{subject.name}: {what} is not finite")


def _check_says_so(subject: ModelSubject, model: LatentVariable, x: torch.Tensor) -> None:
    try:
        model.encode(x)
    except TypeError:
        return
    raise ConformanceError(f"{subject.name}: encode gave an answer and is not the model's own; override it")


@check("model", needs=("LatentVariable",))
def check_codes_are_of_each_sample_alone(subject: ModelSubject) -> None:
    """Row i of ``decode`` and ``encode`` does not depend on the other rows, within 1e-4 of the largest value."""
    model, n = subject.model, 3
    assert isinstance(model, LatentVariable)
    batch, last = tiny_data.batch(model, n), tiny_data.condition(model, n - 1, n)
    with torch.inference_mode():
        z = model.draw_latent(streams_for(model, n))
        pairs = {"decode": (model.decode(z, condition=batch.condition), model.decode(z[n - 1 :], condition=last))}
        if encodes(model):
            pairs["encode"] = (
                model.encode(batch.x, condition=batch.condition),
                model.encode(batch.x[n - 1 :], condition=last),
            )
    for what, (whole, alone) in pairs.items():
        gap, slack = (whole[n - 1 :] - alone).abs().max().item(), 1e-4 * max(1.0, whole.abs().max().item())
        require(gap <= slack, f"{subject.name}: {what} of a row differs by {gap:.3g} alone and among others")


def _is_invertible(subject: ModelSubject) -> bool:
    return bool(subject.plan.invertible)


@check("model", needs=("LatentVariable",), when=_is_invertible)
def check_decode_inverts_encode(subject: ModelSubject) -> None:
    """decode(encode(x)) = x for any data, and encode(decode(z)) = z for its own codes, in float64 within 1e-3.

    The error is relative to the largest value; a flow by a differential equation has about this error.  The check uses
    float64, because a deep map may be so steep far from its data that float32 cannot show whether it is inverted.
    """
    model, n = subject.model, 16
    assert isinstance(model, LatentVariable)
    assert isinstance(model, Model)
    exact = copy.deepcopy(model).double()
    batch = tiny_data.batch(exact, n)
    condition = batch.condition
    with torch.inference_mode():
        x_again = exact.decode(exact.encode(batch.x, condition=condition), condition=condition)
        z = exact.draw_latent(streams_for(exact, n))
        z_again = exact.encode(exact.decode(z, condition=condition), condition=condition)
    for what, value, again in (("decode(encode(x))", batch.x, x_again), ("encode(decode(z))", z, z_again)):
        gap, slack = (value - again).abs().max().item(), INVERSE_SLACK * max(1.0, value.abs().max().item())
        require(
            gap <= slack, f"{subject.name}: {what} is {gap:.3g} away from where it began; expected at most {slack:.3g}"
        )
