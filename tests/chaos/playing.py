"""One cell of the matrix, played: a consent of its own, a controller killed at one step, its next life, and what came of it."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from chaos.families import Family, Manner
from chaos.predictions import STEPS, TABLE, Course, End, Outcome, Row
from chaos.seeing import Eyes, Object, Sight
from chaos.serving import Server
from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import Answer, Redirect, write_answer
from grantkeeper.consent.tickets import Ticket
from grantkeeper.failpoints import VARIABLE
from parts import PartFailed
from parts.launcher import Installation

API = "/apis/grantkeeper.dev/v1alpha1"
SHORT, LONG = 16, 7 * 24 * 3600
"""Lifetimes of access tokens, in seconds: one that is due in four, and one that is not due in any run.

What fell due meanwhile would come by the failpoint in the place of the cell that is played.
"""
REACHING, RECOVERING = 60.0, 60.0
AT_ONCE = 4.0
"""Seconds from the moment when a process is ready to a refresh that waits for nothing but a first back-off."""
PREPARED_AT_MOST = 5
"""Times."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One crash with one kind of server."""

    row: Row
    manner: Manner
    is_certified: bool = False
    """Played by the certified server, and not by the scripted one."""

    @property
    def predicted(self) -> Outcome:
        """What must come of it."""
        return TABLE[self.row, self.manner]


@dataclass(slots=True)
class Played:
    """A cell that was played."""

    cell: Cell
    name: str
    """The grant's."""
    seen: Outcome | None
    """None where the failpoint was not reached."""
    faults: tuple[str, ...] = ()
    took: float = 0.0

    @property
    def is_as_predicted(self) -> bool:
        """Whether all is well."""
        return self.seen == self.cell.predicted and not self.faults


@dataclass(slots=True)
class Theatre:
    """One namespace, one server, a connector for each of its manners, and a controller that is killed again and again."""

    installation: Installation
    server: Server
    namespace: str
    manners: tuple[Manner, ...]
    _client: httpx.Client
    eyes: Eyes = field(init=False)

    def __post_init__(self) -> None:
        journal = Path(self.installation.controller.environment["GRANTKEEPER_JOURNAL_DIRECTORY"])
        self.eyes = Eyes(self._client, self.server, self.namespace, self.installation.namespace, journal)

    def build(self) -> None:
        """Apply a connector for each manner, and wait until they are ready."""
        for manner in self.manners:
            spec = {"consent": {"link": "Status"}, **self.server.describe(manner)}
            self._create("oauthconnectors", manner.value, spec)
        for manner in self.manners:
            path = f"{API}/namespaces/{self.namespace}/oauthconnectors/{manner.value}"
            self._wait(lambda path=path: _is_ready(self.eyes.get(path)), f"the connector {manner} to be ready")  # type: ignore[misc]

    def play(self, cell: Cell) -> Played:
        """Play one cell. The controller runs when it begins and when it has ended."""
        begun = time.monotonic()
        try:
            return self._play(cell, begun)
        except PartFailed as failure:
            self.installation.controller.kill()
            self.installation.controller.start()
            return Played(cell, "", None, (str(failure),), time.monotonic() - begun)

    def _play(self, cell: Cell, begun: float) -> Played:
        name, before = self._stand_by(cell)
        self._bring_on(cell, name, before)
        if cell.row.course is Course.FROZEN:
            return self._rival(cell, name, before, begun)
        if not self._die(cell):
            raise PartFailed("the failpoint was not reached")
        died_at, entries = time.time(), self._count_entries(cell, name)
        self.installation.controller.start()
        self.installation.controller.wait_until_ready()
        seen, faults = self._recover(cell, name, before, (died_at, time.time()), entries)
        return Played(cell, name, seen, faults, time.monotonic() - begun)

    def _rival(self, cell: Cell, name: str, before: Sight, begun: float) -> Played:
        """Play the cell in which nobody dies."""
        controller = self.installation.controller
        controller.start(**{VARIABLE: f"{cell.row.failpoint}:stop@1"})
        self._wait(lambda: is_stopped(controller.pid), "the process to be frozen")
        stopped_at = time.time()
        self.eyes.store_as_rival(name)
        controller.kill(signal.SIGCONT)
        seen, faults = self._recover(cell, name, before, (stopped_at, time.time()), entries=0)
        return Played(cell, name, seen, faults, time.monotonic() - begun)

    def check_again(self, played: Played) -> None:
        """At the end of all: whether what was true of a cell still is."""
        if played.seen is None:
            return
        presented, ended = self._count_presented(played.cell, played.name), self.server.is_ended(played.name)
        if (presented, ended) != (played.seen.presented, played.seen.ended):
            played.faults += (f"later, {presented} presented, {'ended' if ended else 'not ended'}",)

    def _stand_by(self, cell: Cell) -> tuple[str, Sight]:
        """End the controller right before the course; with another grant where a slow machine let the course begin by itself."""
        for _ in range(PREPARED_AT_MOST):
            name = self._prepare(cell)
            self.installation.controller.kill()
            before = self.eyes.look(name)
            if self._count_presented(cell, name) == 0 and (before.sealed is None or before.sealed.claim is None):
                return name, before
            self._client.delete(f"{API}/namespaces/{self.namespace}/usergrants/{name}").raise_for_status()
            self.installation.controller.start()
            self._wait(lambda name=name: self.eyes.look(name).grant is None, f"{name} to go")  # type: ignore[misc]
        raise PartFailed("the machine is too slow: each time the course had begun before the controller was ended")

    def _prepare(self, cell: Cell) -> str:
        """A grant that stands right before the course: with tokens, or asked for."""
        name = f"{cell.row.course}-{secrets.token_hex(4)}"
        body = {"connectorRef": {"name": cell.manner.value}, "user": f"{name}@example.com", "secrets": [{"name": f"{name}-token"}]}
        self._create("usergrants", name, body)
        self._wait(lambda: self.eyes.look(name).link is not None, f"{name} to be asked for")
        if cell.row.course is not Course.EXCHANGE:
            self._consent(cell, name)
            self._wait(lambda: self.eyes.look(name).is_settled, f"{name} to be ready")
        return name

    def _bring_on(self, cell: Cell, name: str, before: Sight) -> None:
        """While the controller is down: what makes its next life take the course."""
        match cell.row.course:
            case Course.EXCHANGE:
                self._consent(cell, name, link=before.link)
            case Course.RELEASE:
                self._client.delete(f"{API}/namespaces/{self.namespace}/usergrants/{name}").raise_for_status()
            case Course.REFRESH | Course.FROZEN:
                self.server.let_live(self._family(cell, name))  # its time does the rest

    def _consent(self, cell: Cell, name: str, *, link: str | None = None) -> None:
        """Somebody consents, and the pages hand over what their browser brought back."""
        link = link or self.eyes.look(name).link or ""
        arrival = self.server.consent(self._family(cell, name), link)
        request = urlsplit(link).path.rpartition("/")[2]
        callback = Callback(self.namespace, cell.manner.value)
        redirect = Redirect(SecretStr(secrets.token_urlsafe(32)), SecretStr(arrival.code), error=None, iss=arrival.iss)
        ticket = Ticket(Link(self.namespace, name, SecretStr(request)), redirect.state)
        answer = Answer(ticket, callback, self.installation.external_url + callback.path, redirect, datetime.now(UTC))
        home = self.installation.namespace
        self._client.post(f"/api/v1/namespaces/{home}/secrets", json=write_answer(answer, 1, home)).raise_for_status()

    def _family(self, cell: Cell, name: str) -> Family:
        course, is_refused = cell.row.course, STEPS[cell.row].is_refused
        refused = {"authorization_code" if course is Course.EXCHANGE else "refresh_token": 1} if is_refused else {}
        return Family(
            name, cell.manner, lifetime=SHORT if course in {Course.REFRESH, Course.FROZEN} else LONG, later=LONG, refusals=refused
        )

    def _die(self, cell: Cell) -> bool:
        """Whether a life that is to be killed at this step was."""
        controller = self.installation.controller
        controller.start(**{VARIABLE: f"{cell.row.failpoint}:kill"})
        try:
            return controller.wait(REACHING) == -signal.SIGKILL
        except PartFailed:
            return False

    def _count_entries(self, cell: Cell, name: str) -> int:
        """How many entries the next life finds. One of what is stored goes a moment later; where none is predicted, it counts as gone."""
        sight = self.eyes.look(name)
        stored = sight.sealed.meta.attempt if sight.sealed and sight.sealed.meta and not cell.predicted.journaled else None
        return sum(attempt != stored for attempt in self.eyes.find_entries(sight.uid))

    def _recover(self, cell: Cell, name: str, before: Sight, between: tuple[float, float], entries: int) -> tuple[Outcome, tuple[str, ...]]:
        """Wait until all is as predicted, or too long; what is there then."""
        deadline = time.monotonic() + RECOVERING
        while True:
            sight = self.eyes.look(name)
            faults = sight.find_faults()
            ended, presented = self.server.is_ended(name), self._count_presented(cell, name)
            patient = self._is_patient(cell, name, before, *between)
            if patient is None:  # too slow a machine to tell, or nothing was presented again
                patient = cell.predicted.patient
            seen = Outcome(_end_of(sight, before), presented, journaled=entries > 0, patient=patient, ended=ended, aside=sight.aside > 0)
            if (seen == cell.predicted and not faults) or time.monotonic() > deadline:
                return seen, faults
            time.sleep(0.2)

    def _count_presented(self, cell: Cell, name: str) -> int:
        grant_type = "authorization_code" if cell.row.course is Course.EXCHANGE else "refresh_token"
        return sum(entry.grant_type == grant_type for entry in self.server.seen(name))

    def _is_patient(self, cell: Cell, name: str, before: Sight, died_at: float, ready_at: float) -> bool | None:
        """Whether the next life presented the token only when the access token was of no more use; None where that cannot be told."""
        times = [entry.time for entry in self.server.seen(name) if entry.grant_type == "refresh_token"]
        again = times[1:] if STEPS[cell.row].is_sent else [moment for moment in times if moment > died_at]
        if not again or before.risk_at is None:
            return None
        if again[0] < before.risk_at:
            return False
        return True if ready_at + AT_ONCE < before.risk_at else None

    def _create(self, plural: str, name: str, spec: Object) -> None:
        kind = {"usergrants": "UserGrant", "oauthconnectors": "OAuthConnector"}[plural]
        body = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        answer = self._client.post(f"{API}/namespaces/{self.namespace}/{plural}", json=body)
        if answer.is_error:
            raise PartFailed(f"{kind} {name} is refused: {answer.json()['message']}")

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + RECOVERING
        while not holds():
            if time.monotonic() > deadline:
                raise PartFailed(f"waited {RECOVERING:.0f} s in vain for {what}")
            time.sleep(0.1)


def _end_of(sight: Sight, before: Sight) -> str:
    if sight.grant is None:
        return End.GONE
    if sight.is_ready:
        return End.READY
    if sight.reason in {"ReauthorizationRequired", "ExchangeFailed"} and sight.link not in {None, before.link}:
        return End.ASKED
    return sight.reason


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by SIGSTOP or by itself."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _is_ready(connector: Object | None) -> bool:
    conditions = ((connector or {}).get("status") or {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
