"""The record of a run of everyday life: its steps in lines that can be replayed, and the settlings in which everything is looked at."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from cluster import everyday_mishaps, everyday_people
from cluster.everyday import LONG, Connector, Fate, Grant, Life, Object
from cluster.everyday_steps import STEPS
from cluster.invariants import find_unsettled
from cluster.invariants_at_all_times import find_misplaced, find_presented_again, find_told_wrongly
from cluster.leaks import Exhibit, search
from cluster.stage import API, CLIENT_SECRET, condition, status
from cluster.witness import exhibit_object
from parts.waiting import wait_for

KINDS_OF_STEPS = (everyday_people, everyday_mishaps)
"""Importing them is what puts their steps on the list."""
SETTLES_WITHIN = 100.0
"""Seconds: a refresh that failed again and again is tried every minute."""
CANARY = "canary"


@dataclass
class Diary:
    """What was done, in lines that can be replayed, and what has been looked at already."""

    life: Life
    issued: Path
    seed: int
    record: Path
    """The lines once more, for a run that is ended from outside."""
    lines: list[str] = field(default_factory=list)
    seen: int = 0
    read: dict[Path, int] = field(default_factory=dict)

    def note(self, line: str) -> None:
        """Write a line, with the time."""
        self.lines.append(f"{line}  # {datetime.now(UTC):%H:%M:%S}")
        self.record.write_text("\n".join([*self.lines, ""]))

    def take(self, name: str, subject: object, number: int) -> None:
        """Take one step."""
        of = f"{subject.namespace}/{subject.name}" if isinstance(subject, Grant | Connector) else "-"
        self.note(f"{name} {of} {number}")
        STEPS[name].take(self.life, subject, Random(number))  # noqa: S311  # a test's dice

    def settle(self) -> None:
        """Everything is up; wait until all is as it must be, and then look at everything that was written."""
        self.note("settle - 0")
        for part in ("server", "controller", "consent"):
            self.life.raise_up(part)
        deadline = time.monotonic() + SETTLES_WITHIN
        while unsettled := find_unsettled(self.life):
            assert time.monotonic() < deadline, f"after {SETTLES_WITHIN:.0f} s:\n" + "\n".join(unsettled)
            time.sleep(0.2)
        self._learn_fates()
        self.stay_quiet()
        self._look_back()

    def _learn_fates(self) -> None:
        """Of several fates a grant could have, it had the one that shows now; without its connector that stays open."""
        for grant in self.life.grants:
            if grant.spec is not None and grant.connector.is_sound and not grant.is_replaced and len(grant.fates) > 1:
                grant.fates = {Fate(condition(self.life.find(grant.path) or {}, "Authorized")["reason"])}

    def stay_quiet(self, since: int | None = None) -> None:
        """Nothing is written about what has not changed, though everything is looked at again; from now on, or since so many calls."""
        sound = {(c.namespace, "oauthconnectors/status", c.name) for c in self.life.connectors if c.is_sound and self.is_counted(c)}
        calls = len(self.life.control_plane.calls()) if since is None else since
        for grant in self.life.grants:
            if grant.spec is not None:
                self.life.patch(grant.path, {"metadata": {"annotations": {"example.com/looked-at": str(calls)}}})
        self._wait_for_the_canary()
        for grant in self.life.grants:
            # That a client Secret has gone may be noticed at any moment; what lives briefly is refreshed.
            is_idle = grant.connector.lifetime == LONG or not any(fate.holds_tokens for fate in grant.fates)
            if grant.spec is not None and is_idle and (grant.connector.is_sound or not grant.connector.exists):
                about = {(grant.namespace, resource, grant.name) for resource in ("usergrants", "usergrants/status")}
                about |= {(grant.namespace, "secrets", entry["name"]) for entry in grant.entries}
                about.add((self.life.installation.namespace, "secrets", f"grant-{grant.uid}"))
                self._see_nothing_written(about, calls)
        self._see_nothing_written(sound, calls)

    def is_counted(self, connector: Connector) -> bool:
        """Whether a connector tells how many grants refer to it. Until it does, its status is about to be written: within ten seconds."""
        path = f"{API}/namespaces/{connector.namespace}/usergrants"
        refer = [grant for grant in (self.life.find(path) or {})["items"] if grant["spec"]["connectorRef"]["name"] == connector.name]
        return status(self.life.find(connector.path) or {}).get("grants") == len(refer)

    def _see_nothing_written(self, about: set[tuple[str, str, str]], since: int) -> None:
        """The controller has left these alone: objects by namespace, resource and name."""
        account = f"{self.life.installation.namespace}/grantkeeper-controller"
        calls = [call for call in self.life.control_plane.calls(since) if call.is_write and call.account == account]
        written = [call for call in calls if (call.namespace, call.resource, call.name) in about]
        assert written == [], f"nothing has changed, and this was written: {written}"

    def _wait_for_the_canary(self) -> None:
        """A grant of now is judged after everything that came before it has been."""
        namespace = self.life.grants[0].namespace
        path = f"{API}/namespaces/{namespace}/usergrants"
        spec = {"connectorRef": {"name": "nowhere"}, "user": CANARY}
        self.life.apply(path, {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "UserGrant", "metadata": {"name": CANARY}, "spec": spec})
        wait_for(
            lambda: condition(self.life.find(f"{path}/{CANARY}") or {}, "Ready")["reason"] == "ConnectorNotFound", "the canary to be judged"
        )
        self.life.api.delete(f"{path}/{CANARY}").raise_for_status()

    def _look_back(self) -> None:
        """What was written since the last settling; what was issued since then cannot have leaked before."""
        self.life.witness.catch_up()
        versions = self.life.witness.seen[self.seen :]
        self.seen += len(versions)
        exhibits, issued = self._exhibits(versions), self._issued()  # in this order: a secret is known before it can be looked for
        wrong = [
            *find_misplaced(self.life, issued),
            *find_told_wrongly(versions),
            *find_presented_again(self.life),
            *(f"leaked: {leak}" for leak in search(exhibits, issued | {CLIENT_SECRET: "client secret"})),
        ]
        assert wrong == [], "\n".join(wrong)

    def _issued(self) -> dict[str, str]:
        written = self.issued.read_text().splitlines() if self.issued.exists() else []
        entries = [json.loads(line) for line in written]
        links = [status(body).get("consentURL", "") for body in self.life.witness.seen if body["kind"] == "UserGrant"]
        ids = {link.rpartition("/")[2]: "request id" for link in links if link}
        return {entry["value"]: entry["kind"] for entry in entries if entry["kind"] != "token"} | ids

    def _exhibits(self, versions: list[Object]) -> list[Exhibit]:
        """Statuses (each once), events and logs. A link belongs in status.consentURL alone."""
        link = {("status", "consentURL"): frozenset({"request id"})}
        told = {json.dumps(status(body)): body for body in versions if body["kind"] in {"UserGrant", "OAuthConnector"}}
        exhibits = [part for body in told.values() for part in exhibit_object(body, link)]
        exhibits += [part for body in versions if body["kind"] == "Event" for part in exhibit_object(body, {})]
        for log in self.life.installation.logs:
            text = log.read_bytes()
            exhibits.append(Exhibit(f"log {log.name}", text[self.read.get(log, 0) :]))
            self.read[log] = len(text)
        return exhibits
