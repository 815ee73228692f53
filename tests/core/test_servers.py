"""What is told of a server: what its metadata says, or the spec has an endpoint for, and nothing that was guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grantkeeper.core.messages import Answer
from grantkeeper.core.metadata import from_spec, read_metadata
from grantkeeper.core.servers import FEATURES, show_server
from grantkeeper.resources import EndpointsSpec

ISSUER = "https://as.example.com"
LEAST = {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/a", "token_endpoint": f"{ISSUER}/t"}


def features_of(**document: Any) -> tuple[str, ...]:
    body = json.dumps({**LEAST, **document}).encode()
    answer = Answer(status=200, content_type="application/json", retry_after=None, body=body, date=None)
    return show_server(read_metadata(ISSUER, answer)).features


@pytest.mark.parametrize(
    ("document", "feature"),
    [
        pytest.param({"grant_types_supported": ["authorization_code", "refresh_token"]}, "Refresh", id="it lists refreshing"),
        pytest.param({"scopes_supported": ["openid", "offline_access"]}, "Refresh", id="it knows offline_access"),
        pytest.param({"revocation_endpoint": f"{ISSUER}/r"}, "Revocation", id="revocation"),
        pytest.param({"introspection_endpoint": f"{ISSUER}/i"}, "Introspection", id="introspection"),
        pytest.param({"device_authorization_endpoint": f"{ISSUER}/d"}, "DeviceFlow", id="device flow"),
        pytest.param({"id_token_signing_alg_values_supported": ["RS256"]}, "OpenIDConnect", id="ID tokens"),
        pytest.param({"pushed_authorization_request_endpoint": f"{ISSUER}/p"}, "PAR", id="pushed requests"),
        pytest.param({"dpop_signing_alg_values_supported": ["ES256"]}, "DPoP", id="bound tokens"),
    ],
)
def test_what_the_metadata_says_is_told(document: dict[str, Any], feature: str) -> None:
    assert features_of(**document) == (feature,)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing said"),
        pytest.param({"grant_types_supported": ["authorization_code"]}, id="other grant types"),
        pytest.param({"grant_types_supported": "refresh_token"}, id="a text where a list should be"),
        pytest.param({"dpop_signing_alg_values_supported": [], "device_authorization_endpoint": None}, id="empty"),
    ],
)
def test_what_is_not_said_is_not_told(document: dict[str, Any]) -> None:
    assert features_of(**document) == ()


def test_everything_is_told_in_one_order() -> None:
    whole = {
        "dpop_signing_alg_values_supported": ["ES256"],
        "pushed_authorization_request_endpoint": f"{ISSUER}/p",
        "device_authorization_endpoint": f"{ISSUER}/d",
        "revocation_endpoint": f"{ISSUER}/r",
        "introspection_endpoint": f"{ISSUER}/i",
        "grant_types_supported": ["refresh_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    assert features_of(**whole) == FEATURES


@pytest.mark.parametrize(("revocation", "told"), [(None, ()), (f"{ISSUER}/r", ("Revocation",))])
def test_of_a_server_without_metadata_the_endpoints_are_told(revocation: str | None, told: tuple[str, ...]) -> None:
    endpoints = EndpointsSpec(authorization=f"{ISSUER}/a", token=f"{ISSUER}/t", revocation=revocation)
    assert show_server(from_spec(endpoints)).features == told
