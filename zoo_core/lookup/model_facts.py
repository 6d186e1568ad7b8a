"""Reads the facts off a built model that :mod:`zoo_core.lookup.compatibility` compares with requirements."""

from __future__ import annotations

from zoo_core.files.formats import has_picture
from zoo_core.interfaces import Composition, Denoiser, Density, EnergyBased, LatentVariable, Model, can

__all__ = ["read_facts"]


def read_facts(model: Model) -> tuple[str, ...]:
    """Lists the facts about a built model in alphabetical order.

    ``!Density`` means that this model lacks a capability that its family declares.
    """
    space = model.space
    facts = {space.kind} | {f"!{name}" for name in model.lacks()}
    shape = space.shape
    drawn = model.inner if isinstance(model, Composition) else model  # what samplers draw from
    says = {
        "open": space.open_axis is not None,
        "plane": space.kind == "points" and shape == (2,),
        "pictured": has_picture(space),
        "grey": space.kind == "image" and shape[0] == 1,
        "rgb": space.kind == "image" and shape[0] == 3,
        "numeric": space.is_numeric,
        "bounded": space.low is not None,
        "black-and-white": model.binarises and isinstance(model, EnergyBased),
        "coupled": isinstance(drawn, Denoiser) and not drawn.path.independent,
        "blind-at-start": isinstance(drawn, Denoiser)
        and drawn.prediction in ("noise", "score")
        and drawn.path.alpha(drawn.path.t_max) == 0.0,
        "exact": can(model, Density) and model.log_prob_is == "exact",
        "many-passes": can(model, Density) and model.many_passes,
        "discrete": model.discrete,
        "binarises": model.binarises,
        "missing": model.takes_missing,
        "importance": hasattr(model, "importance_log_prob"),
        "encoder": isinstance(model, LatentVariable) and type(model).encode is not LatentVariable.encode,
        "chains": isinstance(model, EnergyBased) and model.persistent_chains() is not None,
        "conditional": bool(model.conditions),
    }
    return tuple(sorted(facts | {fact for fact, true in says.items() if true}))
