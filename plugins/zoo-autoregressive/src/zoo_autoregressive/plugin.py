"""Registers what zoo-autoregressive offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, their objectives and samplers."""
    can = ["Density", "DirectSampler", "Completer"]
    catalogue.family(
        "made",
        "zoo_autoregressive.made:MADE",
        "masked autoencoders of black and white images or other bits, with exact likelihood (Germain et al. 2015)",
        capabilities=can,
    )
    catalogue.family(
        "autoregressive-table",
        "zoo_autoregressive.table:AutoregressiveTable",
        "tables with missing cells, column by column in any order (Uria et al. 2014; Hoogeboom et al. 2022)",
        capabilities=can,
    )
    catalogue.objective(
        "masked-likelihood",
        "zoo_autoregressive.objective:MaskedLikelihood",
        "maximum likelihood of masked autoencoders, one mask after the other (Germain et al. 2015)",
        families=["made"],
    )
    catalogue.objective(
        "any-order",
        "zoo_autoregressive.any_order:AnyOrder",
        "prediction of the cells of a row from any of the others (Uria et al. 2014; Hoogeboom et al. 2022)",
        families=["autoregressive-table"],
    )
    catalogue.sampler(
        "any-order",
        "zoo_autoregressive.completion:AnyOrderCompletion",
        "completion of rows from any of their cells, one column after the other (Uria et al. 2014)",
        needs=["Density", "DirectSampler"],
        families=["autoregressive-table"],
    )
    catalogue.sampler(
        "particles",
        "zoo_autoregressive.completion:Particles",
        "completion of images from any of their pixels by weighted copies (Gordon, Salmond & Smith 1993)",
        needs=["Density", "DirectSampler"],
        families=["made"],
    )
