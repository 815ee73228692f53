"""The watches of one controller: those that it cannot do without, and those on the namespaces of others, which come and go.

Where every namespace is kept, one kopf watches everything. Else rights on Secrets are given namespace by namespace, and kopf ends
as a whole with the first watch that is refused. So the Secrets of the listed namespaces have a kopf of their own: when one of them
comes or goes it is started anew, and nothing else is disturbed; neither consent nor refreshing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from grantkeeper.adapters.cluster import SECRETS
from grantkeeper.adapters.login import Login
from grantkeeper.controller.watching import CLUSTER_WIDE, Event, Known, Watcher
from grantkeeper.core.namespaces import Scope

log = structlog.get_logger()


@dataclass(slots=True)
class Watches:
    """All of them. `on_end` is told when one ends that cannot be done without, `on_lost` when those on listed namespaces do.

    `on_over` is told when none is left.
    """

    login: Login
    scope: Scope
    on_event: Event
    on_end: Callable[[], None]
    on_lost: Callable[[], None]
    on_over: Callable[[], None]
    is_known: Known
    readable: frozenset[str] = frozenset()
    """The listed namespaces that are watched now."""
    _steady: list[Watcher] = field(default_factory=list)
    _passing: Watcher | None = None
    _running: int = 0

    def start(self, readable: frozenset[str]) -> None:
        """Begin to watch; of the listed namespaces those that can be read."""
        if self.scope.is_everything:
            self._steady = [Watcher(self.login, self.on_event, self._miss, is_known=self.is_known)]
        else:
            home = (self.scope.operator_namespace,)
            self._steady = [
                Watcher(self.login, self.on_event, self._miss, CLUSTER_WIDE, is_known=self.is_known),
                Watcher(self.login, self.on_event, self._miss, (SECRETS,), home, self.is_known),
            ]
        for watcher in self._steady:
            self._begin(watcher)
        self.follow(readable)

    def follow(self, readable: frozenset[str]) -> None:
        """Watch these of the listed namespaces from now on."""
        if readable == self.readable:
            return
        if self._passing is not None:
            self._passing.stop()
        self.readable, self._passing = readable, None
        if readable:
            watcher = Watcher(self.login, self.on_event, lambda: self._lose(watcher), (SECRETS,), readable, self.is_known)
            self._passing = watcher
            self._begin(watcher)
        log.info("the listed namespaces that can be read are watched", namespaces=sorted(readable))

    def stop(self) -> None:
        """Ask all of them to end."""
        for watcher in (*self._steady, *([self._passing] if self._passing else [])):
            watcher.stop()

    def _lose(self, watcher: Watcher) -> None:
        """It has ended; unless it was to, the next sweep shows which namespaces can still be read."""
        if watcher is self._passing:
            self.readable, self._passing = frozenset(), None
            self.on_lost()
        self._count_off()

    def _miss(self) -> None:
        """One has ended that cannot be done without."""
        self.on_end()
        self._count_off()

    def _begin(self, watcher: Watcher) -> None:
        self._running += 1
        watcher.start()

    def _count_off(self) -> None:
        self._running -= 1
        if not self._running:
            self.on_over()
