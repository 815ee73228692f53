"""The CRDs as tests read them, and what their structural schemas say of a value without asking an API server.

CEL rules are judged by the real API server alone, in `cluster/test_crds.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
VECTORS = ROOT / "tests" / "vectors" / "crds"

Schema = dict[str, Any]

KINDS: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
BOUNDS = (
    "pattern",
    "enum",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "format",
)


class Rule(NamedTuple):
    """One CEL rule: where it stands and what it says."""

    kind: str
    path: str
    message: str


@cache
def load_crds() -> dict[str, dict[str, Any]]:
    """Read the CRDs, by kind."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    return {crd["spec"]["names"]["kind"]: crd for crd in crds}


def schema_of(kind: str) -> Schema:
    """Read the schema of whole objects of a kind."""
    (version,) = load_crds()[kind]["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every property at any depth, with its path; items of lists are `path[]`."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from walk(inner, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


@cache
def find_rules() -> list[Rule]:
    """Every CEL rule of every CRD."""
    return [
        Rule(kind, place.removeprefix("."), rule["message"])
        for kind in load_crds()
        for path, schema in walk(schema_of(kind))
        for place, judged in ((path, schema), (f"{path}[]", schema.get("items", {})))
        for rule in judged.get("x-kubernetes-validations", ())
    ]


def read_example(schema: Schema) -> object:
    """The value after `Example:` in a description; ValueError where there is none."""
    _, found, example = schema.get("description", "").rpartition("Example: ")
    if not found:
        raise ValueError("a description without an example")
    return yaml.load(example, Loader=yaml.BaseLoader if schema["type"] == "string" else yaml.SafeLoader)  # noqa: S506  # a plain loader of strings


def complaints(schema: Schema, value: object, path: str = "") -> Iterator[str]:
    """What is wrong with a value, in sentences; nothing where it fits."""
    kind = schema["type"]
    if not isinstance(value, KINDS[kind]) or (kind == "integer" and isinstance(value, bool)):
        yield f"{path} is not of type {kind}"
        return
    yield from (
        f"{path} breaks {bound}: {schema[bound]}" for bound in BOUNDS if bound in schema and not _keeps(bound, schema[bound], value)
    )
    if isinstance(value, list):
        yield from _complaints_of_list(schema, value, path)
    if isinstance(value, dict):
        yield from _complaints_of_object(schema, value, path)


def _complaints_of_list(schema: Schema, values: list[Any], path: str) -> Iterator[str]:
    for index, item in enumerate(values):
        yield from complaints(schema["items"], item, f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys")
    seen = [tuple(item.get(key) for key in keys) for item in values] if keys else values
    if len({str(item) for item in seen}) < len(seen):
        yield f"{path} says something twice"


def _complaints_of_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name} is required" for name in schema.get("required", ()) if name not in value)
    for name, inner in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if known is not None:
            yield from complaints(known, inner, f"{path}.{name}")
        elif "properties" in schema:
            yield f"{path}.{name} is unknown"


def _keeps(bound: str, limit: Any, value: Any) -> bool:  # what the bound says of it
    match bound:
        case "pattern":
            return re.search(limit, value) is not None
        case "enum":
            return value in limit
        case "minLength" | "minItems" | "minProperties":
            return bool(len(value) >= limit)
        case "maxLength" | "maxItems" | "maxProperties":
            return bool(len(value) <= limit)
        case "minimum":
            return bool(value >= limit)
        case "maximum":
            return bool(value <= limit)
        case "format" if limit == "byte":
            return _is_base64(value)
        case "format" if limit == "date-time":
            return _is_time(value)
        case _:
            return limit in {"int32", "int64"}


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
