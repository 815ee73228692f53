"""Grants that are suspended and connectors that keep no tokens, on real parts: what the authorization server saw is what counts."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from cluster.callbacks import codes
from cluster.stage import API, WITHIN, Object, Stage, condition, status
from parts.waiting import wait_for

MERGE = {"Content-Type": "application/merge-patch+json"}


def patch(stage: Stage, path: str, spec: dict[str, Any]) -> None:
    with stage.control_plane.client() as client:
        client.patch(path, json={"spec": spec}, headers=MERGE).raise_for_status()


def store(stage: Stage, storage: str) -> None:
    """Switch the connector."""
    patch(stage, f"{API}/namespaces/{stage.namespace}/oauthconnectors/calendar", {"tokenStorage": storage})


def wait_withdrawn(stage: Stage, name: str = "alice") -> None:
    path = f"/api/v1/namespaces/{stage.namespace}/secrets/{name}-token"
    with stage.control_plane.client() as client:
        wait_for(lambda: client.get(path).status_code == httpx.codes.NOT_FOUND, "the delivered Secret to go", within=WITHIN)


def wait_expired(stage: Stage) -> Object:
    return stage.wait_grant("alice", lambda grant: status(grant)["tokenState"] == "Expired")


def revocations(stage: Stage) -> list[tuple[str, int]]:
    """What was revoked, by its hash, and how that was answered."""
    entries = stage.auth_server.ledger(stage.client_id)
    return [(entry["presented"], entry["status"]) for entry in entries if entry["endpoint"] == "revocation"]


def issued(stage: Stage) -> set[str]:
    """The hashes of every token that was issued."""
    entries = stage.auth_server.ledger(stage.client_id)
    return {entry[kind] for entry in entries for kind in ("access_token", "refresh_token") if entry[kind]}


def wait_gone(stage: Stage) -> None:
    with stage.control_plane.client() as client:
        wait_for(lambda: client.get(stage.grant_path()).status_code == httpx.codes.NOT_FOUND, "the grant to go", within=WITHIN)


def test_a_suspended_grant_is_withdrawn_and_goes_on_after_a_restart(stage: Stage) -> None:
    stage.make_ready(lifetime=10)
    patch(stage, stage.grant_path(), {"suspend": True})
    wait_withdrawn(stage)
    suspended = stage.wait_reason("alice", "Suspended")
    generation, tokenset, presented = status(suspended)["tokenGeneration"], stage.sealed()["data"]["tokenset"], stage.presented()
    assert condition(suspended, "Authorized")["status"] == "True"
    assert condition(suspended, "Fresh")["reason"] == "Suspended"
    assert (condition(suspended, "Delivered")["status"], condition(suspended, "Delivered")["reason"]) == ("Unknown", "Pending")
    assert "nextRefreshTime" not in status(suspended)
    wait_expired(stage)
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    assert condition(wait_expired(stage), "Ready")["reason"] == "Suspended"
    assert stage.presented() == presented
    assert stage.sealed()["data"]["tokenset"] == tokenset
    patch(stage, stage.grant_path(), {"suspend": False})
    stage.wait_refreshed("alice", generation)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert len(stage.presented()) == len(set(stage.presented()))


def test_an_answer_to_a_suspended_grant_is_redeemed_and_kept_back(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant()
    stage.link()
    patch(stage, stage.grant_path(), {"suspend": True})
    stage.consent()
    suspended = stage.wait_reason("alice", "Suspended")
    assert status(suspended)["tokenState"] == "Active"
    assert status(suspended)["account"] == {"subject": "alice"}
    wait_withdrawn(stage)
    patch(stage, stage.grant_path(), {"suspend": False})
    stage.wait_ready()
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]


def test_a_suspended_grant_that_is_deleted_is_revoked(stage: Stage) -> None:
    stage.make_ready()
    token = stage.delivered()["access_token"]
    patch(stage, stage.grant_path(), {"suspend": True})
    stage.wait_reason("alice", "Suspended")
    stage.delete(stage.grant_path())
    wait_gone(stage)
    assert not stage.auth_server.introspect(token)["active"]


def test_an_account_is_connected_and_no_token_outlives_it(stage: Stage) -> None:
    stage.add_connector(tokenStorage="Disabled", scopes=["openid", "offline_access", "profile"])
    stage.add_grant(expectedAccount={"subject": "alice"})
    stage.consent(account="mallory")
    refused = stage.wait_reason("alice", "AccountMismatch")
    assert "account" not in status(refused)
    page = stage.consent()
    connected = status(stage.wait_reason("alice", "TokensNotKept"))
    assert page.status == 200
    assert connected["tokenState"] == "NotApplicable"
    assert connected["account"]["subject"] == "alice"
    assert connected["account"]["username"] == "alice"
    assert "consentURL" not in connected
    assert "expirationTime" not in connected
    assert revocations(stage) == [(token, 200) for token, _ in revocations(stage)]
    assert {token for token, _ in revocations(stage)} == issued(stage)
    data = stage.sealed()["data"]
    assert "profile" in data
    assert "tokenset" not in data
    wait_withdrawn(stage)
    stage.delete(stage.grant_path())
    wait_gone(stage)


def test_a_kill_while_an_account_is_connected_presents_no_code_twice(stage: Stage) -> None:
    stage.add_connector(tokenStorage="Disabled")
    stage.add_grant()
    first = stage.link()
    stage.auth_server.hold()
    try:
        person = threading.Thread(target=stage.consent)
        person.start()
        wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "the code to be presented", within=WITHIN)
        stage.installation.controller.kill()
    finally:
        stage.auth_server.release()
    stage.installation.controller.start()
    stage.wait_grant("alice", lambda grant: status(grant).get("consentURL") not in {None, first})
    person.join(60)
    stage.wait_reason("alice", "ExchangeFailed")
    assert len(codes(stage)) == 1
    stage.consent()
    stage.wait_reason("alice", "TokensNotKept")
    stage.installation.controller.restart()
    stage.installation.controller.wait_until_keeping()
    assert len(codes(stage)) == len(set(codes(stage))) == 2


def test_a_connector_that_is_switched_loses_nothing(stage: Stage) -> None:
    stage.make_ready()
    tokenset = stage.sealed()["data"]["tokenset"]
    store(stage, "Disabled")
    wait_withdrawn(stage)
    unkept = stage.wait_reason("alice", "TokensNotKept")
    assert status(unkept)["tokenState"] == "NotApplicable"
    assert "stay sealed" in condition(unkept, "Authorized")["message"]
    assert revocations(stage) == []
    assert stage.presented() == []
    assert stage.sealed()["data"]["tokenset"] == tokenset
    store(stage, "Enabled")
    stage.wait_ready()
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert [request["state"] for request in status(stage.wait_ready())["consentRequests"]] == ["Granted"]
    store(stage, "Disabled")
    stage.wait_reason("alice", "TokensNotKept")
    stage.delete(stage.grant_path())
    wait_gone(stage)
    assert revocations(stage), "what was kept is revoked with its grant"
