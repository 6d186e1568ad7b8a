"""Writes the rules of registry files as a JSON Schema, which editors can use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.registry.keys import JSON_TYPES
from zoo_core.registry.schema import DATA, EVAL, ID, MODEL, RECIPE_READ, SAMPLER, SCHEMA, WEIGHTS, Key

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """Returns the schema of registry files (draft 2020-12); ``zoo registry schema`` prints it."""

    def table(keys: Mapping[str, Key], extra: bool = True) -> dict[str, Any]:
        return {
            "type": "object",
            "required": [name for name, key in keys.items() if key.required],
            "properties": {name: prop(key) for name, key in keys.items()},
            "additionalProperties": extra,
        }

    def prop(key: Key) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": JSON_TYPES[key.type], "description": key.doc}
        if key.pattern:
            schema["pattern"] = f"^(?:{key.pattern})$"
        if key.type is int:
            schema["minimum"] = 0
        if key.type is list:
            schema["items"] = {"type": JSON_TYPES[key.items]}
        return schema

    model = table(MODEL) | {"anyOf": [{"required": ["config"]}, {"required": ["source"]}]}
    model["properties"]["sampler"] |= table(SAMPLER)
    model["properties"]["weights"] |= table(WEIGHTS) | {
        "dependentRequired": {"repo_id": ["revision"], "revision": ["repo_id"]}
    }
    recipe = table(RECIPE_READ)
    recipe["properties"]["data"] |= table(DATA)
    model["properties"]["recipe"] |= recipe
    model["properties"]["eval"] = {"type": "array", "description": MODEL["eval"].doc, "items": table(EVAL)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "registry.toml of the zoo, schema 1",
        "type": "object",
        "required": ["schema"],
        "properties": {
            "schema": {"const": SCHEMA},
            "plugin": {
                "type": "object",
                "required": ["distribution"],
                "properties": {"distribution": {"type": "string"}},
            },
            "models": {"type": "object", "propertyNames": {"pattern": f"^(?:{ID})$"}, "additionalProperties": model},
            "deprecated": {"type": "object", "additionalProperties": {"type": "string"}},
            "families": {"type": "object", "additionalProperties": {"type": "string", "pattern": f"^(?:{ID})$"}},
            "first_party": {"type": "array", "items": {"type": "string"}},
        },
    }
