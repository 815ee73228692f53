"""Three replicas on real parts: one leads, whatever becomes of it, and of the API server. The ledger and every version ever written count.

They reach the API server through a gateway each. What takes minutes in earnest, such as an outage of ten, is told in the stories.
"""

from __future__ import annotations

import base64
import json
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest

from cluster.gateway import Gateway
from cluster.metrics import number
from cluster.stage import WITHIN, Stage, condition, status
from cluster.witness import Object, Witness
from parts.audit import Call
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Container, Installation
from parts.waiting import wait_for

LASTS, GIVES_UP_AFTER, SLACK = 15.0, 10.0, 8.0
"""Seconds: of the lease, without renewing it until a leader leads no more, and for this machine to be slow in."""
LEASE = "/apis/coordination.k8s.io/v1/namespaces/grantkeeper/leases/grantkeeper-controller"
GENERATION = "grantkeeper.dev/generation"


@dataclass(slots=True)
class House:
    """Three controllers, a way to the API server for each, and somebody who sees every version of everything."""

    control_plane: ControlPlane
    auth_server: AuthServer
    installation: Installation
    gateways: dict[str, Gateway]
    """By the name of the Pod whose way it is."""
    witness: Witness

    @property
    def controllers(self) -> list[Container]:
        """All three."""
        return self.installation.controllers

    def way_of(self, container: Container) -> Gateway:
        """How a controller reaches the API server."""
        return self.gateways[name_of(container)]

    def leader(self) -> Container | None:
        """Who is in the Lease."""
        with self.control_plane.client() as client:
            answer = client.get(LEASE)
        holder = answer.json()["spec"]["holderIdentity"] if answer.is_success else ""
        return next((container for container in self.controllers if name_of(container) == holder.partition("/")[0]), None)

    def count_said(self, event: str) -> int:
        """How often any of them has said this in its log."""
        return sum(container.log.read_text().count(event) for container in self.controllers)

    def wait_leader(self, *, but: Container | None = None, within: float = WITHIN) -> Container:
        """Who leads and knows it, once it is another than `but`."""
        found: list[Container] = []

        def look() -> bool:
            leader = self.leader()
            found[:] = [leader] if leader is not None and leader is not but and leads(leader) else []
            return bool(found)

        wait_for(look, "a leader", within=within)
        return found[0]

    def wait_renewed(self) -> None:
        """Return when the lease has just been renewed."""
        with self.control_plane.client() as client:
            renewed = client.get(LEASE).json()["spec"]["renewTime"]
            wait_for(lambda: client.get(LEASE).json()["spec"]["renewTime"] != renewed, "the lease to be renewed")

    def standby(self) -> Container:
        """One that does not lead."""
        return next(container for container in self.controllers if container is not self.leader())

    def mend(self) -> None:
        """Everything runs and can be reached, and somebody leads."""
        for gateway in self.gateways.values():
            gateway.faults = []
        for container in self.controllers:
            container.kill(signal.SIGCONT)
            if not container.is_alive:
                container.start()
        for container in self.controllers:
            container.wait_until_ready()
        self.wait_leader()

    def writes_of(self, container: Container, since: int) -> list[Call]:
        """What a controller has asked to be changed."""
        return [call for call in self.control_plane.calls(since) if call.pod == name_of(container) and call.is_write]


def name_of(container: Container) -> str:
    return str(container.pod["metadata"]["name"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, auth_server: AuthServer) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("three")
    with ExitStack() as running:
        control_plane = running.enter_context(ControlPlane(directory / "control-plane"))
        gateways = [running.enter_context(Gateway(control_plane)) for _ in range(3)]
        installation = running.enter_context(
            Installation(
                control_plane,
                directory / "grantkeeper",
                values={"controller": {"replicas": 3}},
                ways=[gateway.port for gateway in gateways],
            )
        )
        witness = Witness(control_plane)
        witness.watch()
        ways = {str(gateway.port): gateway for gateway in gateways}
        by_name = {name_of(c): ways[c.environment["KUBERNETES_SERVICE_PORT"]] for c in installation.controllers}
        yield House(control_plane, auth_server, installation, by_name, witness)


@pytest.fixture
def stage(house: House) -> Iterator[Stage]:
    """A namespace of a test's own; at its end no refresh token was presented twice, and no generation was ever turned back."""
    house.mend()
    name = f"test-{secrets.token_hex(4)}"
    house.control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    stage = Stage(house.control_plane, house.auth_server, house.installation, name)
    try:
        yield stage
    finally:
        house.auth_server.release()
        house.auth_server.thaw()
        house.mend()
    presented = stage.presented()
    assert len(presented) == len(set(presented)), "a refresh token was presented twice"
    house.witness.catch_up()
    for kind, read in (("UserGrant", _reported), ("Secret", _delivered)):
        shown = [read(body) for body in house.witness.seen if body["kind"] == kind and body["metadata"].get("namespace") == name]
        generations = [generation for generation in shown if generation]
        assert generations == sorted(generations), f"a {kind} was turned back"
    assert not [s for s in house.witness.seen if s["kind"] == "Secret" and s["metadata"]["name"].startswith("recovered-")]
    house.control_plane.kubectl("delete", "namespace", name, "--wait=false")


def _reported(grant: Object) -> int:
    return int(grant.get("status", {}).get("tokenGeneration") or 0)


def _delivered(secret: Object) -> int:
    return int((secret["metadata"].get("annotations") or {}).get(GENERATION) or 0)


@contextmanager
def timed(least: float, most: float) -> Iterator[None]:
    """Fail when what happens inside takes less or more, in seconds."""
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began <= most


def hold_refresh(stage: Stage) -> None:
    """A refresh is at the server, and its answer held back; nobody waits for it longer than ten seconds."""
    stage.auth_server.hold()
    stage.ask_for_refresh("now")
    wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "a refresh to be in flight")


def generation(stage: Stage) -> int:
    return _reported(stage.get(stage.grant_path()))


def test_one_of_three_leads_the_others_are_ready_and_touch_nothing_but_the_lease(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=8)
    leader, since = house.leader(), len(house.control_plane.calls())
    stage.wait_refreshed("alice", generation(stage))
    assert leader is not None
    assert {container.probe(path).status_code for container in house.controllers for path in ("/readyz", "/healthz")} == {200}
    assert sum(number(container, "grantkeeper_leader") for container in house.controllers) == number(leader, "grantkeeper_leader") == 1
    wait_for(lambda: any((call.verb, call.resource) == ("update", "leases") for call in house.writes_of(leader, since)), "it to renew")
    calls = house.control_plane.calls(since)
    for container in house.controllers:
        touched = {(call.verb, call.resource) for call in calls if call.pod == name_of(container)}
        if container is not leader:
            assert touched == {("get", "leases")}


def test_a_killed_leader_is_followed_when_its_lease_is_over(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=24)
    before, killed = generation(stage), house.wait_leader()
    house.wait_renewed()
    stage.pause_between_refreshes("alice", of=killed)
    with timed(LASTS - 6, LASTS + 2 + SLACK):
        killed.kill()
        house.wait_leader(but=killed)
    stage.wait_refreshed("alice", before)
    assert house.leader() is not killed


def test_a_killed_leader_that_is_back_at_once_leads_again_at_once(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=24)
    before, killed = generation(stage), house.wait_leader()
    house.wait_renewed()
    stage.pause_between_refreshes("alice", of=killed)
    killed.kill()
    with timed(0, LASTS - 2):
        killed.start()
        wait_for(lambda: leads(killed), "it to lead")
    assert house.leader() is killed
    stage.wait_refreshed("alice", before)


def leads(container: Container) -> bool:
    try:
        return number(container, "grantkeeper_leader") == 1
    except httpx.HTTPError:
        return False


def test_an_ended_leader_is_followed_at_once(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=8)
    before, ended = generation(stage), house.wait_leader()
    house.wait_renewed()
    with timed(0, 2 + SLACK):
        ended.kill(signal.SIGTERM)
        house.wait_leader(but=ended)
    assert ended.wait(WITHIN) == 0
    stage.wait_refreshed("alice", before)


def test_an_ended_leader_stores_what_is_in_flight_before_it_gives_the_lease_back(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=12)
    before, ended = generation(stage), house.wait_leader()
    hold_refresh(stage)
    ended.kill(signal.SIGTERM)
    time.sleep(2)  # the absence of something has no condition to wait on
    assert house.leader() is ended
    assert ended.is_alive
    stage.auth_server.release()
    with timed(0, 2 + SLACK):
        house.wait_leader(but=ended)
    assert ended.wait(WITHIN) == 0
    stage.wait_refreshed("alice", before)
    assert len(stage.presented()) == len(set(stage.presented()))


def test_a_leader_that_is_stopped_past_its_lease_stores_what_had_come_and_begins_nothing(house: House, stage: Stage) -> None:
    stage.make_ready("alice", lifetime=24)
    stage.add_grant("bob")
    stage.consent("bob")
    bobs_before = _reported(stage.wait_ready("bob"))
    before, stopped = generation(stage), house.wait_leader()
    hold_refresh(stage)
    stopped.kill(signal.SIGSTOP)
    stage.auth_server.release()  # the answer waits in its socket; and bob falls due
    try:
        house.wait_leader(but=stopped)
        stage.wait_refreshed("bob", bobs_before)
        since = len(house.control_plane.calls())
    finally:
        stopped.kill(signal.SIGCONT)
    stage.wait_refreshed("alice", before)
    wait_for(lambda: '"standing by"' in stopped.log.read_text().rpartition('"leading"')[2], "it to stand by")
    assert not leads(stopped)
    assert stopped.probe("/readyz").is_success
    bobs = {stage.sealed("bob")["metadata"]["name"], "bob", "bob-token"}
    assert bobs & {call.name for call in house.writes_of(stopped, since)} == set()


def test_a_leader_that_only_cannot_reach_its_lease_stores_what_is_in_flight_and_begins_nothing_more(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=30)
    before, cut_off = generation(stage), house.wait_leader()
    house.wait_renewed()
    house.way_of(cut_off).faults = [(lambda _, path: "/leases/" in path, None)]
    time.sleep(GIVES_UP_AFTER - 3)  # the refresh begins before it gives up, and its answer is awaited until well after
    hold_refresh(stage)
    wait_for(lambda: number(cut_off, "grantkeeper_leader") == 0, "it to give up", within=GIVES_UP_AFTER + SLACK)
    assert cut_off.probe("/healthz").is_success
    stage.auth_server.release()
    stored = stage.wait_grant("alice", lambda _: _held_generation(stage) > before)
    house.wait_leader(but=cut_off)
    stage.wait_refreshed("alice", before)
    assert condition(stored, "Authorized")["status"] == "True"
    wait_for(lambda: cut_off.probe("/readyz").is_success, "it to stand by")


def _held_generation(stage: Stage) -> int:
    return int(json.loads(base64.b64decode(stage.sealed()["data"]["meta"]))["generation"])


def test_an_api_server_that_is_away_for_all_costs_nothing_and_makes_nobody_ill(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=40)
    before = generation(stage)
    hold_refresh(stage)
    for gateway in house.gateways.values():
        gateway.faults = [(lambda *_: True, None)]
    stage.auth_server.release()
    wait_for(lambda: not any(map(leads, house.controllers)), "nobody to lead", within=GIVES_UP_AFTER + SLACK)
    assert {container.probe("/healthz").status_code for container in house.controllers} == {200}
    for gateway in house.gateways.values():
        gateway.faults = []
    house.wait_leader()
    stage.wait_refreshed("alice", before)
    assert all(container.is_alive for container in house.controllers)


ODDLY: dict[int, frozenset[str]] = {
    429: frozenset({"get", "watch", "post", "put", "patch", "delete"}),
    500: frozenset({"get", "watch", "post", "put", "patch", "delete"}),
    409: frozenset({"post", "put", "patch", "delete"}),
    410: frozenset({"get", "watch"}),
}


def test_an_api_server_that_answers_oddly_for_a_while_costs_nothing(house: House, stage: Stage) -> None:
    stage.make_ready(lifetime=8)
    for answered, verbs in ODDLY.items():
        before = generation(stage)
        for gateway in house.gateways.values():
            gateway.met = 0
            gateway.faults = [(lambda verb, _, verbs=verbs: verb in verbs, answered)]  # type: ignore[misc]
        wait_for(lambda: sum(gateway.met for gateway in house.gateways.values()) >= 8, f"{answered} to be met")
        for gateway in house.gateways.values():
            gateway.faults = []
        stage.wait_refreshed("alice", before)
    assert all(container.is_alive for container in house.controllers)


def test_a_single_watch_that_is_refused_makes_nobody_deaf(house: House, stage: Stage) -> None:
    way = house.way_of(house.wait_leader())
    way.met = 0
    way.faults = [(lambda verb, path: verb == "watch" and path.endswith("/namespaces"), 410)]
    wait_for(lambda: way.met > 0, "a watch to be begun anew", within=WITHIN)
    way.faults = []
    stage.add_connector()
    stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    assert all(container.is_alive for container in house.controllers)


def test_an_api_server_that_is_slow_is_waited_for(house: House, stage: Stage) -> None:
    house.wait_leader()
    lost = house.count_said("the lease is lost")  # for whoever leads may still be ending for what was done to its watches before
    for gateway in house.gateways.values():
        gateway.faults = [(lambda verb, _: verb != "watch", 0.7)]
    stage.add_connector(lifetime=60)
    stage.add_grant()
    stage.wait_grant("alice", lambda grant: "consentURL" in status(grant))
    stage.consent()
    stage.wait_ready()
    assert house.count_said("the lease is lost") == lost


def test_watches_that_fall_silent_are_made_anew(house: House, stage: Stage) -> None:
    stage.add_connector()
    stage.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    way = house.way_of(house.wait_leader())
    way.faults = [(lambda verb, _: verb == "watch", None)]
    stage.add_grant()
    time.sleep(1)  # so that what was on its way is lost for good
    way.faults = []
    with timed(0, 25 + SLACK):
        stage.wait_grant("alice", lambda grant: "consentURL" in status(grant))
