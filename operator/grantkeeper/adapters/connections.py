"""Connections to authorization servers that are used once more, if that is at once.

What falls due is refreshed in batches, and a handshake for each costs a quarter of all that a refresh does. But whoever
writes to a connection that its server is just closing never learns what became of the request, and what is presented may be good for one
use only. So a connection is kept for half a second, which servers are not so impatient as to close it in. Whatever has come over it when
it is wanted ends it: an answer is read only by who asked. It serves one path, so that nobody suffers from what another path's server leaves
unread. And a server that breaks one that was kept is not given another for a while.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from grantkeeper.adapters.connection import Connection, Unspeakable

KEPT_FOR = 0.5
"""Seconds without a request."""
_SORTED_OUT_AFTER = KEPT_FOR + 0.05
"""Seconds: the loop's timers go by milliseconds, and may be early by one."""
LASTS = 30.0
"""Seconds; then name, address and certificate are looked at again."""
NEW_ONES_FOR = 600.0
"""Seconds, where one that was kept was broken."""

Place = tuple[str, int, str, ssl.SSLContext, bytes]
"""An address, a port, the host that has proved to be there, who was believed about that, and the path that is asked."""


@dataclass(slots=True)
class Connections:
    """All that are kept. They belong to one event loop."""

    _idle: dict[Place, list[Connection]] = field(default_factory=dict)
    """The one that was used last at the end."""
    _broken_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """When a host and port last broke one that was kept."""

    @asynccontextmanager
    async def lend(self, address: str, port: int, host: str, context: ssl.SSLContext, target: bytes) -> AsyncIterator[Connection]:
        """A connection to this very address for one request to `target`, a new one unless there is one. OSError where none can be had.

        It is kept afterwards if its answer was read to the end and lets another follow, and ended otherwise.
        """
        place = (address, port, host, context, target)
        kept = self._take(place)
        connection = kept or await Connection.open(address, port, host, context)
        try:
            yield connection
        except (Unspeakable, OSError, RuntimeError):  # the last is uvloop's word for a connection that has gone meanwhile
            if kept is not None:
                self._note_broken(host, port)
            raise
        finally:
            self._put_back(place, connection)

    def close(self) -> None:
        """End them all."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _take(self, place: Place) -> Connection | None:
        self._sort_out(place)
        kept = self._idle.get(place, [])
        while kept:
            if (connection := kept.pop()).is_quiet:
                return connection
            connection.close()
        return None

    def _put_back(self, place: Place, connection: Connection) -> None:
        self._idle.setdefault(place, []).append(connection)
        self._sort_out(place)
        if place in self._idle:
            asyncio.get_running_loop().call_later(_SORTED_OUT_AFTER, self._sort_out, place)

    def _note_broken(self, host: str, port: int) -> None:
        now = time.monotonic()
        recent = {where: at for where, at in self._broken_at.items() if now - at < NEW_ONES_FOR}
        self._broken_at = recent | {(host, port): now}

    def _sort_out(self, place: Place) -> None:
        """End those that are not to be used again."""
        usable: list[Connection] = []
        for connection in self._idle.pop(place, ()):
            if self._is_usable(place, connection):
                usable.append(connection)
            else:
                connection.close()
        if usable:
            self._idle[place] = usable

    def _is_usable(self, place: Place, connection: Connection) -> bool:
        _, port, host, *_ = place
        now, since, broken_at = time.monotonic(), connection.idle_since, self._broken_at.get((host, port))
        is_recent = since is not None and now - since < KEPT_FOR and now - connection.opened_at < LASTS
        return is_recent and connection.is_clean and (broken_at is None or now - broken_at > NEW_ONES_FOR)
