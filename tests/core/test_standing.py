"""Connectors judged: what was found becomes conditions that say what to do."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem, Standing, judge_client_secret, judge_connector, let_lapse, note
from grantkeeper.resources import OAuthConnector

SERVER = Endpoints(authorization="https://as/a", token="https://as/t", issuer="https://as")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REJECTED, AWAY = Problem(Reason.CLIENT_REJECTED, "x"), Problem(Reason.UNREACHABLE, "x")
FOUND = Standing(endpoints=SERVER, is_judged=True)


def connector(**spec: Any) -> OAuthConnector:
    return OAuthConnector.read(
        {
            "metadata": {"name": "calendar", "namespace": "team", "uid": "u", "resourceVersion": "1"},
            "spec": {"clientID": "c", "clientSecretRef": {"name": "client"}, "consent": {"link": "Status"}, **spec},
        }
    )


def secret(value: bytes = b"s3cret", *, label: str = "calendar", key: str = "clientSecret") -> dict[str, Any]:
    return {"metadata": {"labels": {"grantkeeper.dev/connector": label}}, "data": {key: base64.b64encode(value).decode()}}


@pytest.mark.parametrize(
    ("standing", "reason", "stalled"),
    [
        pytest.param(Standing(), "Pending", False, id="not looked at"),
        pytest.param(FOUND, "Ready", False, id="all in order"),
        pytest.param(
            Standing(metadata_problem=Problem(Reason.DISCOVERY_FAILED, "x"), is_judged=True),
            "DiscoveryFailed",
            False,
            id="no metadata: it may come",
        ),
        pytest.param(
            Standing(metadata_problem=Problem(Reason.ISSUER_MISMATCH, "x"), is_judged=True),
            "IssuerMismatch",
            True,
            id="another issuer: a person must act",
        ),
        pytest.param(
            Standing(endpoints=SERVER, secret_problem=Problem(Reason.SECRET_NOT_FOUND, "x"), is_judged=True),
            "SecretNotFound",
            True,
            id="no client secret",
        ),
        pytest.param(
            Standing(endpoints=SERVER, fetch_problem=Problem(Reason.UNREACHABLE, "x"), is_judged=True),
            "Unreachable",
            False,
            id="the server is away",
        ),
    ],
)
def test_judge_connector(standing: Standing, reason: str, stalled: bool) -> None:
    verdicts = {verdict.type: verdict for verdict in judge_connector(standing)}
    assert verdicts["Ready"].reason == reason
    assert ("Stalled" in verdicts) is stalled
    assert standing.is_ready is (reason == "Ready")


@pytest.mark.parametrize(
    ("found", "reason", "says"),
    [
        pytest.param(None, "SecretNotFound", "create it", id="missing"),
        pytest.param(secret(label="mail"), "SecretNotOffered", "grantkeeper.dev/connector=calendar", id="offered to another connector"),
        pytest.param({"metadata": {}, "data": {}}, "SecretNotOffered", "label it", id="not labelled at all"),
        pytest.param(secret(key="other"), "SecretKeyMissing", "spec.clientSecretRef.key", id="another key"),
        pytest.param(secret(b"s3cret\n"), "SecretInvalid", "without a newline", id="a newline at the end, as echo leaves"),
        pytest.param(secret(b""), "SecretInvalid", "empty", id="empty"),
        pytest.param(secret("geheim\u00e4".encode()), "SecretInvalid", "ASCII", id="not ASCII"),
    ],
)
def test_a_client_secret_that_will_not_do_says_what_to_do(found: dict[str, Any] | None, reason: str, says: str) -> None:
    judged = judge_client_secret(connector(), found)
    assert isinstance(judged, Problem)
    assert judged.reason == reason
    assert says in judged.message
    assert "s3cret" not in judged.message


def test_a_client_secret_in_order_is_taken() -> None:
    assert judge_client_secret(connector(), secret()) == SecretStr("s3cret")


def test_a_public_client_has_none() -> None:
    public = connector(clientAuthentication="None", clientSecretRef=None)
    assert judge_client_secret(public, None) is None


def test_what_a_token_request_shows_counts_though_the_metadata_can_be_had() -> None:
    away = note(FOUND, AWAY, NOW)
    assert not away.is_ready
    assert judge_connector(away)[-1].reason == "Unreachable"
    assert note(away, None, NOW).is_ready


@pytest.mark.parametrize(
    ("problem", "generation", "after", "counts"),
    [
        pytest.param(REJECTED, 0, timedelta(minutes=9), True, id="rejected a while ago"),
        pytest.param(REJECTED, 0, timedelta(minutes=10), False, id="rejected long ago: the server may have been corrected"),
        pytest.param(REJECTED, 1, timedelta(0), False, id="rejected, and the spec has changed since"),
        pytest.param(AWAY, 0, timedelta(seconds=59), True, id="away a moment ago"),
        pytest.param(AWAY, 0, timedelta(minutes=1), False, id="away a minute ago: only trying again can show"),
    ],
)
def test_what_was_noted_lapses(problem: Problem, generation: int, after: timedelta, counts: bool) -> None:
    lapsed = let_lapse(note(FOUND, problem, NOW), generation=generation, now=NOW + after)
    assert (lapsed.noted is not None) is counts
