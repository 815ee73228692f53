"""The controller at work: what the watches bring is noted, whoever it concerns is looked at, and the end comes in order.

The order matters at both ends. Nothing acts before everything has been read; and what is in flight when the end comes is
finished and stored before the process goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.keys import KEYRING_TYPE, KeyringSecret
from grantkeeper.adapters.login import Login
from grantkeeper.controller.agenda import Agenda, Subject
from grantkeeper.controller.collecting import collect_less, collecting_nothing
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.echoes import Echoes
from grantkeeper.controller.keeper import Keeper
from grantkeeper.controller.pulse import Pulse
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.sweeping import Sweeper
from grantkeeper.controller.watches import Watches
from grantkeeper.core.namespaces import Scope
from grantkeeper.errors import ClusterError, KeyringError
from grantkeeper.resources import UserGrant

log = structlog.get_logger()

SWEEP_EVERY = timedelta(minutes=5)
COUNT_AFTER = timedelta(seconds=10)
SWEEP_SOONEST = timedelta(seconds=5)
"""After the one before, when something asks for a sweep."""
SWEEP_AGAIN_AFTER = timedelta(seconds=15)
"""When one has failed: what it was to find may be told by no watch."""
PROBE_EVERY = timedelta(seconds=5)
"""How often a listed namespace that could not be read is tried again."""
READ_AGAIN_AFTER = 1.0
WATCHES_BEGIN_WITHIN, WATCHES_END_WITHIN = 2.0, 10.0
"""Seconds."""
GRANT, CONNECTOR, COUNT, ORPHAN, KEYRING = "grant", "connector", "count", "orphan", "keyring"


@dataclass(slots=True)
class Controller:
    """One controller: its memory, its agenda, and its keepers."""

    registry: Registry
    agenda: Agenda
    looks: Agenda
    """The agenda of connectors; theirs is a server that may not answer, and no grant shall wait for that."""
    keys: KeyringSecret
    connectors: Connectors
    keeper: Keeper
    sweeper: Sweeper
    pulse: Pulse
    scope: Scope
    leads: Callable[[], bool] = lambda: True
    """Whether what is to be done is still ours to do."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _unwatched: asyncio.Event = field(default_factory=asyncio.Event)
    _is_sweep_wanted: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, login: Login) -> None:
        """Watch, read everything, and keep, until asked to end or until the watches end; then finish what is in flight."""
        watches = Watches(
            login,
            self.scope,
            self.take_in,
            is_known=Echoes(self.registry).knows,
            on_end=self._ended.set,
            on_gap=self._is_sweep_wanted.set,
            on_over=self._unwatched.set,
        )
        watches.start()
        readable = await self._read_everything(watches)
        if self._ended.is_set():
            watches.stop()
            return
        watches.follow(readable)
        log.info("keeping", grants=len(self.registry.grants), connectors=len(self.registry.connectors))
        work = (self.agenda.run(self.keep), self.looks.run(self.keep), self._sweep_again(watches))
        chores = [asyncio.create_task(chore) for chore in work]
        for chore in chores:
            chore.add_done_callback(lambda _: self._ended.set())  # none of them ends by itself; without one, nothing is kept
        await self._ended.wait()
        log.info("ending: what is in flight is finished")
        await asyncio.gather(self.agenda.drain(), self.looks.drain())
        await self.keeper.committer.journal.settle()
        for chore in chores:
            chore.cancel()
        watches.stop()
        log.info("ended")

    def end(self) -> None:
        """Ask it to end: it begins nothing more, and finishes what is in flight."""
        self._ended.set()

    def begin_anew(self) -> None:
        """End, because the cluster was restored from a backup: what is remembered is newer than what there is, and would be believed."""
        if not self._ended.is_set():
            log.error("the cluster shows older versions than are known: it was restored from a backup; everything is read anew")
        self.end()

    @property
    def is_ending(self) -> bool:
        """Whether the end has been asked for."""
        return self._ended.is_set()

    async def has_ended(self) -> bool:
        """Whether nothing of it is left, so that another one may begin in this process; the watches may hang instead."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._unwatched.wait(), WATCHES_END_WITHIN)
        return self._unwatched.is_set()

    def take_in(self, plural: str, event: str | None, body: dict[str, Any]) -> None:
        """Note what a watch brought, and wake whom it concerns. An object that nobody can read must not stop the others."""
        try:
            self._take_in(plural, body, gone=event == "DELETED")
        except Exception as error:  # noqa: BLE001  # its text could repeat what is in the object
            log.error("an object cannot be read", resource=plural, name=body["metadata"].get("name"), error=type(error).__name__)  # noqa: TRY400

    def _take_in(self, plural: str, body: dict[str, Any], *, gone: bool) -> None:
        match plural:
            case "usergrants":
                if (grant := self.registry.note_grant(body, gone=gone)) is not None:
                    self.agenda.wake((ORPHAN if gone else GRANT, grant.metadata.uid))
                    self.connectors.notice_grants(grant.connector_name)
            case "oauthconnectors":
                self._take_in_connector(body, gone=gone)
            case "namespaces":
                self._take_in_namespace(body, gone=gone)
            case _ if body.get("type") == KEYRING_TYPE:
                self.looks.wake((KEYRING, ""))
            case _:
                for uid in self.registry.note_secret(body, gone=gone):
                    self.agenda.wake((GRANT, uid))

    def _take_in_connector(self, body: dict[str, Any], *, gone: bool) -> None:
        name = (body["metadata"]["namespace"], body["metadata"]["name"])
        before = self.registry.connectors.get(name)
        connector = self.registry.note_connector(body, gone=gone)
        if connector is None:
            return
        self.looks.wake((CONNECTOR, "/".join(name)))
        if before is None or before.spec != connector.spec:
            self._wake(self.registry.grants_of(name))  # whom it admits and what it offers counts at once, whatever its server does

    def _take_in_namespace(self, body: dict[str, Any], *, gone: bool) -> None:
        if not self.registry.note_namespace(body, gone=gone):
            return
        name = body["metadata"]["name"]
        self._wake(grant for grant in self.registry.grants.values() if grant.metadata.namespace == name)
        if name in self.scope.tenants:
            self._is_sweep_wanted.set()

    async def keep(self, subject: Subject) -> datetime | None:
        """One pass over one subject of the agenda; none where somebody else may lead by now."""
        if not self.leads():
            return None
        kind, key = subject
        match kind:
            case "grant":
                return await self.keeper.keep(key)
            case "connector":
                namespace, _, name = key.partition("/")
                return await self.connectors.keep((namespace, name))
            case "count":
                namespace, _, name = key.partition("/")
                await self.connectors.count((namespace, name))
                return None
            case "keyring":
                await self._follow_keyring()
                return None
            case _:
                self.keeper.gatherer.forget(key)
                await self.sweeper.clear_orphan(key)
                return None

    async def _read_everything(self, watches: Watches) -> frozenset[str]:
        """Read what there is before anything is done, and try until it is read: the API server may be away, or slow.

        The watches begin first, so that nothing falls between the two; where one is late, everything is read once more when it has begun.
        The listed namespaces whose Secrets could be read.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(watches.begun.wait(), WATCHES_BEGIN_WITHIN)
        while not self._ended.is_set():
            self._is_sweep_wanted.clear()
            try:
                await self._follow_keyring()
                with collecting_nothing():
                    readable = await self.sweeper.sweep(is_first=True)
                    collect_less()  # before collecting begins again, or everything would be walked twice
            except ClusterError as error:
                log.warning("not everything could be read; it is tried again", error=str(error))
                await asyncio.sleep(READ_AGAIN_AFTER)
            else:
                self.pulse.beat()
                self._wake_everything()
                return readable
        return frozenset()

    def _wake_everything(self) -> None:
        for namespace, name in self.registry.connectors:
            self.looks.wake((CONNECTOR, f"{namespace}/{name}"))
        for uid in self.registry.by_expiry() + self.keeper.find_late():
            self.agenda.wake((GRANT, uid))

    def _wake(self, grants: Iterable[UserGrant]) -> None:
        for grant in grants:
            self.agenda.wake((GRANT, grant.metadata.uid))

    async def _sweep_again(self, watches: Watches) -> None:
        while True:
            await self._wait_for_sweep(watches.readable)
            try:
                watches.follow(await self.sweeper.sweep())
                await self._follow_keyring()
            except ClusterError as error:
                log.warning("a sweep failed; the next one follows", error=str(error))
                asyncio.get_running_loop().call_later(SWEEP_AGAIN_AFTER.total_seconds(), self._is_sweep_wanted.set)
            self.pulse.beat()
            self._wake_everything()

    async def _wait_for_sweep(self, readable: frozenset[str]) -> None:
        """Wait until a sweep is due, something asks for one, or a listed namespace can be read that could not."""
        clock = asyncio.get_running_loop().time
        due, pace = clock() + SWEEP_EVERY.total_seconds(), (SWEEP_EVERY if self.scope.is_everything else PROBE_EVERY).total_seconds()
        await asyncio.sleep(SWEEP_SOONEST.total_seconds())
        while not self._is_sweep_wanted.is_set() and clock() < due:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_sweep_wanted.wait(), min(pace, due - clock()))
            with suppress(ClusterError):
                if await self.sweeper.may_read_more(readable):
                    break
        self._is_sweep_wanted.clear()

    async def _follow_keyring(self) -> None:
        before = self.keys.keyring
        try:
            await self.keys.reload()
        except KeyringError as error:
            log.error("the keyring cannot be used as it is now; the one read before stays in use", error=str(error))  # noqa: TRY400
        if self.keys.keyring != before:
            self._wake(self.registry.grants.values())
