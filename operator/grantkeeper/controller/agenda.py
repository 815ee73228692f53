"""Who is looked at, and when: due times in one heap, one sleeping task, one pass at a time for each subject.

Triggers of any kind only say "look at this again"; they meet here, so a subject is never worked on twice at once, and whatever
happens to it during a pass makes one more pass follow.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import structlog

from grantkeeper.errors import GrantkeeperError

log = structlog.get_logger()

REPEAT_AFTER = timedelta(seconds=5)
"""How soon a pass that failed is repeated: the API server may just have been away."""

SLACK = 1000
"""So many entries beyond twice the subjects may be out of date before the heap is made anew."""

Subject = tuple[str, str]
"""A kind, and a uid or a name of that kind."""

Pass = Callable[[Subject], Awaitable[datetime | None]]
"""Brings a subject to what its spec asks and says when to look again."""


@dataclass(slots=True)
class Agenda:
    """The due times of all subjects. `clock` gives the present as an aware datetime."""

    clock: Callable[[], datetime]
    width: int = 32
    group_of: Callable[[Subject], Hashable] = field(default=lambda subject: subject)
    """Subjects of one group wait for the same server, and no group may take every place."""
    group_width: int = 8
    _due: dict[Subject, datetime] = field(default_factory=dict)
    _heap: list[tuple[datetime, int, Subject]] = field(default_factory=list)
    _under_way: dict[Subject, asyncio.Task[None]] = field(default_factory=dict)
    _began: dict[Subject, float] = field(default_factory=dict)
    _groups: Counter[Hashable] = field(default_factory=Counter)
    _parked: dict[Hashable, dict[Subject, None]] = field(default_factory=lambda: defaultdict(dict))
    """Those of each group that wait for a place, once each, the longest first."""
    _again: set[Subject] = field(default_factory=set)
    _order: count[int] = field(default_factory=count)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _is_draining: bool = False

    def wake(self, subject: Subject, at: datetime | None = None) -> None:
        """Look at a subject at the given time, at once without one; the earlier of two times counts."""
        if subject in self._under_way and at is None:
            self._again.add(subject)
            return
        moment = at if at is not None else self.clock()
        if subject in self._due and self._due[subject] <= moment:
            return
        self._due[subject] = moment
        heapq.heappush(self._heap, (moment, next(self._order), subject))
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(due, next(self._order), waiting) for waiting, due in self._due.items()]
            heapq.heapify(self._heap)
        self._stirred.set()

    async def run(self, keep: Pass) -> None:
        """Work off what falls due until cancelled, at most `width` subjects at once."""
        while not self._is_draining:
            self._start_due(keep)
            self._stirred.clear()
            try:
                await asyncio.wait_for(self._stirred.wait(), self._until_next())
            except TimeoutError:
                continue

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
        while self._heap and len(self._under_way) < self.width and self._heap[0][0] <= now:
            moment, _, subject = heapq.heappop(self._heap)
            if self._due.get(subject) != moment:
                continue  # moved since
            del self._due[subject]
            if subject in self._under_way:
                self._again.add(subject)
                continue
            group = self.group_of(subject)
            if self._groups[group] >= self.group_width:
                self._parked[group][subject] = None
                continue
            self._parked.get(group, {}).pop(subject, None)
            self._groups[group] += 1
            self._began[subject] = time.monotonic()
            self._under_way[subject] = asyncio.create_task(self._pass(subject, group, keep))

    async def _pass(self, subject: Subject, group: Hashable, keep: Pass) -> None:
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
            del self._under_way[subject], self._began[subject]
            self._leave(group)
            if subject in self._again:
                self._again.discard(subject)
                self.wake(subject)
            elif wake_at is not None:
                self.wake(subject, wake_at)
            self._stirred.set()

    def _leave(self, group: Hashable) -> None:
        """Make room in a group for the one that has waited longest."""
        self._groups[group] -= 1
        if self._groups[group] == 0:
            del self._groups[group]
        waiting = self._parked.get(group, {})
        while waiting:
            subject = next(iter(waiting))
            del waiting[subject]
            self.wake(subject)
            if self.group_of(subject) == group:
                break  # the place is its own; one that has left the group meanwhile needs none here
        if not waiting:
            self._parked.pop(group, None)

    def _until_next(self) -> float | None:
        """Seconds until the next due time; None where only an event can bring work, or every place is taken."""
        if len(self._under_way) >= self.width or not self._heap:
            return None
        return max(0.0, (self._heap[0][0] - self.clock()).total_seconds())
