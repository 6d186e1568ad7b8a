"""Defines schema 1 of ``registry.toml``; the validator, the JSON Schema and the reference are derived from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo_core.registry.keys import JSON_TYPES, Key, shown, table_problems, unreadable
from zoo_core.registry.spellings import SPELLINGS, twice

__all__ = ["DATA", "EVAL", "MODEL", "RECIPE", "RECIPE_READ", "SAMPLER", "WEIGHTS", "Key", "problems", "unknown_keys"]

SCHEMA = 1
ID = r"[a-z0-9]+(?:[-.][a-z0-9]+)*"
FILE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

MODEL = {
    "family": Key(str, "name of the family, as its plugin registers it", True, ID, "a name like ddpm"),
    "plugin": Key(str, "distribution that provides the family [as `families` says]", False, ID, "a name like zoo-ddpm"),
    "config": Key(dict, "keyword arguments of the family's class; required without a source"),
    "source": Key(
        str,
        "repository of another library's format that has config and weights; without a commit, the first load pins it",
        False,
        r"hf:[\w.-]+/[\w.-]+(@[0-9a-f]{40})?",
        "'hf:org/name' or 'hf:org/name@COMMIT'",
    ),
    "summary": Key(str, "description of the model in one line", True),
    "dataset": Key(str, "data set that the model was trained on"),
    "license": Key(str, "licence of the weights, as an SPDX identifier"),
    "paper": Key(str, "paper that describes the method", False, r"(arXiv|doi):\S+", "'arXiv:…' or 'doi:…'"),
    "tags": Key(list, "words that `zoo list --tag` finds the model by"),
    "facts": Key(list, "facts about the built model that listings need; training and release write them"),
    "parameters": Key(int, "number of learned parameters"),
    "sampler": Key(dict, "default sampler, with its options"),
    "recipe": Key(dict, "settings of the training that made the weights"),
    "weights": Key(dict, "file of the weights, its hash, and where it is found"),
    "eval": Key(list, "measured numbers, each with the settings that it was measured with"),
}

SAMPLER = {"name": Key(str, "name of the sampler; the other keys are its options", True, ID, "a name like ddim")}

WEIGHTS = {
    "file": Key(str, "name of the file in the snapshot", True, FILE, "a plain file name (no folder, no '..')"),
    "sha256": Key(str, "SHA-256 hash of the file", True, r"[0-9a-f]{64}", "64 hex digits"),
    "size": Key(int, "size of the file in bytes", True),
    "bundled": Key(bool, "whether the plugin's package contains the file [false]"),
    "repo_id": Key(str, "repository on the Hub", False, r"[\w.-]+/[\w.-]+", "'org/name'"),
    "revision": Key(str, "commit of the repository, not a branch", False, r"[0-9a-f]{40}", "a commit of 40 hex digits"),
}

EVAL = {
    "metric": Key(str, "name of the metric", True, ID, "a name like nll"),
    "value": Key(float, "measured value", True),
    "stderr": Key(float, "standard error of the value", True),
    "unit": Key(str, "unit of the value, such as nats or bits/dim"),
    "n": Key(int, "number of examples or samples that were measured", True),
    "dataset": Key(str, "data set and split that the model was measured against, as name/split", True),
    "sampler": Key(str, "sampler that drew the samples [the model's default]", False, ID, "a name like ddim"),
    "steps": Key(int, "solver steps of the sampler [the sampler's own]"),
    "nfe": Key(int, "network evaluations per sample, given in place of steps"),
    "options": Key(dict, "other options of the sampler [the sampler's own]"),
    "seed": Key(int, "seed of the samples, the order of the examples, dequantisation and noise", True),
    "protocol": Key(str, "other settings of the measurement, in words"),
    "anchors": Key(dict, "baselines for the value, measured with the same settings, such as the floor of real data"),
}

RECIPE = {
    "objective": Key(str, "registered name of the objective", True, ID, "a name like elbo"),
    "objective_options": Key(dict, "arguments of the objective's constructor"),
    "data": Key(dict, "data set, and the part of it to train on", True),
    "seed": Key(int, "seed of all random numbers of the run [0]"),
    "start": Key(str, "model whose weights training starts from [newly initialised weights]"),
    "how": Key(str, "sentence about how the weights were made, for the model card"),
    "stopped": Key(int, "step or iteration at which the run was ended early [the last]"),
    "steps": Key(int, "number of optimiser steps [1000]"),
    "batch": Key(int, "examples in a step, over all processes; for a statistics objective, at once [64; all]"),
    "optimiser": Key(
        str,
        "algorithm of the steps; `optimizer` is read too [adam]",
        False,
        "adam|adamw|adamax|sgd",
        "adam, adamw, adamax or sgd",
    ),
    "lr": Key(float, "learning rate, at its greatest [1e-3]"),
    "betas": Key(list, "decay rates of the optimiser's moments [0.9, 0.99]", items=float),
    "weight_decay": Key(float, "weight decay of adamw [0]"),
    "warmup": Key(int, "number of steps of linear warm-up [0]"),
    "decay": Key(
        str,
        "decay of the learning rate after the warm-up [cosine]",
        False,
        "cosine|linear|none",
        "cosine, linear or none",
    ),
    "clip": Key(float, "norm to which the gradient of each player is clipped [none]"),
    "ema": Key(float, "decay of the EMA of the weights, which becomes the trained model [none]"),
    "precision": Key(
        str,
        "number format of matrix products [float32]",
        False,
        "float32|tf32|bfloat16",
        "float32, tf32 or bfloat16",
    ),
    "augment": Key(list, "augmentations of images: flip [none]"),
    "players": Key(dict, "table of lr and betas for each player, such as a GAN's generator [lr and betas above]"),
    "iterations": Key(int, "greatest number of passes over the data, for a statistics objective [100]"),
    "tolerance": Key(
        float, "growth of the mean log-likelihood, in nats, below which a statistics objective stops [1e-4]"
    ),
    "restarts": Key(int, "number of runs of a statistics objective, the best of which is kept [1]"),
}

RECIPE_READ = {**RECIPE, **{other: RECIPE[key] for other, key in SPELLINGS.items()}}
"""The keys that are read in a recipe: those of :data:`RECIPE`, which are written, and their other spellings."""

DATA = {
    "name": Key(str, "registered name of the data set", True, ID, "a name like mnist"),
    "split": Key(str, "split of the data set: train or test [train]", False, "train|test", "train or test"),
    "classes": Key(list, "labels of the examples that are used [all]", items=int),
    "n": Key(int, "number of points to generate from a density, or of first examples of a data set [all]"),
    "path": Key(str, "folder, archive or file of the reader's own data, or hf:ORG/SET@REVISION [a registered set]"),
    "sha256": Key(str, "fingerprint that the data at the path must have", False, r"[0-9a-f]{64}", "64 hex digits"),
    "held_out": Key(float, "share of the reader's own examples that is kept for testing [0.1]"),
    "missing": Key(str, "what is done with rows that have missing cells [keep]", False, "keep|drop", "keep or drop"),
    "reader": Key(dict, "how the reader's own files become numbers, and back [found when they are read]"),
}

_TOP = {"schema", "plugin", "families", "models", "deprecated", "first_party"}


def problems(data: Mapping[str, Any], file: str, *, fragment: bool = False, snapshot: bool = False) -> list[str]:
    """Lists everything that is wrong with a parsed registry file, each as ``file: table.key: problem``.

    Args:
        data: parsed content of the file.
        file: name of the file in messages.
        fragment: whether the file is a plugin's registry file, which must name its distribution.
        snapshot: whether it is the ``config.json`` of a snapshot, whose weights are in the same folder.
    """
    found = _problems(data, fragment, snapshot)
    return [f"{file}: {where if len(where) <= 120 else where[:120] + '…'}: {what}" for where, what in found]


def _problems(data: Mapping[str, Any], fragment: bool, snapshot: bool) -> Iterator[tuple[str, str]]:
    if what := unreadable(data):
        yield what
        return
    if data.get("schema") != SCHEMA or isinstance(data["schema"], bool):
        schema = shown(data.get("schema"))
        yield "schema", f"{schema} is not supported; this zoo reads schema = {SCHEMA} (upgrade zoo-core?)"
        return
    for name, kind in (("plugin", dict), ("families", dict), ("deprecated", dict), ("first_party", list)):
        if not isinstance(data.get(name, kind()), kind):
            yield name, f"expected {JSON_TYPES[kind]}, found {shown(data[name])}"
            return
    for old, new in data.get("deprecated", {}).items():
        if not isinstance(new, str):
            yield f"deprecated.{old}", f"expected the new id, found {shown(new)}"
    for family, distribution in data.get("families", {}).items():
        if not (isinstance(distribution, str) and re.fullmatch(ID, distribution, re.ASCII)):
            yield f"families.{family}", f"expected the distribution that provides it, found {shown(distribution)}"
    if not all(isinstance(name, str) for name in data.get("first_party", [])):
        yield "first_party", "expected an array of strings"
    if fragment and not isinstance(data.get("plugin", {}).get("distribution"), str):
        yield "plugin.distribution", "missing; a plugin's registry file names the distribution that it belongs to"
    models = data.get("models", {})
    if not isinstance(models, dict):
        yield "models", "expected tables [models.ID]"
        return
    for name, model in models.items():
        where = f"models.{name}"
        if not re.fullmatch(ID, name, re.ASCII):
            yield where, f"{shown(name)} is not an id like ddpm-mnist (lower case, digits, '-' and '.')"
        if not isinstance(model, dict):
            yield where, "expected a table"
            continue
        yield from table_problems(model, MODEL, where)
        yield from _config_or_source(model, where)
        for key, keys in (("sampler", SAMPLER), ("weights", WEIGHTS), ("recipe", RECIPE_READ)):
            if isinstance(model.get(key), dict):
                yield from table_problems(model[key], keys, f"{where}.{key}")
        recipe = model.get("recipe")
        if isinstance(recipe, dict) and (message := twice(recipe)):
            yield f"{where}.recipe", message
        if isinstance(recipe, dict) and isinstance(recipe.get("data"), dict):
            yield from table_problems(recipe["data"], DATA, f"{where}.recipe.data")
        weights = model.get("weights")
        if isinstance(weights, dict):
            if ("repo_id" in weights) != ("revision" in weights):
                yield f"{where}.weights.revision", "repo_id and revision go together: a repository is always pinned"
            if not snapshot and "repo_id" not in weights and not weights.get("bundled"):
                yield f"{where}.weights", "neither bundled = true nor a repo_id says where the file is; give one"
        rows = model.get("eval", [])
        for i, row in enumerate(rows if isinstance(rows, list) else []):
            yield from (
                table_problems(row, EVAL, f"{where}.eval[{i}]")
                if isinstance(row, dict)
                else [(f"{where}.eval[{i}]", "expected a table")]
            )


def _config_or_source(model: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Finds a model with neither a config nor a source, or with a source and what only the source says."""
    if "source" not in model:
        if "config" not in model:
            yield f"{where}.config", "missing; give the arguments of the family's class, or a source that has them"
        return
    for key in ("config", "weights", "recipe", "eval"):
        if key in model:
            yield f"{where}.{key}", "the source has it, or nothing is known of it; leave it out, or leave out source"


def unknown_keys(data: Mapping[str, Any], file: str) -> list[str]:
    """Lists warnings about keys that this version does not know; a newer version may have written them."""
    found = [key for key in data if key not in _TOP]
    for name, model in data.get("models", {}).items():
        found += [f"models.{name}.{key}" for key in model if key not in MODEL]
        found += [f"models.{name}.weights.{key}" for key in model.get("weights", {}) if key not in WEIGHTS]
        recipe = model.get("recipe", {})
        found += [f"models.{name}.recipe.{key}" for key in recipe if key not in RECIPE_READ]
        found += [f"models.{name}.recipe.data.{key}" for key in recipe.get("data", {}) if key not in DATA]
        found += [f"models.{name}.eval.{key}" for row in model.get("eval", []) for key in row if key not in EVAL]
    return [f"{file}: {key}: unknown key, ignored" for key in found]
