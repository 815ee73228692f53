"""Both processes as children of one, on the real API server: they work, and they end together."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parts.launcher import Installation
from parts.processes import Child, free_port

GRANTKEEPER = Path(sys.executable).with_name("grantkeeper")


class Both:
    """The parent, and what there is to know of its children."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.observers = free_port(in_a_row=2)
        told = {"GRANTKEEPER_LISTEN": f"127.0.0.1:{free_port()}", "GRANTKEEPER_METRICS_LISTEN": f"127.0.0.1:{self.observers}"}
        self.child = Child.start("all-in-one", [GRANTKEEPER, "all-in-one"], log=log, environment={**environment, **told})

    def wait_until_at_work(self) -> None:
        """Return when both are ready, and the controller, which is ready before it leads, keeps grants."""
        ready = (self.observers, self.observers + 1)
        self.child.wait_until(lambda: all(map(_is_ready, ready)) and "keeping" in self.events(), timeout=120)

    def said(self) -> list[dict[str, object]]:
        """What all three have logged."""
        return [json.loads(line) for line in self.child.log.read_text().splitlines()]

    def events(self) -> list[object]:
        """The events among it."""
        return [line["event"] for line in self.said()]

    def pid_of(self, process: str) -> int:
        """The id of a child, as the parent logged it."""
        return next(int(str(line["pid"])) for line in self.said() if line["event"] == "started" and line["process"] == process)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def both(grantkeeper: Installation, tmp_path: Path) -> Iterator[Both]:
    """Started in the place of the controller that is installed, with its account."""
    grantkeeper.controller.stop()
    try:
        running = Both(dict(grantkeeper.controller.environment), tmp_path / "all-in-one.log")
        try:
            running.wait_until_at_work()
            yield running
        finally:
            running.child.stop(grace=60)
    finally:
        grantkeeper.controller.start()
        grantkeeper.controller.wait_until_keeping()


def test_both_finish_when_the_parent_is_asked_to_end(both: Both) -> None:
    children = [both.pid_of("controller"), both.pid_of("consent")]
    assert both.child.stop(grace=60) == 0
    assert "ended" in both.events(), "the controller finished what was in flight"
    assert all(map(is_gone, children))


@pytest.mark.parametrize(("killed", "other"), [("consent", "controller"), ("controller", "consent")])
def test_when_one_ends_so_does_the_other_and_the_status_says_so(both: Both, killed: str, other: str) -> None:
    survivor = both.pid_of(other)
    os.kill(both.pid_of(killed), signal.SIGKILL)
    assert both.child.wait(60) == 128 + signal.SIGKILL
    assert is_gone(survivor)
    (line,) = [line for line in both.said() if line["event"] == "a process ended by itself; the other one is ended too"]
    assert (line["process"], line["status"]) == (killed, -signal.SIGKILL)
