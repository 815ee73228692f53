"""Who is looked at, and when: due times in one heap, one sleeping task, one pass at a time for each subject.

Triggers of any kind only say "look at this again"; they meet here, so a subject is never worked on twice at once, and whatever
happens to it during a pass makes one more pass follow.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import structlog

from grantkeeper.core.pacing import QUARTER
from grantkeeper.errors import GrantkeeperError

log = structlog.get_logger()

REPEAT_AFTER = timedelta(seconds=5)
"""How soon a pass that failed is repeated: the API server may just have been away."""

SLACK = 1000
"""So many entries beyond twice the subjects may be out of date before the heap is made anew."""

TOGETHER = QUARTER
"""What falls due within so long a time is begun together, at its end, as the limits of connectors let it be."""

EPOCH = datetime.fromtimestamp(0, UTC)

FIRST = datetime.min.replace(tzinfo=UTC)
"""A due time for those that others wait for: before everybody who is due."""

Subject = tuple[str, str]
"""A kind, and a uid or a name of that kind."""

Pass = Callable[[Subject], Awaitable[datetime | None]]
"""Brings a subject to what its spec asks and says when to look again."""


@dataclass(slots=True)
class Agenda:
    """The due times of all subjects. `clock` gives the present as an aware datetime."""

    clock: Callable[[], datetime]
    width: int = 32
    _due: dict[Subject, datetime] = field(default_factory=dict)
    _heap: list[tuple[datetime, int, Subject]] = field(default_factory=list)
    _under_way: dict[Subject, asyncio.Task[None]] = field(default_factory=dict)
    _began: dict[Subject, float] = field(default_factory=dict)
    _aside: set[Subject] = field(default_factory=set)
    """Those whose passes take no place now."""
    _again: dict[Subject, datetime] = field(default_factory=dict)
    """Those to be looked at once more after the pass that is under way, and since when that is due."""
    _order: count[int] = field(default_factory=count)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _is_draining: bool = False

    def wake(self, subject: Subject, at: datetime | None = None) -> None:
        """Look at a subject at the given time or a moment later, at once without one; the earlier of two times counts."""
        now = self.clock()
        moment = now if at is None else at if at <= now else at + (EPOCH - at) % TOGETHER
        if subject in self._under_way and moment <= now:
            self._again[subject] = min(moment, self._again.get(subject, moment))
            return
        if subject in self._due and self._due[subject] <= moment:
            if at is None:
                self._stirred.set()  # it is due by now: where the clock was set forward, nobody would notice for long
            return
        self._due[subject] = moment
        heapq.heappush(self._heap, (moment, next(self._order), subject))
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(due, next(self._order), waiting) for waiting, due in self._due.items()]
            heapq.heapify(self._heap)
        if moment <= now or self._heap[0][2] == subject:
            self._stirred.set()  # else it sleeps until something that is due before this one

    @contextmanager
    def aside(self, subject: Subject) -> Iterator[None]:
        """Let the pass over a subject take no place while it waits for a server; how many do that is limited elsewhere."""
        with self._making_room():
            self._aside.add(subject)
        try:
            yield
        finally:
            self._aside.discard(subject)

    async def run(self, keep: Pass) -> None:
        """Work off what falls due until cancelled, at most `width` subjects at once."""
        while not self._is_draining:
            self._start_due(keep)
            self._stirred.clear()
            left = self._until_next()
            timer = asyncio.get_running_loop().call_later(left, self._stirred.set) if left is not None else None
            try:
                await self._stirred.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    @property
    def longest_pass(self) -> float:
        """Seconds that the oldest of the passes has been under way; 0 where there is none."""
        return time.monotonic() - min(self._began.values()) if self._began else 0.0

    @property
    def is_draining(self) -> bool:
        """Whether the end has begun: nothing new is to be presented anywhere."""
        return self._is_draining

    async def drain(self) -> None:
        """Start nothing more, and wait until what is under way has finished."""
        self._is_draining = True
        self._stirred.set()
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    def _start_due(self, keep: Pass) -> None:
        now = self.clock()
        while self._heap and self._has_room() and self._heap[0][0] <= now:
            moment, _, subject = heapq.heappop(self._heap)
            if self._due.get(subject) != moment:
                continue  # moved since
            del self._due[subject]
            if subject in self._under_way:
                self._again[subject] = min(moment, self._again.get(subject, moment))
                continue
            self._began[subject] = time.monotonic()
            self._under_way[subject] = asyncio.create_task(self._pass(subject, keep))

    async def _pass(self, subject: Subject, keep: Pass) -> None:
        wake_at: datetime | None = None
        try:
            wake_at = await keep(subject)
        except GrantkeeperError as error:
            log.warning("a pass failed and is repeated", kind=subject[0], subject=subject[1], error=str(error))
            wake_at = self.clock() + REPEAT_AFTER
        except Exception:
            log.exception("a pass failed unexpectedly and is repeated", kind=subject[0], subject=subject[1])
            wake_at = self.clock() + REPEAT_AFTER
        finally:
            with self._making_room():
                del self._under_way[subject], self._began[subject]
            if subject in self._again:
                self.wake(subject, min(self._again.pop(subject), self.clock()))  # the clock may have been set back meanwhile
            elif wake_at is not None:
                self.wake(subject, wake_at)

    @contextmanager
    def _making_room(self) -> Iterator[None]:
        """Where every place was taken, whoever waits for one may begin after this."""
        had_room = self._has_room()
        yield
        if not had_room:
            self._stirred.set()

    def _has_room(self) -> bool:
        return len(self._under_way) - len(self._aside) < self.width

    def _until_next(self) -> float | None:
        """Seconds until the next due time; None where only an event can bring work, or every place is taken."""
        if not self._has_room() or not self._heap:
            return None
        return max(0.0, (self._heap[0][0] - self.clock()).total_seconds())
