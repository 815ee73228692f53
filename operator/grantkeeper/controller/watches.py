"""The watches of one controller: those that it cannot do without, and those on the namespaces of others, which come and go.

Where every namespace is kept, one kopf watches everything. Else rights on Secrets are given namespace by namespace, and kopf ends
as a whole with the first watch that is refused. So the Secrets of the listed namespaces have a kopf of their own: when one of them
comes or goes it is started anew, and nothing else is disturbed; neither consent nor refreshing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from grantkeeper.adapters.cluster import SECRETS, Kind
from grantkeeper.adapters.login import Login
from grantkeeper.adapters.watchsession import Known
from grantkeeper.controller.watching import CLUSTER_WIDE, EVERYTHING, Event, Watcher
from grantkeeper.core.namespaces import Scope

log = structlog.get_logger()


@dataclass(slots=True)
class Watches:
    """All of them. `on_end` is told when one ends that cannot be done without, `on_over` when none is left.

    `on_gap` is told when something may have changed that none of them brings: when those on listed namespaces end, and each time that a
    watch begins.
    """

    login: Login
    scope: Scope
    on_event: Event
    is_known: Known
    on_end: Callable[[], None]
    on_gap: Callable[[], None]
    on_over: Callable[[], None]
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when all those have begun that cannot be done without: what changes from then on is brought."""
    readable: frozenset[str] = frozenset()
    """The listed namespaces that are watched now."""
    _steady: list[Watcher] = field(default_factory=list)
    _passing: Watcher | None = None
    _listed: set[str] = field(default_factory=set)
    _running: int = 0

    def start(self) -> None:
        """Begin to watch what cannot be done without."""
        if self.scope.is_everything:
            self._steady = [self._make(self.on_end)]
        else:
            home = (self.scope.operator_namespace,)
            self._steady = [self._make(self.on_end, CLUSTER_WIDE), self._make(self.on_end, (SECRETS,), home)]
        for watcher in self._steady:
            self._begin(watcher)

    def follow(self, readable: frozenset[str]) -> None:
        """Watch these of the listed namespaces from now on."""
        if readable == self.readable:
            return
        if self._passing is not None:
            self._passing.stop()
        self.readable, self._passing = readable, None
        if readable:
            self._passing = watcher = self._make(lambda: self._lose(watcher), (SECRETS,), readable)
            self._begin(watcher)
        log.info("the listed namespaces that can be read are watched", namespaces=sorted(readable))

    def stop(self) -> None:
        """Ask all of them to end."""
        for watcher in (*self._steady, *([self._passing] if self._passing else [])):
            watcher.stop()

    def _note_list(self, path: str) -> None:
        self._listed.add(path)
        if len(self._listed) >= sum(watcher.lists for watcher in self._steady):
            self.begun.set()
        self.on_gap()

    def _lose(self, watcher: Watcher) -> None:
        """It ends; unless it was to, the next sweep shows which namespaces can still be read."""
        if watcher is self._passing:
            self.readable, self._passing = frozenset(), None
            self.on_gap()

    def _make(self, on_end: Callable[[], None], kinds: Collection[Kind] = EVERYTHING, namespaces: Collection[str] = ()) -> Watcher:
        return Watcher(self.login, self.on_event, self.is_known, self._note_list, on_end, self._count_off, kinds, namespaces)

    def _begin(self, watcher: Watcher) -> None:
        self._running += 1
        watcher.start()

    def _count_off(self) -> None:
        self._running -= 1
        if not self._running:
            self.on_over()
