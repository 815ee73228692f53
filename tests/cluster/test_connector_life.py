"""Connectors that go, come back, change and are mended, on real parts: their grants keep what they hold, and none of it goes astray."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from cluster.stage import API, CLIENT_SECRET, Object, Stage, condition, status
from parts.waiting import wait_for

MERGE = {"Content-Type": "application/merge-patch+json"}
NEW_SECRET = "another secret, as it were: +/=%&"


def path_of(stage: Stage) -> str:
    return f"{API}/namespaces/{stage.namespace}/oauthconnectors/calendar"


def secret_path(stage: Stage) -> str:
    return f"/api/v1/namespaces/{stage.namespace}/secrets/calendar-client"


def patch(stage: Stage, path: str, change: Object) -> None:
    with stage.control_plane.client() as client:
        client.patch(path, json=change, headers=MERGE).raise_for_status()


def register(stage: Stage, secret: str, *, lifetime: int) -> None:
    """Let the authorization server know the client by this secret."""
    redirect = f"{stage.installation.external_url}/callback/{stage.namespace}/calendar"
    stage.auth_server.register(stage.client_id, secret, redirect_uris=[redirect], lifetime=lifetime)


def wait_gone(stage: Stage, path: str) -> None:
    with stage.control_plane.client() as client:
        wait_for(lambda: client.get(path).status_code == httpx.codes.NOT_FOUND, f"{path} to go", within=20)


def request_states(stage: Stage) -> list[str]:
    return [request["state"] for request in status(stage.get(stage.grant_path()))["consentRequests"]]


def wait_connector_reason(stage: Stage, reason: str) -> Object:
    return stage.wait_connector("calendar", lambda connector: condition(connector, "Ready")["reason"] == reason)


def test_a_connector_that_goes_and_comes_back_needs_nobody(stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    stage.delete(path_of(stage))
    generation = status(stage.wait_reason("alice", "ConnectorNotFound"))["tokenGeneration"]
    tokenset, token, presented = stage.sealed()["data"]["tokenset"], stage.delivered(), stage.presented()
    gone = stage.wait_grant("alice", lambda grant: status(grant)["tokenState"] == "Expired")
    assert condition(gone, "Authorized")["status"] == "True"
    assert stage.delivered() == token
    assert stage.sealed()["data"]["tokenset"] == tokenset
    assert stage.presented() == presented
    stage.add_connector(lifetime=12)
    stage.wait_refreshed("alice", generation)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert request_states(stage) == ["Granted"]


def test_a_grant_that_is_deleted_after_its_connector_is_revoked_all_the_same(stage: Stage) -> None:
    stage.make_ready()
    token = stage.delivered()["access_token"]
    stage.delete(path_of(stage))
    stage.wait_reason("alice", "ConnectorNotFound")
    stage.delete(stage.grant_path())
    wait_gone(stage, stage.grant_path())
    assert not stage.auth_server.introspect(token)["active"]


@pytest.mark.parametrize("kind", ["another client", "other endpoints"])
def test_another_of_its_name_asks_anew_and_presents_nothing_of_the_old(stage: Stage, kind: str) -> None:
    stage.make_ready(lifetime=12)
    stage.delete(path_of(stage))
    stage.wait_reason("alice", "ConnectorNotFound")
    old = {entry["refresh_token"] for entry in stage.auth_server.ledger(stage.client_id) if entry["refresh_token"]}
    before = stage.presented()
    client = f"another-of-{stage.namespace}" if kind == "another client" else stage.client_id
    issuer = stage.auth_server.issuer
    endpoints = {"authorization": f"{issuer}/auth", "token": f"{issuer}/token", "userinfo": f"{issuer}/me"}
    other: dict[str, Any] = {"clientID": client} if kind == "another client" else {"issuer": None, "endpoints": endpoints}
    stage.add_connector(lifetime=12, **other)
    replaced = stage.wait_reason("alice", "ConnectorReplaced")
    assert "To consent again" in condition(replaced, "Authorized")["message"]
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    stage.wait_refreshed("alice", generation)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    presented = [entry["presented"] for entry in stage.auth_server.ledger(client) if entry["grant_type"] == "refresh_token"]
    assert presented
    assert not old.intersection(presented[len(before) if client == stage.client_id else 0 :])


def test_a_client_secret_that_changes_everywhere_is_used_by_the_next_refresh(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=3600))["tokenGeneration"]
    register(stage, NEW_SECRET, lifetime=3600)
    patch(stage, secret_path(stage), {"data": {"clientSecret": base64.b64encode(NEW_SECRET.encode()).decode()}})
    stage.ask_for_refresh("now")
    stage.wait_refreshed("alice", generation)
    errors = [entry["error"] for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "refresh_token"]
    assert errors[0] is None


def test_a_client_secret_that_changed_at_the_server_is_mended_without_anybody(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=3600))["tokenGeneration"]
    register(stage, NEW_SECRET, lifetime=3600)
    stage.ask_for_refresh("now")
    wait_connector_reason(stage, "ClientRejected")
    grant = stage.wait_grant("alice", lambda g: status(g).get("failedRefreshes", 0) > 0)
    assert condition(grant, "Ready")["status"] == "True", "the token that is held still lives"
    assert "rejects the client" in condition(grant, "Fresh")["message"]
    patch(stage, secret_path(stage), {"data": {"clientSecret": base64.b64encode(NEW_SECRET.encode()).decode()}})
    stage.wait_refreshed("alice", generation, within=150)
    wait_connector_reason(stage, "Ready")
    assert request_states(stage) == ["Granted"]


def test_fewer_scopes_are_said_at_once_and_stop_nothing_that_runs(stage: Stage) -> None:
    stage.add_connector(lifetime=12)
    stage.add_grant(scopes=["openid", "offline_access", "calendar.read"])
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    patch(stage, path_of(stage), {"spec": {"scopes": ["openid", "offline_access"]}})
    reduced = stage.wait_reason("alice", "ScopesNotOffered")
    assert "calendar.read" in condition(reduced, "Stalled")["message"]
    refreshed = stage.wait_grant("alice", lambda g: status(g).get("tokenGeneration", 0) > generation)
    assert condition(refreshed, "Ready")["reason"] == "ScopesNotOffered"
    wait_for(lambda: stage.delivered()["expires_at"] == status(stage.get(stage.grant_path()))["expirationTime"], "delivery")
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    patch(stage, path_of(stage), {"spec": {"scopes": ["openid", "offline_access", "calendar.read", "calendar.write"]}})
    stage.wait_ready()
    assert request_states(stage) == ["Granted"]


def test_grants_may_be_there_before_their_connector(stage: Stage) -> None:
    stage.add_grant()
    early = stage.wait_reason("alice", "ConnectorNotFound")
    assert "create it" in condition(early, "Accepted")["message"]
    stage.add_connector()
    stage.consent()
    stage.wait_ready()


def test_a_client_secret_that_is_wrong_in_every_way_and_then_mended(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant()
    stage.link()
    good = {"clientSecret": base64.b64encode(CLIENT_SECRET.encode()).decode()}
    label = {"grantkeeper.dev/connector": "calendar"}

    def put(labels: dict[str, str], data: dict[str, str]) -> None:
        metadata = {"name": "calendar-client", "namespace": stage.namespace, "labels": labels}
        stage.delete(secret_path(stage))
        wait_gone(stage, secret_path(stage))
        stage.control_plane.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}])

    stage.delete(secret_path(stage))
    patch(stage, path_of(stage), {"spec": {"refresh": {"lifetimePercent": 70}}})  # whereupon it is looked at
    missing = wait_connector_reason(stage, "SecretNotFound")
    assert condition(missing, "Stalled")["status"] == "True"
    put({}, good)
    unlabelled = wait_connector_reason(stage, "SecretNotOffered")
    assert "grantkeeper.dev/connector=calendar" in condition(unlabelled, "ResolvedRefs")["message"]
    put(label, {"another": good["clientSecret"]})
    keyless = wait_connector_reason(stage, "SecretKeyMissing")
    assert "clientSecret" in condition(keyless, "ResolvedRefs")["message"]
    put(label, good)
    wait_connector_reason(stage, "Ready")
    stage.consent()
    stage.wait_ready()


def test_grants_are_counted_and_the_server_is_described(stage: Stage) -> None:
    stage.add_connector()
    first = status(stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True"))
    assert first["grants"] == 0
    assert {"Refresh", "Revocation", "Introspection", "OpenIDConnect"} <= set(first["server"]["features"])
    since = len(stage.control_plane.calls())
    for number in range(6):
        stage.add_grant(f"user-{number}")
    stage.wait_connector("calendar", lambda c: status(c)["grants"] == 6)
    for number in range(2):
        stage.delete(stage.grant_path(f"user-{number}"))
    stage.wait_connector("calendar", lambda c: status(c)["grants"] == 4)
    account = f"{stage.installation.namespace}/grantkeeper-controller"
    calls = [call for call in stage.control_plane.calls(since) if call.account == account and call.namespace == stage.namespace]
    assert 2 <= len([call for call in calls if call.resource == "oauthconnectors/status"]) <= 3, "counted one by one"
