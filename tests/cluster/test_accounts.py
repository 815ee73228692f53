"""Whose account it is, on real parts: the one that was expected, another one, and a server that changes its signing key."""

from __future__ import annotations

import pytest

from cluster.stage import Stage, condition, status

SCOPES = ["openid", "offline_access", "email", "profile"]


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param({"subject": "alice"}, id="by its subject"),
        pytest.param({"email": "Alice@example.test"}, id="by its address"),
        pytest.param({"domain": "example.test"}, id="by its domain"),
    ],
)
def test_the_expected_account_is_connected_and_described(stage: Stage, expected: dict[str, str]) -> None:
    stage.add_connector(scopes=SCOPES)
    stage.add_grant(expectedAccount=expected)
    page = stage.consent()
    grant = stage.wait_ready()
    assert status(grant)["account"] == {
        "subject": "alice",
        "username": "alice",
        "email": "alice@example.test",
        "name": "alice of the tests",
        "picture": f"{stage.auth_server.issuer}/pictures/alice",
    }
    assert "Account alice" in page.text


@pytest.mark.parametrize(
    ("expected", "account"),
    [
        pytest.param({"email": "alice@example.test"}, "mallory", id="another address"),
        pytest.param({"domain": "example.org"}, "mallory", id="another domain"),
        pytest.param({"email": "unverified@example.test"}, "unverified", id="an address that is not verified"),
    ],
)
def test_another_account_is_refused_and_what_came_is_revoked(stage: Stage, expected: dict[str, str], account: str) -> None:
    stage.add_connector(scopes=SCOPES)
    stage.add_grant(expectedAccount=expected)
    page = stage.consent(account=account)
    refused = stage.wait_reason("alice", "AccountMismatch")
    authorized = condition(refused, "Authorized")
    assert authorized["status"] == "False"
    assert next(iter(expected.values())) in authorized["message"]
    assert "mallory" not in str(status(refused)), "the other person's data is shown"
    assert "with another account" in page.text
    assert status(refused)["consentRequests"][0]["state"] == "Refused"
    assert status(refused)["consentRequests"][0]["reason"] == "AccountMismatch"
    assert "tokenset" not in stage.sealed()["data"]
    _assert_revoked(stage)


def test_what_is_held_stays_when_another_account_answers(stage: Stage) -> None:
    stage.add_connector(scopes=SCOPES, lifetime=10)
    stage.add_grant(expectedAccount={"subject": "alice"})
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    stage.auth_server.forget("alice")
    stage.wait_reason("alice", "ReauthorizationRequired")
    before = stage.sealed()["data"]["tokenset"]
    stage.consent(account="mallory")
    refused = stage.wait_grant("alice", lambda g: any(r.get("reason") == "AccountMismatch" for r in status(g)["consentRequests"]))
    assert stage.sealed()["data"]["tokenset"] == before
    assert status(refused)["account"]["subject"] == "alice"
    assert condition(refused, "Ready")["reason"] == "ReauthorizationRequired"
    stage.consent()
    stage.wait_refreshed("alice", generation)


def test_a_mismatch_spares_the_grant_of_the_account_that_answered(stage: Stage) -> None:
    stage.add_connector(scopes=SCOPES)
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")
    stage.add_grant(expectedAccount={"subject": "alice"})
    stage.consent(account="bob")
    stage.wait_reason("alice", "AccountMismatch")
    assert stage.auth_server.introspect(stage.delivered("bob")["access_token"])["active"]


def test_a_server_that_changes_its_signing_key_is_followed(stage: Stage) -> None:
    stage.add_connector(scopes=SCOPES)
    stage.add_grant("alice")
    stage.consent("alice")
    stage.wait_ready("alice")
    stage.auth_server.rotate_keys()
    stage.add_grant("bob")
    stage.consent("bob")
    assert status(stage.wait_ready("bob"))["account"]["subject"] == "bob"


def test_a_server_without_an_issuer_is_asked_for_userinfo(stage: Stage) -> None:
    at = stage.auth_server.issuer
    endpoints = {"authorization": f"{at}/auth", "token": f"{at}/token", "revocation": f"{at}/token/revocation", "userinfo": f"{at}/me"}
    stage.add_connector(issuer=None, endpoints=endpoints, scopes=SCOPES)
    stage.add_grant(expectedAccount={"email": "alice@example.test"})
    stage.consent(account="mallory")
    stage.wait_reason("alice", "AccountMismatch")
    stage.consent()
    assert status(stage.wait_ready())["account"]["email"] == "alice@example.test"


def _assert_revoked(stage: Stage) -> None:
    entries = stage.auth_server.ledger(stage.client_id)
    issued = {entry["refresh_token"] for entry in entries if entry["endpoint"] == "token"}
    revoked = {entry["presented"] for entry in entries if entry["endpoint"] == "revocation"}
    assert issued
    assert issued <= revoked
