"""How hard the real server is asked, and what happens when it rejects the client: by its own ledger."""

from __future__ import annotations

import base64
import time
from datetime import datetime, timedelta
from typing import Any

from cluster.stage import Stage, condition, status

NEXT_SECRET = "the-next-one"
GRANTS = 8


def test_the_ledger_shows_no_more_than_the_limits(stage: Stage) -> None:
    stage.add_connector(lifetime=3, limits={"requestsPerSecond": 2, "concurrency": 3})
    names = [f"user-{number}" for number in range(GRANTS)]  # more than can be refreshed in time, so that a line forms
    for name in names:
        stage.add_grant(name)
    for name in names:
        stage.consent(name)
    for name in names:
        stage.wait_grant(name, lambda grant: status(grant).get("tokenGeneration", 0) > 0)
    assert _most_held(stage) == 3
    before = len(_refreshes(stage))
    stage.wait_grant(names[0], lambda _: len(_refreshes(stage)) > before + 5 * GRANTS, within=120)
    entries = _refreshes(stage)
    assert len({entry["presented"] for entry in entries}) == len(entries), "a refresh token was presented twice"
    times = [datetime.fromisoformat(entry["time"]) for entry in entries]
    for number, at in enumerate(times):  # what was begun before may arrive within, so many as may be under way
        assert len([other for other in times[number:] if other < at + timedelta(seconds=10)]) <= 10 * 2 + 3


def test_a_client_secret_is_rotated_without_an_outage(stage: Stage) -> None:
    _write(stage, "next", NEXT_SECRET)
    stage.add_connector(lifetime=8, fallbackClientSecretRef={"name": "next"})
    stage.add_grant()
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    _register(stage, NEXT_SECRET, lifetime=8)
    generation = status(stage.wait_refreshed("alice", generation))["tokenGeneration"]
    generation = status(stage.wait_refreshed("alice", generation))["tokenGeneration"]
    connector = stage.wait_connector("calendar", lambda c: "fallback is in use" in condition(c, "Reachable")["message"])
    assert condition(connector, "Ready")["status"] == "True"
    errors = [entry["error"] for entry in _refreshes(stage)]
    assert errors.count("invalid_client") == 1, "which of the two works is remembered"
    rejected = next(entry for entry in _refreshes(stage) if entry["error"])
    after = next(entry for entry in _refreshes(stage) if entry["time"] > rejected["time"])
    assert after["presented"] == rejected["presented"], "the same refresh token, for nobody has looked at it"
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")
    assert all(entry["error"] is None for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "authorization_code")
    _write(stage, "calendar-client", NEXT_SECRET)
    stage.wait_connector("calendar", lambda c: not condition(c, "Reachable")["message"])


def test_a_code_is_presented_with_the_second_secret_at_once(stage: Stage) -> None:
    _write(stage, "next", NEXT_SECRET)
    stage.add_connector(lifetime=3600, fallbackClientSecretRef={"name": "next"})
    _register(stage, NEXT_SECRET, lifetime=3600)
    stage.add_grant()
    stage.consent()
    stage.wait_ready()
    codes = [entry for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "authorization_code"]
    assert [entry["error"] for entry in codes] == ["invalid_client", None]
    assert len({entry["presented"] for entry in codes}) == 1


def test_a_second_secret_that_is_not_offered_is_said_and_the_first_serves(stage: Stage) -> None:
    _write(stage, "next", NEXT_SECRET, label="another")
    stage.add_connector(lifetime=3600, fallbackClientSecretRef={"name": "next"})
    stage.add_grant()
    found = stage.wait_connector("calendar", lambda c: condition(c, "ResolvedRefs")["reason"] == "SecretNotOffered")
    assert condition(found, "ResolvedRefs")["status"] == "False"
    assert "Secret next is not offered" in condition(found, "ResolvedRefs")["message"]
    stage.consent()
    stage.wait_ready()
    _write(stage, "next", NEXT_SECRET)
    stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")


def test_a_rejected_client_is_tried_once_a_minute_and_all_go_on_when_its_secret_is_mended(stage: Stage) -> None:
    stage.add_connector(lifetime=20)
    names = ["alice", "bob", "carol"]
    for name in names:
        stage.add_grant(name)
    for name in names:
        stage.consent(name)
    for name in names:
        stage.wait_ready(name)
    _register(stage, NEXT_SECRET, lifetime=20)
    rejected = stage.wait_connector("calendar", lambda c: condition(c, "Reachable")["reason"] == "ClientRejected")
    assert condition(rejected, "Stalled")["status"] == "True"
    for name in names:
        expired = stage.wait_reason(name, "RefreshFailing")
        assert condition(expired, "Authorized")["status"] == "True", "no grant is dead"
        assert "rejects the client" in condition(expired, "Fresh")["message"]
    refused = [entry for entry in _refreshes(stage) if entry["error"]]
    assert len(refused) <= len(names), "each once at most: those that were under way"
    generations = {name: status(stage.get(stage.grant_path(name)))["tokenGeneration"] for name in names}
    _write(stage, "calendar-client", NEXT_SECRET)
    for name in names:
        stage.wait_refreshed(name, generations[name])
    stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    spent = [entry["presented"] for entry in _refreshes(stage) if not entry["error"]]
    assert len(spent) == len(set(spent))


def _most_held(stage: Stage) -> int:
    """How many requests are under way at once while nobody gets an answer, for as long as nobody gives up."""
    stage.auth_server.hold()
    try:
        until, most = time.monotonic() + 4, 0
        while time.monotonic() < until:
            most = max(most, stage.auth_server.held(stage.client_id))
            time.sleep(0.1)
    finally:
        stage.auth_server.release()
    return most


def _refreshes(stage: Stage) -> list[dict[str, Any]]:
    return [entry for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "refresh_token"]


def _register(stage: Stage, secret: str, *, lifetime: int) -> None:
    redirect = f"{stage.installation.external_url}/callback/{stage.namespace}/calendar"
    stage.auth_server.register(stage.client_id, secret, redirect_uris=[redirect], lifetime=lifetime)


def _write(stage: Stage, name: str, secret: str, *, label: str = "calendar") -> None:
    metadata = {"name": name, "namespace": stage.namespace, "labels": {"grantkeeper.dev/connector": label}}
    data = {"clientSecret": base64.b64encode(secret.encode()).decode()}
    stage.control_plane.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}])
