"""A preset and a connector: what is done with this server, and what is said where they name none."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from grantkeeper.choices import PKCE, ClientAuthentication, ScopeSeparator
from grantkeeper.core.catalogue import Preset
from grantkeeper.core.presets import Habits, UnknownProvider, find_habits
from grantkeeper.core.sealing import hash_connector
from grantkeeper.resources import EndpointsSpec, OAuthConnectorSpec

SOURCES = [{"title": "A page", "read": date(2026, 11, 21)}]
FORGE = Preset.model_validate(
    {
        "displayName": "Forge",
        "endpoints": {
            "authorization": "https://{host}/authorize",
            "token": "https://{host}/{realm}/token",
            "userinfo": "https://api.forge.example/user",
        },
        "parameters": {
            "host": {
                "description": "the host of your forge",
                "pattern": "[a-z.]+",
                "example": "git.example.com",
                "default": "forge.example",
            },
            "realm": {"description": "your realm", "pattern": "[a-z]+", "example": "main"},
        },
        "clientAuthentication": "ClientSecretPost",
        "pkce": "Disabled",
        "scopeSeparator": "Comma",
        "authorizationParameters": {"access_type": "offline", "prompt": "consent"},
        "tokenParameters": {"audience": "api"},
        "scopeDescriptions": {"read": "Read everything", "write": "Change everything"},
        "sources": SOURCES,
    }
)
LOGIN = Preset.model_validate({"displayName": "Login", "issuer": "https://login.example", "sources": SOURCES})
PRESETS = {"forge": FORGE, "login": LOGIN}
REALM = {"realm": "main"}


def connector(**spec: Any) -> OAuthConnectorSpec:
    body = {"clientID": "c", "clientSecretRef": {"name": "s"}, "consent": {"link": "Status"}, **spec}
    return OAuthConnectorSpec.model_validate({name: value for name, value in body.items() if value is not None})


def forge(**spec: Any) -> OAuthConnectorSpec:
    return connector(**{"provider": "forge", "parameters": REALM, **spec})


def endpoints(host: str = "forge.example", realm: str = "main") -> EndpointsSpec:
    return EndpointsSpec(
        authorization=f"https://{host}/authorize", token=f"https://{host}/{realm}/token", userinfo="https://api.forge.example/user"
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(connector(issuer="https://as.example"), Habits("https://as.example", None), id="no preset: as the standards have it"),
        pytest.param(
            connector(endpoints={"authorization": "https://as.example/a", "token": "https://as.example/t"}),
            Habits(None, EndpointsSpec(authorization="https://as.example/a", token="https://as.example/t")),
            id="no preset: endpoints",
        ),
        pytest.param(connector(provider="login"), Habits("https://login.example", None, display_name="Login"), id="a preset of few words"),
        pytest.param(
            forge(),
            Habits(
                None,
                endpoints(),
                ClientAuthentication.POST,
                PKCE.DISABLED,
                ScopeSeparator.COMMA,
                {"access_type": "offline", "prompt": "consent"},
                {"audience": "api"},
                "Forge",
                {"read": "Read everything", "write": "Change everything"},
            ),
            id="a preset that says everything",
        ),
        pytest.param(
            forge(
                parameters={"host": "git.example.com", "realm": "side"},
                clientAuthentication="ClientSecretBasic",
                pkce="S256",
                scopeSeparator="Space",
                authorizationParameters={"prompt": "none", "hd": "example.com"},
                tokenParameters={"audience": "other"},
                consent={"link": "Status", "displayName": "Our forge", "scopeDescriptions": {"read": "Look"}},
            ),
            Habits(
                None,
                endpoints("git.example.com", "side"),
                ClientAuthentication.BASIC,
                PKCE.S256,
                ScopeSeparator.SPACE,
                {"access_type": "offline", "prompt": "none", "hd": "example.com"},
                {"audience": "other"},
                "Our forge",
                {"read": "Look", "write": "Change everything"},
            ),
            id="what the connector says wins",
        ),
    ],
)
def test_find_habits(spec: OAuthConnectorSpec, expected: Habits) -> None:
    assert find_habits(spec, PRESETS) == expected


def test_a_public_client_proves_its_key_though_the_preset_knows_no_pkce() -> None:
    found = find_habits(forge(clientAuthentication="None", clientSecretRef=None), PRESETS)
    assert (found.client_authentication, found.pkce) == (ClientAuthentication.NONE, PKCE.S256)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param(
            connector(provider="frge"), "spec.provider frge names no preset of this release; there are forge, login.", id="no such preset"
        ),
        pytest.param(
            forge(parameters={}), "Preset forge needs spec.parameters.realm: your realm, such as main.", id="a parameter is missing"
        ),
        pytest.param(
            forge(parameters={**REALM, "hots": "x"}),
            "spec.parameters.hots is no parameter of preset forge; there are host, realm.",
            id="a parameter is misspelt",
        ),
        pytest.param(
            connector(provider="login", parameters={"host": "x"}),
            "spec.parameters.host is no parameter of preset login; there are none.",
            id="a preset without parameters",
        ),
        pytest.param(
            forge(parameters={"realm": "../x"}),
            "spec.parameters.realm does not fit preset forge: your realm, such as main.",
            id="a parameter that would lead elsewhere",
        ),
        pytest.param(
            forge(parameters={**REALM, "host": "evil.example/x"}),
            "spec.parameters.host does not fit preset forge: the host of your forge, such as git.example.com.",
            id="a host with a path",
        ),
        pytest.param(
            forge(parameters={**REALM, "host": "GIT.example.com"}),
            "spec.parameters.host does not fit preset forge: the host of your forge, such as git.example.com.",
            id="a host that the preset's own pattern does not admit",
        ),
    ],
)
def test_a_connector_that_names_no_server_is_told_what_there_is(spec: OAuthConnectorSpec, says: str) -> None:
    with pytest.raises(UnknownProvider) as raised:
        find_habits(spec, PRESETS)
    assert raised.value.reason == "UnknownProvider"
    assert str(raised.value).startswith(says)
    assert "delete this connector and create it anew" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"parameters": {"realm": "other"}}, False, id="another parameter"),
        pytest.param({"parameters": {**REALM, "host": "forge.example"}}, False, id="a default that is written out"),
        pytest.param({"provider": "login"}, False, id="another provider"),
        pytest.param({"pkce": "S256", "clientAuthentication": "ClientSecretBasic"}, True, id="another habit"),
    ],
)
def test_a_sealed_set_is_bound_to_provider_and_parameters(change: dict[str, Any], same: bool) -> None:
    assert (hash_connector(forge(**change)) == hash_connector(forge())) is same
