"""Pace: what is presented at a token endpoint waits for its turn here, so that passes need not wait, and no server is asked too hard.

A pass that is to present something asks for a turn. If there is none it ends; the grant waits in its connector's line, and is woken
with a reservation when its turn comes. So ten thousand grants that are due at once cost memory, and a slow server nobody but its own.
A slot is held until what came is stored: what is in flight is what a kill can put in doubt.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import count

from grantkeeper.controller.registry import Name
from grantkeeper.core.pacing import Gate, Rank, Tally
from grantkeeper.resources import LimitsSpec

LAPSES_AFTER = timedelta(seconds=10)
"""A reservation that is not used is somebody else's after that."""


class Lane(Enum):
    """What is asked of a server; each kind has a line of its own."""

    TOKEN = auto()
    """Codes and refresh tokens: by rate, by number, and only while the server is not to be left alone."""
    REVOCATION = auto()
    """By number alone: a grant that is deleted must not wait for an hour."""


@dataclass(slots=True)
class _Line:
    tally: Tally = field(default_factory=Tally)
    ranks: dict[str, Rank] = field(default_factory=dict)
    """Who waits, by uid."""
    heap: list[tuple[Rank, int, str]] = field(default_factory=list)
    reserved: dict[str, datetime] = field(default_factory=dict)
    """Whose turn has come, and when the reservation lapses."""
    in_flight: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None

    def find_first(self) -> tuple[Rank, str] | None:
        """Who is next."""
        while self.heap:
            rank, _, uid = self.heap[0]
            if self.ranks.get(uid) == rank:
                return rank, uid
            heapq.heappop(self.heap)  # gone, or has another rank since
        return None

    @property
    def taken(self) -> int:
        """How many slots are."""
        return len(self.in_flight) + len(self.reserved)


@dataclass(slots=True)
class Pacer:
    """The lines of all connectors. It belongs to one event loop."""

    clock: Callable[[], datetime]
    limits: Callable[[Name], LimitsSpec]
    gate: Callable[[Name], Gate]
    wake: Callable[[str], None]
    """Called with the uid of a grant whose turn has come."""
    aside: Callable[[str], AbstractContextManager[None]]
    """Entered with the uid of a grant while a server is waited for on its behalf."""
    _lines: dict[tuple[Name, Lane], _Line] = field(default_factory=dict)
    _places: dict[str, tuple[Name, Lane]] = field(default_factory=dict)
    """In which line each waits, or has a reservation."""
    _order: count[int] = field(default_factory=count)

    @contextmanager
    def turn(self, name: Name, uid: str, rank: Rank, lane: Lane = Lane.TOKEN) -> Iterator[bool]:
        """Whether its turn has come; if so it has a slot until the end of the block. If not, it waits from now on."""
        if self._places.get(uid, (name, lane)) != (name, lane):
            self.leave(uid)
        line = self._lines.setdefault((name, lane), _Line())
        if uid not in line.reserved:
            line.ranks[uid] = rank
            heapq.heappush(line.heap, (rank, next(self._order), uid))
            self._places[uid] = (name, lane)
            self._serve(name, lane, asking=uid)
        if uid not in line.reserved:
            yield False
            return
        del line.reserved[uid], self._places[uid]
        line.in_flight.add(uid)
        try:
            with self.aside(uid):
                yield True
        finally:
            line.in_flight.discard(uid)
            self._serve(name, lane)

    def rank(self, uid: str, lane: Lane = Lane.TOKEN) -> Rank | None:
        """As what a grant waits in a lane; None where it does not, or its turn has come."""
        place = self._places.get(uid)
        return self._lines[place].ranks.get(uid) if place is not None and place[1] is lane else None

    def leave(self, uid: str) -> None:
        """A grant needs no turn any more."""
        place = self._places.pop(uid, None)
        if place is None:
            return
        line = self._lines[place]
        line.ranks.pop(uid, None)
        if line.reserved.pop(uid, None) is not None:
            self._serve(*place)

    def charge(self, name: Name) -> None:
        """Something was presented that could not wait: those that come after it do."""
        if (line := self._lines.get((name, Lane.TOKEN))) is not None:
            line.tally = line.tally.take(self.limits(name).requests_per_second, self.clock())

    def serve(self, name: Name) -> None:
        """Look at the lines of a connector: its limits may have changed, or what is known of its server."""
        for lane in Lane:
            self._serve(name, lane)

    def _serve(self, name: Name, lane: Lane, *, asking: str | None = None) -> None:
        """Give the turns that can be given now, and look again when the next one can."""
        line = self._lines.get((name, lane))
        if line is None:
            return
        now, limits = self.clock(), self.limits(name)
        rate = limits.requests_per_second
        for uid in [uid for uid, lapses_at in line.reserved.items() if lapses_at <= now]:
            del line.reserved[uid], self._places[uid]
        line.tally = line.tally.settle(rate, now)
        again_at: list[datetime] = []
        while (first := line.find_first()) is not None:
            rank, uid = first
            gate = self.gate(name) if lane is Lane.TOKEN else Gate()
            if line.taken >= (1 if gate.is_narrow else limits.concurrency):
                break  # whoever is done looks again
            if lane is Lane.TOKEN:
                opens_at = max(line.tally.opens_at(rate, now), gate.admits_at(rank.urgency) or now)
                if opens_at > now:
                    again_at.append(opens_at)
                    break
                line.tally = line.tally.take(rate, now)
            del line.ranks[uid]
            line.reserved[uid] = now + LAPSES_AFTER
            if uid != asking:
                self.wake(uid)
        self._look_again(name, lane, line, min([*again_at, *line.reserved.values()], default=None), now)

    def _look_again(self, name: Name, lane: Lane, line: _Line, at: datetime | None, now: datetime) -> None:
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        if at is not None:
            line.timer = asyncio.get_running_loop().call_later((at - now).total_seconds(), self._serve, name, lane)
        elif not line.ranks and not line.taken and not line.tally.begun:
            del self._lines[name, lane]
