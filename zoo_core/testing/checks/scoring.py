"""Checks models with a statistic of their own for how unusual an example is."""

from __future__ import annotations

import torch

from zoo_core.interfaces import Scorer
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import check, require
from zoo_core.testing.subjects import ModelSubject


@check("model", needs=("Scorer",))
def check_score_is_of_each_sample_alone(subject: ModelSubject) -> None:
    """``score(x)`` is ``(n,)``, finite for data and reproducible; a row does not depend on the others, within 1e-4.

    ``score_is`` describes it in one line, since users are told what examples were scored by.
    """
    model, n = subject.model, 4
    assert isinstance(model, Scorer)
    words = getattr(model, "score_is", "")
    require(
        isinstance(words, str) and bool(words.strip()) and "\n" not in words,
        f"{subject.name}: score_is = {words!r}; expected one line that continues 'scored by …'",
    )
    batch = tiny_data.batch(model, n)
    with torch.inference_mode():
        whole = model.score(batch.x, condition=batch.condition, streams=streams_for(model, n))
        require(tuple(whole.shape) == (n,), f"{subject.name}: score has shape {tuple(whole.shape)}; expected ({n},)")
        require(bool(torch.isfinite(whole).all()), f"{subject.name}: the score of data is {whole.tolist()}; not finite")
        last = model.score(
            batch.x[n - 1 :], condition=tiny_data.condition(model, n - 1, n), streams=streams_for(model, 1, start=n - 1)
        )
        one, two = (model.score(batch.x[:1], condition=tiny_data.condition(model, 0, 1)) for _ in range(2))
    slack = 1e-4 * max(1.0, whole.abs().max().item())
    gap = (whole[-1:] - last).abs().max().item()
    require(gap <= slack, f"{subject.name}: the score of a row differs by {gap:.3g} alone and among others")
    require(torch.equal(one, two), f"{subject.name}: score without streams gives {one.item()}, then {two.item()}")
