"""`python -m chaos.freezing`: the leader is frozen for a minute or two in the middle of a refresh, and a second replica takes over.

It freezes before the first byte, or after the last one with the answer waiting for it, at a certified server that ends the family of a
token that is presented again. What comes of it turns on how long the access token lives on: as long as it does, nobody presents what is
in doubt.
`--seconds 60,120 --lifetimes 40,300` are the defaults.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from chaos.playing import is_stopped
from cluster.metrics import number
from cluster.stage import Stage, condition
from grantkeeper.failpoints import VARIABLE
from parts import PartFailed
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Container, Installation
from parts.waiting import wait_for

BEFORE, AFTER = "refresh.claimed", "refresh.sent"
SETTLING = 150.0
"""Seconds after which nothing more is expected."""

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Cell:
    """One freeze; times in seconds."""

    failpoint: str
    seconds: float
    lifetime: int

    @property
    def may_be_lost(self) -> bool:
        """Whether it is the remainder: the next leader finds an access token of no more use, and presents what was spent."""
        return self.failpoint == AFTER and self.lifetime < self.seconds

    def __str__(self) -> str:
        point = "before the first byte" if self.failpoint == BEFORE else "with the answer waiting"
        return f"frozen for {self.seconds:.0f} s {point}, access tokens of {self.lifetime} s"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came of it."""

    presented: int
    """How often the refresh token reached the server."""
    reason: str
    """Of `Ready`, in the end."""
    is_live: bool
    """Whether the server accepts what is delivered."""
    said_after: float
    """Seconds from the thaw until that was said."""


def play(stage: Stage, cell: Cell) -> Frozen:
    """Freeze the leader in a refresh, let another one lead, thaw it, and see what is there when nothing more happens."""
    stage.add_connector(lifetime=cell.lifetime, refresh={"lifetimePercent": 10 if cell.lifetime > cell.seconds else 75})
    stage.add_grant()
    stage.consent()
    stage.wait_ready()
    leader, other = stage.installation.controllers
    for container in (leader, other):
        container.stop()
    leader.start(**{VARIABLE: f"{cell.failpoint}:stop@1"})
    wait_for(lambda: is_stopped(leader.pid) or _leads(leader), "it to lead")
    other.start()
    wait_for(lambda: is_stopped(leader.pid), "a refresh", within=cell.lifetime + 30)
    time.sleep(cell.seconds)
    before = stage.presented()
    leader.kill(signal.SIGCONT)
    thawed_at = time.monotonic()
    wait_for(lambda: '"standing by"' in leader.log.read_text().rpartition('"leading"')[2], "the old leader to stand by")
    if cell.may_be_lost:
        stage.wait_reason("alice", "ReauthorizationRequired", within=SETTLING)
    else:
        stage.wait_refreshed("alice", 1, within=SETTLING)
    said_after = time.monotonic() - thawed_at
    grant = stage.get(stage.grant_path())
    token = before[0] if before else stage.presented()[0]
    delivered = stage.delivered()["access_token"]
    return Frozen(stage.presented().count(token), condition(grant, "Ready")["reason"], _is_live(stage, delivered), said_after)


def _leads(container: Container) -> bool:
    try:
        return number(container, "grantkeeper_leader") == 1
    except httpx.HTTPError:
        return False


def _is_live(stage: Stage, token: str) -> bool:
    return bool(stage.auth_server.introspect(token)["active"])


@contextmanager
def opened(directory: Path) -> Iterator[Stage]:
    """Everything of its own, for the length of the block."""
    (directory / "grantkeeper").mkdir()
    with (
        ControlPlane(directory / "control-plane") as control_plane,
        AuthServer(directory / "authorization-server") as auth_server,
        Installation(control_plane, directory / "grantkeeper", values={"controller": {"replicas": 2}}) as installation,
    ):
        yield Stage(control_plane, auth_server, installation, "frozen")


def main() -> int:
    """Play; the exit status is 0 when no token was presented twice but in the remainder, and what was said is true."""
    parser = argparse.ArgumentParser(prog="python -m chaos.freezing")
    parser.add_argument("--seconds", default="60,120")
    parser.add_argument("--lifetimes", default="40,300")
    told = parser.parse_args()
    cells = [
        Cell(failpoint, float(seconds), int(lifetime))
        for lifetime in told.lifetimes.split(",")
        for seconds in told.seconds.split(",")
        for failpoint in (BEFORE, AFTER)
    ]
    is_well = True
    for cell in cells:
        try:
            with tempfile.TemporaryDirectory(prefix="grantkeeper-freezing-") as directory, opened(Path(directory)) as stage:
                stage.control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}])
                seen = play(stage, cell)
        except (PartFailed, AssertionError) as failure:
            console.print(f"[red]✗[/] {cell}: {failure}", soft_wrap=True)
            is_well = False
            continue
        is_right = (seen.presented, seen.is_live) == ((2, False) if cell.may_be_lost else (1, True))
        is_well = is_well and is_right
        console.print(f"{'[green]✓[/]' if is_right else '[red]✗[/]'} {cell}: {seen}", soft_wrap=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
