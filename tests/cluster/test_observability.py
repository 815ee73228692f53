"""What the processes say of themselves, beside what the authorization server's ledger and the cluster say."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.metrics import number
from cluster.relay import Relay
from cluster.stage import Stage
from parts.controlplane import ControlPlane
from parts.launcher import Container, Installation
from parts.processes import Child, free_port
from parts.waiting import wait_for

GRANTKEEPER = Path(sys.executable).with_name("grantkeeper")


def wait_counted(controller: Container, connector: str, reason: str) -> None:
    """The one grant of a connector is counted so. A status can be seen before its writer has read the answer."""
    wait_for(lambda: number(controller, "grantkeeper_grants", connector=connector, reason=reason) == 1, f"it to be counted as {reason}")


def test_the_controller_counts_what_the_ledger_shows(stage: Stage) -> None:
    controller, connector = stage.installation.controller, f"{stage.namespace}/calendar"
    exchanged = number(controller, "grantkeeper_exchange_total", outcome="granted")
    delivered = number(controller, "grantkeeper_delivered_total")
    took = number(controller, "grantkeeper_refresh_duration_seconds_count")
    stage.add_connector(lifetime=8)
    stage.add_grant()
    stage.link()
    wait_counted(controller, connector, "AwaitingConsent")
    stage.consent()
    stage.wait_refreshed("alice", 1)
    wait_counted(controller, connector, "Ready")
    assert number(controller, "grantkeeper_grants", connector=connector, reason="AwaitingConsent") == 0
    wait_for(
        lambda: number(controller, "grantkeeper_refresh_total", connector=connector, outcome="granted") == len(stage.presented()) >= 1,
        "the refreshes of the ledger",
    )
    tokens = {"connector": connector, "endpoint": "token", "outcome": "2xx"}
    wait_for(
        lambda: number(controller, "grantkeeper_provider_requests_total", **tokens) == len(stage.presented()) + 1,
        "the token requests of the ledger",
    )
    assert number(controller, "grantkeeper_provider_requests_total", **(tokens | {"endpoint": "discovery"})) >= 1
    assert number(controller, "grantkeeper_exchange_total", outcome="granted") == exchanged + 1
    assert number(controller, "grantkeeper_delivered_total") >= delivered + 2
    assert number(controller, "grantkeeper_refresh_duration_seconds_count") >= took + 1
    assert stage.delete(stage.grant_path()).is_success
    revocations = tokens | {"endpoint": "revocation"}
    wait_for(lambda: number(controller, "grantkeeper_provider_requests_total", **revocations) == 2, "both tokens to be revoked")


def test_refused_refreshes_and_lost_ways_have_their_own_words(stage: Stage) -> None:
    controller, connector = stage.installation.controller, f"{stage.namespace}/calendar"
    stage.make_ready(lifetime=8)
    stage.auth_server.forget("alice")
    stage.wait_reason("alice", "ReauthorizationRequired")
    assert number(controller, "grantkeeper_refresh_total", connector=connector, outcome="dead") == 1
    assert number(controller, "grantkeeper_provider_requests_total", connector=connector, endpoint="token", outcome="4xx") == 1
    wait_counted(controller, connector, "ReauthorizationRequired")


def test_the_pages_count_what_people_see_and_bring_back(stage: Stage) -> None:
    consent = stage.installation.consent

    def pages(page: str) -> float:
        return number(consent, "grantkeeper_consent_pages_total", page=page)

    def answers(outcome: str) -> float:
        return number(consent, "grantkeeper_answers_total", outcome=outcome)

    stage.add_connector()
    stage.add_grant()
    before = {page: pages(page) for page in ("question", "departure", "refused", "connected")}
    brought = {outcome: answers(outcome) for outcome in ("code", "error", "surplus")}
    first = stage.link()
    stage.consent(deny=True)
    stage.wait_grant("alice", lambda grant: grant["status"].get("consentURL") not in {None, first})
    stage.consent()
    stage.wait_ready()
    assert {page: pages(page) - count for page, count in before.items()} == {"question": 2, "departure": 2, "refused": 1, "connected": 1}
    assert {outcome: answers(outcome) - count for outcome, count in brought.items()} == {"code": 1, "error": 1, "surplus": 0}


def test_no_number_tells_of_a_person(stage: Stage) -> None:
    grant = stage.make_ready()
    for container in (stage.installation.controller, stage.installation.consent):
        told = container.probe("/metrics").text
        assert "alice" not in told
        assert grant["metadata"]["uid"] not in told


def test_a_controller_that_is_stopped_is_not_healthy(grantkeeper: Installation) -> None:
    controller = grantkeeper.controller
    controller.wait_until_ready()
    assert controller.probe("/healthz").text == "ok\n"
    controller.kill(signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            controller.probe("/healthz")
    finally:
        controller.kill(signal.SIGCONT)
    assert controller.probe("/healthz").is_success


@pytest.fixture
def way(control_plane: ControlPlane) -> Iterator[Relay]:
    with Relay(control_plane.port) as relay:
        yield relay


def test_pages_without_an_api_server_are_not_ready_and_live_on(grantkeeper: Installation, way: Relay, tmp_path: Path) -> None:
    observers = free_port()
    changed = {
        "KUBERNETES_SERVICE_PORT": str(way.port),
        "GRANTKEEPER_LISTEN": f"127.0.0.1:{free_port()}",
        "GRANTKEEPER_METRICS_LISTEN": f"127.0.0.1:{observers}",
    }
    environment = {**grantkeeper.consent.environment, **changed}

    def status(path: str) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{observers}{path}", timeout=5, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    child = Child.start("consent", [GRANTKEEPER, "consent"], log=tmp_path / "consent.log", environment=environment)
    try:
        child.wait_until(lambda: status("/readyz") == 200, timeout=20)
        way.cut()
        child.wait_until(lambda: status("/readyz") == 503, timeout=45)
        assert status("/healthz") == 200
        way.mend()
        child.wait_until(lambda: status("/readyz") == 200, timeout=20)
    finally:
        child.stop()
