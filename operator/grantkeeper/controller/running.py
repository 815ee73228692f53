"""The controller at work: what the watches bring is noted, whoever it concerns is looked at, and the end comes in order.

The order matters at both ends. Nothing acts before everything has been read; and what is in flight when the end comes is
finished and stored before the process goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.keys import KEYRING_TYPE, KeyringSecret
from grantkeeper.adapters.login import Login
from grantkeeper.controller.agenda import Agenda, Subject
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.keeper import Keeper
from grantkeeper.controller.pulse import Pulse
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.sweeping import Sweeper
from grantkeeper.controller.watching import Watcher
from grantkeeper.errors import ClusterError, KeyringError

log = structlog.get_logger()

SWEEP_EVERY = timedelta(minutes=5)
READ_AGAIN_AFTER = 1.0
WATCHES_END_WITHIN = 10.0
"""Seconds."""
GRANT, CONNECTOR, ORPHAN, KEYRING = "grant", "connector", "orphan", "keyring"


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
    leads: Callable[[], bool] = lambda: True
    """Whether what is to be done is still ours to do."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _unwatched: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, login: Login) -> None:
        """Read everything, watch, and keep, until asked to end or until the watches end; then finish what is in flight."""
        await self._read_everything()
        if self._ended.is_set():
            self._unwatched.set()
            return
        watcher = Watcher(login, self.take_in, self._note_unwatched)
        watcher.start()
        log.info("keeping", grants=len(self.registry.grants), connectors=len(self.registry.connectors))
        chores = [asyncio.create_task(work) for work in (self.agenda.run(self.keep), self.looks.run(self.keep), self._sweep_again())]
        for chore in chores:
            chore.add_done_callback(lambda _: self._ended.set())  # none of them ends by itself; without one, nothing is kept
        await self._ended.wait()
        log.info("ending: what is in flight is finished")
        await asyncio.gather(self.agenda.drain(), self.looks.drain())
        for chore in chores:
            chore.cancel()
        watcher.stop()
        log.info("ended")

    def end(self) -> None:
        """Ask it to end: it begins nothing more, and finishes what is in flight."""
        self._ended.set()

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
            case "oauthconnectors":
                if (connector := self.registry.note_connector(body, gone=gone)) is not None:
                    self.looks.wake((CONNECTOR, f"{connector.metadata.namespace}/{connector.metadata.name}"))
            case _ if body.get("type") == KEYRING_TYPE:
                self.looks.wake((KEYRING, ""))
            case _:
                for uid in self.registry.note_secret(body, gone=gone):
                    self.agenda.wake((GRANT, uid))

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
            case "keyring":
                await self._follow_keyring()
                return None
            case _:
                self.keeper.gatherer.forget(key)
                await self.sweeper.clear_orphan(key)
                return None

    async def _read_everything(self) -> None:
        """Read what there is before anything is done, and try until it is read: the API server may be away, or slow."""
        while not self._ended.is_set():
            try:
                await self._follow_keyring()
                await self.sweeper.sweep()
            except ClusterError as error:
                log.warning("not everything could be read; it is tried again", error=str(error))
                await asyncio.sleep(READ_AGAIN_AFTER)
            else:
                self.pulse.beat()
                self._wake_everything()
                return

    def _note_unwatched(self) -> None:
        self._unwatched.set()
        self._ended.set()

    def _wake_everything(self) -> None:
        for namespace, name in self.registry.connectors:
            self.looks.wake((CONNECTOR, f"{namespace}/{name}"))
        for uid in self.registry.grants:
            self.agenda.wake((GRANT, uid))

    async def _sweep_again(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            try:
                await self.sweeper.sweep()
                await self._follow_keyring()
            except ClusterError as error:
                log.warning("a sweep failed; the next one follows", error=str(error))
            self.pulse.beat()
            self._wake_everything()

    async def _follow_keyring(self) -> None:
        before = self.keys.keyring
        try:
            await self.keys.reload()
        except KeyringError as error:
            log.error("the keyring cannot be used as it is now; the one read before stays in use", error=str(error))  # noqa: TRY400
        if self.keys.keyring != before:
            for uid in self.registry.grants:
                self.agenda.wake((GRANT, uid))
