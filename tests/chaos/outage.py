"""`python -m chaos.outage`: the API server is away for ten minutes in earnest, and goes in the middle of a refresh.

Two replicas keep twenty grants at a certified server, which ends the family of a token that is presented again. kube-apiserver is killed
and started again (`--manners killed`), stopped, so that it is there and silent (`stopped`), or answers with errors (`odd`). What counts is
the authorization server's ledger, and that all is fresh again without anybody's doing. `tests/cluster/test_outage.py` plays a short one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from rich.console import Console

from cluster.gateway import Gateway
from cluster.stage import API, Object, Stage, condition, status
from parts import PartFailed
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.waiting import wait_for

NAMESPACE = "outage"
ODD_ANSWERS = (429, 500, 409, 410)
"""Each to every call, for a quarter of the time."""
HEALING = 120.0
"""Seconds that all may take until they are fresh again."""

console = Console(highlight=False)


class Manner(StrEnum):
    """How the API server is away."""

    KILLED = "killed"
    STOPPED = "stopped"
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class Sequel:
    """What came of an outage. Times are in seconds."""

    away: float
    in_flight: int
    """Refreshes whose answer was held back at the moment of the cut."""
    presented: int
    """Refresh tokens that reached the server between the cut and the end of the outage."""
    first_after: float
    """From the end of the outage until the first refresh token was presented."""
    fresh_after: float
    """From the end of the outage until every grant said that a live token is delivered."""
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"away {self.away:.0f} s, {self.in_flight} in flight; {self.presented} presented meanwhile; presented again after "
            f"{self.first_after:.1f} s, all fresh after {self.fresh_after:.1f} s; {'; '.join(self.faults) or 'no faults'}"
        )


@dataclass(slots=True)
class House:
    """What an outage is played in."""

    stage: Stage
    gateways: Sequence[Gateway]
    """The controllers' ways to the API server, where it is to answer oddly."""
    back_at: float = 0.0
    """When the outage ended: kube-apiserver was started again, for one."""

    def settle(self, grants: int, lifetime: int) -> None:
        """People consent, and all is in order."""
        names = [f"user-{number}" for number in range(grants)]
        self.stage.add_connector(lifetime=lifetime)
        for name in names:
            self.stage.add_grant(name)
        for name in names:
            self.stage.consent(name)
        wait_for(self.is_fresh, "all to be fresh", within=HEALING)

    def grants(self) -> list[Object]:
        """All of them, as they are now."""
        return list(self.stage.get(f"{API}/namespaces/{NAMESPACE}/usergrants")["items"])

    def is_fresh(self) -> bool:
        """Whether all say that a live token is delivered, and say so truly."""
        now = datetime.now(UTC)
        said = all(condition(grant, "Ready")["status"] == "True" for grant in self.grants())
        return said and all(datetime.fromisoformat(status(grant)["expirationTime"]) > now for grant in self.grants())

    def play(self, manner: Manner, seconds: float) -> Sequel:
        """Take the API server away for so long while a refresh is at the server, and see what comes of it."""
        server, controllers = self.stage.auth_server, self.stage.installation.controllers
        server.hold()
        wait_for(lambda: server.held(self.stage.client_id) > 0, "a refresh to be in flight", within=HEALING)
        before, cut_at, ill = len(self.stage.presented()), time.monotonic(), set[str]()
        with self._away(manner) as turns:
            in_flight = server.held(self.stage.client_id)
            server.release()
            for answered in turns:
                for gateway in self.gateways:
                    gateway.faults = [(lambda *_: True, answered)]
                until = time.monotonic() + seconds / len(turns)
                while time.monotonic() < until:
                    time.sleep(min(1.0, seconds / 20))
                    ill |= {container.pod["metadata"]["name"] for container in controllers if not container.probe("/healthz").is_success}
            presented = len(self.stage.presented()) - before
        first_after, is_fresh = None, False
        while not is_fresh and time.monotonic() < self.back_at + HEALING:
            time.sleep(0.1)
            if first_after is None and len(self.stage.presented()) > before + presented:
                first_after = time.monotonic() - self.back_at
            is_fresh = self.is_fresh()
        fresh_after = time.monotonic() - self.back_at
        faults = (*(f"{name} said that it is ill" for name in sorted(ill)), *self._find_faults())
        return Sequel(self.back_at - cut_at, in_flight, presented, first_after or 0.0, fresh_after, faults)

    def _find_faults(self) -> Iterator[str]:
        presented, stage = self.stage.presented(), self.stage
        if len(presented) != len(set(presented)):
            yield "a refresh token was presented twice"
        if refused := [entry["error"] for entry in stage.auth_server.ledger(stage.client_id) if entry["error"]]:
            yield f"the server refused: {', '.join(sorted(set(refused)))}"
        for grant in self.grants():
            name = grant["metadata"]["name"]
            if condition(grant, "Ready")["status"] != "True":
                yield f"{name} is {condition(grant, 'Ready')['reason']}"
            elif not stage.auth_server.introspect(stage.delivered(name)["access_token"])["active"]:
                yield f"what {name} delivers is not live"
        secrets = stage.get(f"/api/v1/namespaces/{stage.installation.namespace}/secrets")["items"]
        yield from (f"{s['metadata']['name']} was kept aside" for s in secrets if s["metadata"]["name"].startswith("recovered-"))
        dead = [container.pod["metadata"]["name"] for container in stage.installation.controllers if not container.is_alive]
        yield from (f"{name} ended" for name in dead)

    @contextmanager
    def _away(self, manner: Manner) -> Iterator[tuple[int | None, ...]]:
        """The API server is away for the length of the block, in these turns."""
        control_plane = self.stage.control_plane
        match manner:
            case Manner.KILLED:
                control_plane.kill_api_server()
                yield (None,)
                self.back_at = time.monotonic()
                control_plane.start_api_server()
            case Manner.STOPPED:
                os.kill(pid := control_plane.pid_of("kube-apiserver"), signal.SIGSTOP)
                try:
                    yield (None,)
                finally:
                    self.back_at = time.monotonic()
                    os.kill(pid, signal.SIGCONT)
            case Manner.ODD:
                yield ODD_ANSWERS
                self.back_at = time.monotonic()
                for gateway in self.gateways:
                    gateway.faults = []


@contextmanager
def opened(directory: Path, manner: Manner) -> Iterator[House]:
    """Everything of its own, for the length of the block: nobody else can do without an API server."""
    with ExitStack() as running:
        control_plane = running.enter_context(ControlPlane(directory / "control-plane"))
        auth_server = running.enter_context(AuthServer(directory / "authorization-server"))
        gateways = [running.enter_context(Gateway(control_plane)) for _ in range(2)] if manner is Manner.ODD else []
        (directory / "grantkeeper").mkdir()
        values, ways = {"controller": {"replicas": 2}}, [gateway.port for gateway in gateways]
        installation = running.enter_context(Installation(control_plane, directory / "grantkeeper", values=values, ways=ways))
        control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        yield House(Stage(control_plane, auth_server, installation, NAMESPACE), gateways)


def main() -> int:
    """Play one outage after another; the exit status is 0 when nothing was lost and nothing presented twice."""
    parser = argparse.ArgumentParser(prog="python -m chaos.outage")
    parser.add_argument("--manners", default=",".join(Manner))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--grants", type=int, default=20)
    parser.add_argument("--lifetime", type=int, default=60)
    told = parser.parse_args()
    is_well = True
    for manner in map(Manner, told.manners.split(",")):
        try:
            with tempfile.TemporaryDirectory(prefix="grantkeeper-outage-") as directory, opened(Path(directory), manner) as house:
                house.settle(told.grants, told.lifetime)
                sequel = house.play(manner, told.seconds)
        except PartFailed as failure:
            console.print(f"[red]✗[/] {manner}: {failure}")
            return 1
        console.print(f"{'[red]✗[/]' if sequel.faults else '[green]✓[/]'} {manner}: {sequel}", soft_wrap=True)
        is_well = is_well and not sequel.faults
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
