"""The main story on real parts: a consent becomes a token that stays fresh, each refresh token presented once."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import time
from contextlib import suppress
from datetime import datetime

import httpx

from cluster.stage import WITHIN, Stage, condition, status
from parts.waiting import wait_for


def test_a_consent_becomes_a_delivered_token(stage: Stage) -> None:
    grant = stage.make_ready()
    page_free = status(grant)
    token = stage.delivered()
    assert {c["type"]: c["status"] for c in page_free["conditions"]} == dict.fromkeys(
        ["Accepted", "Authorized", "Fresh", "Delivered", "Ready"], "True"
    )
    assert page_free["tokenState"] == "Active"
    assert page_free["account"] == {"subject": "alice"}
    assert set(page_free["grantedScopes"]) == {"openid", "offline_access", "calendar.read"}
    assert "consentURL" not in page_free
    assert set(token) == {"access_token", "token_type", "expires_at", "scope"}
    assert token["expires_at"] == page_free["expirationTime"]
    assert stage.auth_server.introspect(token["access_token"])["active"]


def test_a_connector_says_what_to_register_and_whom_it_talks_to(stage: Stage) -> None:
    stage.add_connector()
    connector = stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    assert status(connector)["redirectURI"] == f"{stage.installation.external_url}/callback/{stage.namespace}/calendar"
    server = status(connector)["server"]
    assert {"Refresh", "Revocation", "Introspection", "OpenIDConnect"} <= set(server.pop("features"))
    assert server == {
        "issuer": stage.auth_server.issuer,
        "authorizationEndpoint": f"{stage.auth_server.issuer}/auth",
        "issParameterSupported": True,
    }


def test_three_refreshes_present_each_refresh_token_once(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=12))["tokenGeneration"]
    seen = {stage.delivered()["access_token"]}
    for _ in range(3):
        generation = status(stage.wait_refreshed("alice", generation))["tokenGeneration"]
        token = stage.delivered()["access_token"]
        assert stage.auth_server.introspect(token)["active"]
        seen.add(token)
    presented = stage.presented()
    assert len(seen) == 4
    assert len(presented) == len(set(presented)) >= 3


def test_a_refused_refresh_token_asks_for_consent_and_new_consent_heals(stage: Stage) -> None:
    stage.make_ready(lifetime=8)
    stage.auth_server.forget("alice")
    stage.wait_reason("alice", "ReauthorizationRequired")
    presented = stage.presented()
    assert len(presented) == len(set(presented)), "a refused refresh token was presented again"
    stage.consent()
    stage.wait_ready()
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]


def test_a_server_that_is_down_costs_nothing_while_the_token_lives(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=8))["tokenGeneration"]
    stage.pause_between_refreshes("alice")
    stage.auth_server.stop()
    try:
        stage.installation.controller.kill(signal.SIGCONT)
        failing = stage.wait_grant("alice", lambda g: status(g).get("failedRefreshes", 0) > 0)
        expires_at = datetime.fromisoformat(status(failing)["expirationTime"]).timestamp()
        if time.time() < expires_at - 1:
            assert condition(failing, "Ready")["status"] == "True"
            assert "cannot be reached" in condition(failing, "Fresh")["message"]
        expired = stage.wait_reason("alice", "RefreshFailing")
        assert status(expired)["tokenState"] == "Expired"
        assert time.time() >= expires_at
    finally:
        stage.auth_server.start()
    stage.wait_refreshed("alice", generation, within=120)
    assert len(stage.presented()) == len(set(stage.presented()))


def test_a_denial_is_said_and_asked_again(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant()
    first = stage.link()
    page = stage.consent(deny=True)
    denied = stage.wait_reason("alice", "ConsentDenied")
    assert page.status == 200
    assert condition(denied, "Authorized")["status"] == "False"
    again = stage.wait_grant("alice", lambda g: status(g).get("consentURL") not in {None, first})
    assert condition(again, "Ready")["reason"] == "ConsentDenied"
    stage.consent()
    stage.wait_ready()


def test_a_sealed_secret_copied_over_another_grants_does_not_open(stage: Stage) -> None:
    stage.make_ready("alice")
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")
    stolen, target = stage.sealed("alice"), stage.sealed("bob")
    target["data"]["tokenset"] = stolen["data"]["tokenset"]
    with stage.control_plane.client() as client:
        client.put(
            f"/api/v1/namespaces/{stage.installation.namespace}/secrets/{target['metadata']['name']}", json=target
        ).raise_for_status()
    bob = stage.wait_reason("bob", "Unsealable")
    assert condition(bob, "Stalled")["status"] == "True"
    assert stage.sealed("bob")["data"]["tokenset"] == stolen["data"]["tokenset"], "what does not open is kept"
    assert condition(stage.get(stage.grant_path("alice")), "Ready")["status"] == "True"


def test_a_secret_that_is_not_ours_is_not_touched(stage: Stage) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "alice-token", "namespace": stage.namespace},
        "data": {"mine": "eA=="},
    }
    stage.control_plane.apply([foreign])
    stage.add_connector()
    stage.add_grant()
    stage.consent()
    stage.wait_reason("alice", "SecretConflict")
    assert stage.get(f"/api/v1/namespaces/{stage.namespace}/secrets/alice-token")["data"] == {"mine": "eA=="}


def test_a_deleted_or_edited_secret_is_delivered_again(stage: Stage) -> None:
    stage.make_ready()
    path, token = f"/api/v1/namespaces/{stage.namespace}/secrets/alice-token", stage.delivered()
    stage.delete(path)
    wait_for(lambda: _find_delivered(stage) == token, "the Secret to be as it was", within=WITHIN)
    with stage.control_plane.client() as client:
        client.patch(
            path, json={"data": {"access_token": "eA=="}}, headers={"Content-Type": "application/merge-patch+json"}
        ).raise_for_status()
    wait_for(lambda: _find_delivered(stage) == token, "the Secret to be as it was", within=WITHIN)


def test_a_deleted_grant_is_revoked_and_leaves_nothing(stage: Stage) -> None:
    stage.make_ready()
    token, sealed = stage.delivered()["access_token"], stage.sealed()["metadata"]["name"]
    stage.delete(stage.grant_path())
    _wait_gone(stage, stage.grant_path())
    _wait_gone(stage, f"/api/v1/namespaces/{stage.installation.namespace}/secrets/{sealed}")
    _wait_gone(stage, f"/api/v1/namespaces/{stage.namespace}/secrets/alice-token")
    assert not stage.auth_server.introspect(token)["active"]


def test_a_sibling_of_the_same_account_is_spared(stage: Stage) -> None:
    stage.make_ready("alice")
    stage.add_grant("second")
    stage.consent("second", account="alice")
    stage.wait_ready("second")
    stage.delete(stage.grant_path("alice"))
    _wait_gone(stage, stage.grant_path("alice"))
    assert stage.auth_server.introspect(stage.delivered("second")["access_token"])["active"]
    assert not [e for e in stage.auth_server.ledger(stage.client_id) if e["endpoint"] == "revocation"]
    events = stage.get(f"/api/v1/namespaces/{stage.namespace}/events")["items"]
    assert any("same account" in event["message"] for event in events if event["reason"] == "Released")


def test_a_grant_without_tokens_goes_at_once(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant()
    stage.link()
    sealed = stage.sealed()["metadata"]["name"]
    stage.delete(stage.grant_path())
    _wait_gone(stage, stage.grant_path())
    _wait_gone(stage, f"/api/v1/namespaces/{stage.installation.namespace}/secrets/{sealed}")


def test_retain_revokes_nothing(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant(revocationPolicy="Retain")
    stage.consent()
    stage.wait_ready()
    token = stage.delivered()["access_token"]
    stage.delete(stage.grant_path())
    _wait_gone(stage, stage.grant_path())
    assert stage.auth_server.introspect(token)["active"]


def test_a_second_key_seals_from_the_moment_it_is_active_and_the_first_still_opens(stage: Stage) -> None:
    grant = stage.make_ready(lifetime=8)
    sealed_before = _kid(stage)
    path = f"/api/v1/namespaces/{stage.installation.namespace}/secrets/grantkeeper-keyring"
    new_key = base64.b64encode(base64.b64encode(secrets.token_bytes(32))).decode()
    active = base64.b64encode(b"key-2").decode()
    with stage.control_plane.client() as client:
        merged = {"data": {"key-2": new_key, "active": active}}
        client.patch(path, json=merged, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()
    stage.wait_refreshed("alice", status(grant)["tokenGeneration"])
    generation = status(stage.wait_ready())["tokenGeneration"]
    if _kid(stage) == sealed_before:  # that refresh may have been under way already
        stage.wait_refreshed("alice", generation)
    assert _kid(stage) != sealed_before


def test_a_restart_with_ten_grants_writes_nothing(stage: Stage) -> None:
    stage.add_connector(lifetime=3600)
    for number in range(10):
        stage.add_grant(f"user-{number}")
    for number in range(10):
        stage.consent(f"user-{number}")
    for number in range(10):
        stage.wait_ready(f"user-{number}")
    stage.installation.controller.stop()
    since = len(stage.control_plane.calls())
    stage.installation.controller.start()
    account = f"{stage.installation.namespace}/grantkeeper-controller"
    stage.installation.controller.wait_until_keeping()
    time.sleep(3)  # the absence of something has no condition to wait on
    calls = [call for call in stage.control_plane.calls(since) if call.account == account]
    assert any(call.verb == "list" and call.resource == "usergrants" for call in calls)
    sealed = {stage.sealed(f"user-{number}")["metadata"]["name"] for number in range(10)}
    assert [call for call in calls if call.is_write and (call.namespace == stage.namespace or call.name in sealed)] == []


def _kid(stage: Stage) -> str:
    return str(json.loads(base64.b64decode(stage.sealed()["data"]["meta"]))["kid"])


def _find_delivered(stage: Stage) -> dict[str, str] | None:
    """None where the Secret is away for a moment."""
    with suppress(httpx.HTTPStatusError):
        return stage.delivered()
    return None


def _wait_gone(stage: Stage, path: str) -> None:
    with stage.control_plane.client() as client:
        wait_for(lambda: client.get(path).status_code == httpx.codes.NOT_FOUND, f"{path} to go", within=WITHIN)


def test_the_watches_list_nothing_and_begin_before_everything_is_read(stage: Stage) -> None:
    controller, control_plane = stage.installation.controller, stage.control_plane
    controller.stop()
    since = len(control_plane.calls())
    controller.start()
    stage.make_ready()
    kinds = {"usergrants", "oauthconnectors", "namespaces", "secrets"}
    account = f"{stage.installation.namespace}/grantkeeper-controller"

    def lists() -> list[tuple[str, str | None]]:
        calls = [call for call in control_plane.calls(since) if call.account == account]
        return [(call.resource, call.name) for call in calls if call.verb == "list" and call.resource in kinds]

    def are_read_after() -> set[str]:
        before_it = max((number for number, (_, name) in enumerate(lists(), 1) if name is not None), default=0)
        return {kind for kind, _ in lists()[before_it:]}

    # Where the watches are late, everything was read before, and is read once more.
    wait_for(lambda: are_read_after() == kinds, "everything to be read after the last watch began", within=WITHIN)
    watched = {listed for listed in lists() if listed[1] is not None}
    assert watched == {(kind, "-") for kind in kinds}, "a field selector of one name is that name to the API server"
