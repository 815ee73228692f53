"""The demo itself: apply the example, have somebody consent, and watch the token that the workload gets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from demo import consenting, example, screen
from demo.cluster import API, PATIENCE, Cluster, Object, status, wait_for, why_not_ready
from demo.report import Report, entries_of
from demo.settings import Settings
from demo.stage import Stage
from demo.workload import Workload, mount_of
from parts import PartFailed
from parts.authserver import INSPECTOR

CONNECTOR = f"{API}/oauthconnectors/calendar"
GRANT = f"{API}/usergrants/alice-calendar"
ENOUGH = 2
"""Tokens that the consumer must see: the first one and a refreshed one."""
EVERY = 0.5
"""Seconds between two looks."""
GRACE = timedelta(seconds=15)
"""How long after its expiry a token may be without a successor."""


class Play:
    """One run, act by act, as a context manager; `report` says what happened so far."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self._stage = stage
        self._settings = settings
        self._cluster = Cluster(stage.control_plane)
        mount = mount_of(example.read(example.CONSUMER)[0])
        self._workload = Workload(mount, stage.directory / "token", self._cluster, stage.auth_server)
        self._link: str | None = None
        self._overdue: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cluster.close()

    @property
    def has_shown_enough(self) -> bool:
        """Whether the consumer has seen a first and a refreshed token."""
        return len(self._workload.seen) >= ENOUGH

    def report(self) -> Report:
        """What happened, in fingerprints. The ledger is complete when the server has stopped."""
        ledger = self._stage.auth_server.ledger()
        return Report(
            client_id=example.client_id(),
            seen=tuple(self._workload.seen),
            introspected=tuple(self._workload.introspected),
            ledger=entries_of(ledger, example.client_id(), INSPECTOR[0]),
        )

    # The acts

    def apply(self) -> None:
        """Apply the example, register its client at the server as an administrator would, and wait for the consent link."""
        server, cluster = self._stage.auth_server, self._stage.control_plane
        client_secret = secrets.token_urlsafe()
        replaced = example.substitutions(issuer=server.issuer, ca_bundle=server.ca_bundle, client_secret=client_secret)
        cluster.apply(example.read(example.CONNECTOR, replaced))
        cluster.kubectl("config", "set-context", "--current", f"--namespace={example.NAMESPACE}")
        redirect_uri = self._wait_for_status(CONNECTOR, "redirectURI")
        server.register(example.client_id(), client_secret, redirect_uris=[redirect_uri])
        cluster.apply(example.read(example.GRANT))
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", f"--timeout={PATIENCE:.0f}s")
        cluster.apply(example.read(example.CONSUMER))
        self._wait_for_status(GRANT, "consentURL")
        screen.show_example(replaced, example.client_id(), redirect_uri)
        screen.show_kubeconfig(cluster.kubeconfig)

    def consent(self) -> None:
        """Show the link, have it answered, and go on until the consumer sees the first token."""
        self._go_on(lambda: bool(self._workload.seen), lambda: "Waiting for the consent. Ctrl-C ends the demo.")

    def keep(self) -> None:
        """Show one token after the other: until the consumer has seen a refreshed one, or for ever unless once is enough."""
        self._go_on(lambda: self._settings.once and self.has_shown_enough, self._prospect)

    # What goes on in them

    def _go_on(self, done: Callable[[], bool], prospect: Callable[[], str]) -> None:
        with screen.waiting(prospect()) as line:
            while not done():
                self._stage.require_life()
                self._show_tables()
                self._bring_new_link()
                self._show_new_token()
                self._require_punctuality()
                line.update(prospect())
                time.sleep(EVERY)

    def _show_tables(self) -> None:
        for plural in ("oauthconnectors", "usergrants"):
            if table := self._cluster.news(plural):
                screen.show_table(f"kubectl get {plural}", table)

    def _bring_new_link(self) -> None:
        link = self._status(GRANT).get("consentURL")
        if link is None or link == self._link:
            return
        if self._settings.auto:
            consenting.play_the_person(link, self._stage.auth_server)
            self._overdue = datetime.now(UTC) + timedelta(seconds=PATIENCE)
        elif self._link is None:
            consenting.ask_the_person(link, self._stage.auth_server)
        else:
            consenting.ask_again(link)
        self._link = link

    def _show_new_token(self) -> None:
        before = self._workload.seen[-1] if self._workload.seen else None
        if not (sight := self._workload.look()):
            return
        self._show_tables()  # the status says the same expiry, a moment after the Secret does
        if before is None:
            screen.show_stand_in(self._workload.mount, self._workload.directory)
        screen.show_sight(sight, before, self._workload.introspected[-1])
        self._overdue = sight.expires_at + GRACE if self._settings.once else None

    def _require_punctuality(self) -> None:
        if self._overdue and datetime.now(UTC) > self._overdue:
            raise PartFailed(f"no new token came in time; the grant says {why_not_ready(self._cluster.get(GRANT))}")

    def _prospect(self) -> str:
        last = self._workload.seen[-1]
        left = (last.expires_at - datetime.now(UTC)).total_seconds()
        lives = f"{last.token[:12]} lives {left:.0f} s more" if left > 0 else f"{last.token[:12]} has run out"
        due = self._status(GRANT).get("nextRefreshTime")
        return f"{lives}; the next refresh is due at {due[11:]}" if due else lives

    def _status(self, path: str) -> Object:
        return status(self._cluster.get(path))

    def _wait_for_status(self, path: str, field: str) -> str:
        found: str = wait_for(
            lambda: self._status(path).get(field),
            lambda: f"{path.rpartition('/')[2]} shows no {field}; it says {why_not_ready(self._cluster.get(path))}",
        )
        return found
