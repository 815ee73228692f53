"""The CRDs are the reference: each field has an example, each rule is tried by a manifest, and Python reads the same fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo

from contracts.schemas import CRDS, ROOT, VECTORS, Rule, Schema, complaints, find_rules, load_crds, read_example, schema_of, walk
from grantkeeper.core.servers import FEATURES
from grantkeeper.resources import GROUP, VERSION, OAuthConnector, UserGrant

MODELS: dict[str, Any] = {"OAuthConnector": OAuthConnector, "UserGrant": UserGrant}
PLAIN = {str: "string", int: "integer", bool: "boolean", datetime: "string", dict: "object", Mapping: "object", tuple: "array"}
WRITTEN_BY_THE_API_SERVER = {".apiVersion", ".kind", ".metadata"}

FIELDS = [
    pytest.param(schema, id=f"{kind}{path}")
    for kind in MODELS
    for path, schema in walk(schema_of(kind))
    if path not in WRITTEN_BY_THE_API_SERVER
]


def manifests(folder: Path, pattern: str = "*.yaml") -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(folder))) for path in sorted(folder.rglob(pattern))]


def judge(manifest: dict[str, Any]) -> list[str]:
    return list(complaints(schema_of(manifest["kind"]), manifest))


def ours(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document and document["apiVersion"] == f"{GROUP}/{VERSION}"]


# CRDs and documentation


@pytest.mark.parametrize("schema", FIELDS)
def test_field_is_described_with_an_example_that_it_accepts(schema: Schema) -> None:
    assert list(complaints(schema, read_example(schema))) == []


@pytest.mark.parametrize("schema", FIELDS)
def test_default_is_said_because_kubectl_explain_does_not_show_it(schema: Schema) -> None:
    if schema["type"] != "object" and "default" in schema:
        assert "default" in schema["description"].rpartition("Example: ")[0]


@pytest.mark.parametrize("schema", FIELDS)
def test_field_is_bounded(schema: Schema) -> None:
    if schema["type"] == "array":
        assert {"maxItems", "x-kubernetes-list-type"} <= schema.keys()
    if "additionalProperties" in schema:
        assert "maxProperties" in schema
        assert "maxLength" in schema["additionalProperties"]
    if schema["type"] == "string":
        assert {"maxLength", "enum", "format"} & schema.keys()


@pytest.mark.parametrize("kind", MODELS)
def test_column_shows_a_field_that_is_there(kind: str) -> None:
    paths = {path for path, _ in walk(schema_of(kind))} | {".metadata.creationTimestamp"}
    (version,) = load_crds()[kind]["spec"]["versions"]
    shown = [re.sub(r"\[\?\(.*?\)\]", "[]", column["jsonPath"]) for column in version["additionalPrinterColumns"]]
    assert set(shown) <= paths


def test_documentation_shows_an_example_of_each_kind_that_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (CRDS / "README.md").read_text(), re.DOTALL)
    shown = [manifest for block in blocks for manifest in ours(block)]
    assert {manifest["kind"] for manifest in shown} == MODELS.keys()
    assert [judge(manifest) for manifest in shown] == [[] for _ in shown]


@pytest.mark.parametrize("path", manifests(ROOT / "examples"))
def test_example_is_valid(path: Path) -> None:
    assert [judge(manifest) for manifest in ours(path.read_text()) if judge(manifest)] == []


def test_features_are_told_in_the_order_of_the_crd() -> None:
    server = schema_of("OAuthConnector")["properties"]["status"]["properties"]["server"]
    assert list(FEATURES) == server["properties"]["features"]["items"]["enum"]


# CRDs and test vectors


@pytest.mark.parametrize("rule", [pytest.param(rule, id=f"{rule.kind}.{rule.path}: {rule.message}") for rule in find_rules()])
def test_rule_is_documented_and_tried(rule: Rule) -> None:
    assert rule.message in (CRDS / "README.md").read_text()
    vectors = [path.read_text() for path in (VECTORS / "invalid").glob("*.yaml")]
    tried = [text.splitlines()[0] for text in vectors if f"kind: {rule.kind}\n" in text and rule.message in text.splitlines()[0]]
    says_the_same = [other for other in find_rules() if other.message == rule.message]
    assert [line for line in tried if len(says_the_same) == 1 or rule.path in line]


@pytest.mark.parametrize("path", manifests(VECTORS / "valid"))
def test_valid_manifest_keeps_every_bound(path: Path) -> None:
    assert judge(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("path", manifests(VECTORS / "invalid"))
def test_invalid_manifest_breaks_a_bound_or_is_left_to_a_rule(path: Path) -> None:
    text = path.read_text()
    *before, refused = yaml.safe_load_all(text)
    left_to_a_rule = any(rule.message in text.splitlines()[0] for rule in find_rules())
    assert [judge(manifest) for manifest in before] in ([], [[]])
    assert bool(judge(refused)) is not left_to_a_rule


# CRDs and models


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_model_reads_the_fields_of_the_crd(kind: str, part: str) -> None:
    model = _fields_of(MODELS[kind])[part].annotation
    assert list(differences(schema_of(kind)["properties"][part], model, part)) == []


def differences(schema: Schema, annotation: Any, path: str) -> Iterator[str]:
    """Where a field of the CRD and the type that reads it do not say the same."""
    annotation = _without_none(annotation)
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_pydantic_dataclass(annotation)):
        yield from _differences_of_model(schema, annotation, path)
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        if set(schema.get("enum", ())) != set(annotation):
            yield f"{path}: {annotation.__name__} has other values than the CRD"
    elif PLAIN[get_origin(annotation) or annotation] != schema["type"]:
        yield f"{path}: {annotation} reads {schema['type']}"
    elif schema["type"] == "array":
        yield from differences(schema["items"], get_args(annotation)[0], f"{path}[]")
    elif annotation is datetime and schema.get("format") != "date-time":
        yield f"{path}: a time in Python only"


def _fields_of(model: Any) -> dict[str, FieldInfo]:  # a model, or a dataclass
    return dict(model.__pydantic_fields__)


def _differences_of_model(schema: Schema, model: Any, path: str) -> Iterator[str]:
    fields = {field.alias or name: field for name, field in _fields_of(model).items()}
    properties = schema.get("properties", {})
    yield from (f"{path}.{name}: in the CRD only" for name in properties.keys() - fields.keys())
    yield from (f"{path}.{name}: in the model only" for name in fields.keys() - properties.keys())
    for name in properties.keys() & fields.keys():
        field, inner = fields[name], properties[name]
        annotation: Any = field.annotation
        yield from differences(inner, annotation, f"{path}.{name}")
        if field.is_required():
            if name not in schema.get("required", ()):
                yield f"{path}.{name}: the model requires it, the CRD does not"
            continue
        default = field.get_default(call_default_factory=True)
        if "default" in inner and TypeAdapter(annotation).validate_python(inner["default"]) != default:
            yield f"{path}.{name}: the default is another"
        if "default" not in inner and default not in (None, (), {}, ""):
            yield f"{path}.{name}: the model has a default, the CRD has none"


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in {Union, UnionType}:
        (annotation,) = (inner for inner in get_args(annotation) if inner is not NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
