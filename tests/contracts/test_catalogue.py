"""The provider catalogue: each file says only what is known, and fits what the CRD lets a connector say."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from contracts.schemas import ROOT, Schema, complaints, schema_of
from grantkeeper.adapters.catalogue import load_presets
from grantkeeper.choices import ClientAuthentication
from grantkeeper.core.catalogue import Preset
from grantkeeper.core.outcomes import REASONS
from grantkeeper.core.presets import Habits, find_habits
from grantkeeper.resources import OAuthConnectorSpec

FILES = sorted((ROOT / "operator" / "grantkeeper" / "catalogue").iterdir())
PRESETS = load_presets()
SPEC: Schema = schema_of("OAuthConnector")["properties"]["spec"]["properties"]

WHERE_TOKENS_GO = {
    "github": {"github.com", "api.github.com"},
    "gitlab": {"{host}"},
    "google": {"accounts.google.com"},
    "microsoft": {"login.microsoftonline.com"},
}
"""Stored refresh tokens follow a preset's hosts. A line here may be added, and never changed: another host is another preset's."""
DEFAULTS = {("gitlab", "host"): "gitlab.com"}
"""The same holds for what a parameter is when nobody sets it."""

PLAIN: dict[str, Any] = {
    "displayName": "Example",
    "endpoints": {"authorization": "https://{host}/authorize", "token": "https://{host}/{path}/token"},
    "parameters": {
        "host": {"description": "the host", "pattern": "[a-z.]+", "example": "a.example"},
        "path": {"description": "a path", "pattern": ".+", "example": "x", "default": "y"},
    },
    "sources": [{"title": "A page", "read": date(2026, 11, 21)}],
}


def habits(name: str) -> Habits:
    """What a connector of this preset comes to, with the examples of its parameters."""
    examples = {key: parameter.example for key, parameter in PRESETS[name].parameters.items()}
    body = {"provider": name, "parameters": examples, "clientID": "c", "clientSecretRef": {"name": "s"}, "consent": {"link": "Status"}}
    return find_habits(OAuthConnectorSpec.model_validate(body), PRESETS)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in FILES])
def test_file_is_a_preset_and_nothing_more(file: Path) -> None:
    assert file.suffix == ".yaml"
    assert list(complaints(SPEC["provider"], file.stem)) == []
    assert PRESETS[file.stem] == Preset.model_validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("name", list(PRESETS))
def test_preset_sends_tokens_where_it_always_did(name: str) -> None:
    assert PRESETS[name].hosts == WHERE_TOKENS_GO[name]
    for key, parameter in PRESETS[name].parameters.items():
        assert parameter.default == DEFAULTS.get((name, key))


@pytest.mark.parametrize("name", list(PRESETS))
def test_preset_says_what_a_connector_could_say_itself(name: str) -> None:
    found = habits(name)
    said = {
        "authorizationParameters": dict(found.authorization_parameters),
        "tokenParameters": dict(found.token_parameters),
        "consent": {"link": "Status", "displayName": found.display_name, "scopeDescriptions": dict(found.scope_descriptions)},
        "clientAuthentication": str(found.client_authentication),
        "pkce": str(found.pkce),
        "scopeSeparator": str(found.scope_separator),
        "scopes": list(found.scope_descriptions),
    }
    said |= {"issuer": found.issuer} if found.issuer else {}
    said |= {"endpoints": found.endpoints.model_dump(exclude_none=True)} if found.endpoints else {}
    assert [complaint for field, value in said.items() for complaint in complaints(SPEC[field], value, field)] == []


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("field", ["authorizationParameters", "tokenParameters"])
def test_preset_sets_no_parameter_that_grantkeeper_sets_itself(name: str, field: str) -> None:
    (rule,) = SPEC[field]["x-kubernetes-validations"]
    ours = set(re.findall(r"'(\w+)'", rule["rule"]))
    found = habits(name)
    assert "client_id" in ours
    assert not ours & set(found.authorization_parameters if field == "authorizationParameters" else found.token_parameters)


@pytest.mark.parametrize("name", list(PRESETS))
def test_preset_repeats_no_error_that_is_known_of_all_servers(name: str) -> None:
    assert not REASONS & set(PRESETS[name].refusals)


def test_a_plain_preset_will_do() -> None:
    assert Preset.model_validate(PLAIN).hosts == {"{host}"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"colour": "blue"}, id="a member that nobody reads"),
        pytest.param({"sources": []}, id="nothing that it rests on"),
        pytest.param({"sources": [{"title": "A page"}]}, id="a page without the day on which it was read"),
        pytest.param({"issuer": "https://a.example"}, id="an issuer besides endpoints"),
        pytest.param({"endpoints": None}, id="no server"),
        pytest.param({"parameters": {}}, id="a placeholder that is no parameter"),
        pytest.param({"endpoints": {"authorization": "https://a.example/a", "token": "https://a.example/t"}}, id="a parameter for nothing"),
        pytest.param({"endpoints": {**PLAIN["endpoints"], "revocation": "http://a.example/r"}}, id="plain http"),
        pytest.param({"endpoints": {**PLAIN["endpoints"], "revocation": "https://{host}.example.com/r"}}, id="a part of a host"),
        pytest.param({"endpoints": {**PLAIN["endpoints"], "revocation": "https://a@{host}/r"}}, id="a user before the host"),
        pytest.param({"endpoints": {**PLAIN["endpoints"], "revocation": "https://a.example/r?x={path}"}}, id="a query"),
        pytest.param({"endpoints": {**PLAIN["endpoints"], "device": "https://{host}/d"}}, id="an endpoint that nobody asks"),
        pytest.param(
            {"parameters": {**PLAIN["parameters"], "host": {**PLAIN["parameters"]["host"], "default": "A/B"}}}, id="a bad default"
        ),
        pytest.param({"clientAuthentication": ClientAuthentication.NONE}, id="a client without a secret"),
        pytest.param({"scopeSeparator": "Plus"}, id="a separator that there is not"),
        pytest.param({"refusals": ["Token expired."]}, id="a refusal that is no error code"),
    ],
)
def test_preset_that_says_too_much_or_too_little_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Preset.model_validate({**PLAIN, **change})


@pytest.mark.parametrize(
    "value", ["", "/", "..", "a/b", "a\\b", "a@b", "a?b", "a#b", "a%2fb", "a b", "a\n", "-a", "a.", "{a}", "a:b", "a:1:2", "ä"]
)
def test_no_value_leads_beyond_its_placeholder_whatever_the_pattern_says(value: str) -> None:
    assert not Preset.model_validate(PLAIN).parameters["path"].admits(value)
