"""The leader's wall clock jumps by an hour, forward and back, on real parts; its monotonic clock, and the others', go on as always."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster import test_leading
from cluster.stage import API, Stage, condition, status
from cluster.test_leading import LEASE, House
from grantkeeper.controller.respecting import CLAIM_RESPECTED_FOR
from parts.clocks import Clock

HOUR = timedelta(hours=1)
GRANTS, RATE = 8, 8
LEADER = ("holderIdentity", "leaseTransitions")

house = test_leading.house


@pytest.fixture
def stage(house: House) -> Stage:
    """A namespace of a test's own."""
    name = f"test-{secrets.token_hex(4)}"
    house.control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    return Stage(house.control_plane, house.auth_server, house.installation, name)


@pytest.fixture
def clock(house: House, tmp_path: Path) -> Clock:
    """The clock of one, who leads."""
    clock, (chosen, *others) = Clock(tmp_path / "clock"), house.controllers
    for container in house.controllers:
        container.stop()
    chosen.start(**clock.environment)
    house.wait_leader()
    for container in others:
        container.start()
    return clock


def test_a_clock_that_jumps_an_hour_costs_each_grant_a_refresh_and_nobody_anything(stage: Stage, clock: Clock) -> None:
    names, other = [f"user-{number}" for number in range(GRANTS)], f"{stage.client_id}-mail"
    stage.add_connector(lifetime=3600, limits={"requestsPerSecond": RATE})
    stage.add_connector("mail", lifetime=3600, clientID=other)
    for name in names:
        stage.add_grant(name)
    stage.add_grant("held", connector="mail")
    for name in (*names, "held"):
        stage.consent(name)
    for name in (*names, "held"):
        stage.wait_ready(name)
    held_since = time.monotonic()
    _claim_by_another(stage, "held")
    lease = _lease(stage)
    for steps, ahead in enumerate((HOUR, timedelta(0), -HOUR, timedelta(0)), 1):
        generations = {name: status(stage.get(stage.grant_path(name)))["tokenGeneration"] for name in names}
        clock.set(ahead)
        _stir(stage, steps)
        for name in names:
            stage.wait_refreshed(name, generations[name])
        assert len(stage.presented()) == steps * GRANTS, "each refresh token once for each step, and no storm"
        seen = [entry["grant_type"] for entry in stage.auth_server.ledger(other)]
        is_over = time.monotonic() - held_since > CLAIM_RESPECTED_FOR.total_seconds()
        assert is_over or seen == ["authorization_code"]
        _see_truth(stage, names, datetime.now(UTC) + ahead)
    assert max(Counter(stage.presented()).values()) == 1
    times = [datetime.fromisoformat(entry["time"]) for entry in stage.auth_server.ledger(stage.client_id)][GRANTS:]
    for number, at in enumerate(times):
        assert sum(other - at < timedelta(seconds=1) for other in times[number:]) <= RATE + 1, "a claim and a handshake lie in between"
    assert {key: _lease(stage)[key] for key in LEADER} == {key: lease[key] for key in LEADER}


def _stir(stage: Stage, number: int) -> None:
    """Have all grants looked at, as a sweep does every five minutes."""
    path, patch = f"{API}/namespaces/{stage.namespace}/oauthconnectors/calendar", {"spec": {"limits": {"concurrency": 8 + number}}}
    with stage.control_plane.client() as client:
        client.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()


def _see_truth(stage: Stage, names: list[str], now: datetime) -> None:
    """Every grant is ready, what it delivers is live, and it says of that what the clock makes of an hour's life."""
    for name in names:
        grant = stage.get(stage.grant_path(name))
        assert condition(grant, "Ready")["status"] == "True"
        assert stage.auth_server.introspect(stage.delivered(name)["access_token"])["active"]
        assert timedelta(minutes=58) < datetime.fromisoformat(status(grant)["expirationTime"]) - now <= HOUR


def _claim_by_another(stage: Stage, name: str) -> None:
    """Another holder says that it is about to present something of this grant; nobody knows whether it lives."""
    claim = {
        "attempt": secrets.token_hex(16),
        "holder": {"pod": "another", "boot": "its only"},
        "spending": "refresh_token",
        "hash": "0" * 64,
        "generation": 1,
        "presentations": 1,
        "lost": False,
    }
    path = f"/api/v1/namespaces/{stage.installation.namespace}/secrets/{stage.sealed(name)['metadata']['name']}"
    patch = {"data": {"claim": base64.b64encode(json.dumps(claim).encode()).decode()}}
    with stage.control_plane.client() as client:
        client.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()


def _lease(stage: Stage) -> dict[str, Any]:
    return dict(stage.get(LEASE)["spec"])
