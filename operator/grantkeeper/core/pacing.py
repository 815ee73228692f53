"""How hard a server may be asked, and who is next. Pure: a moment is passed in, and a moment comes out.

What was begun within the last second is remembered, so in no second, wherever it begins, is more begun than the limit says. A quarter
of that may begin at once: a process that sleeps in between pays far more for the same work done one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

SPAN = timedelta(milliseconds=1020)
"""A second, and as much more as one may be longer on its way to the server than another, for the most part."""
QUARTER = timedelta(milliseconds=250)
MOST_OWED = 64
"""Intervals: as many as can be in flight, each of which may present once more, with the other client secret."""


def burst(rate: int) -> int:
    """How many of `rate` a second may begin at once."""
    return -(-rate // 4)


def interval(rate: int) -> timedelta:
    """The time between two, in the long run."""
    return SPAN / rate


@dataclass(frozen=True, slots=True)
class Tally:
    """When those of the last second began, in order; those that could not wait stand where they should have waited for."""

    begun: tuple[datetime, ...] = ()

    def opens_at(self, rate: int, now: datetime) -> datetime:
        """When the next one may begin."""
        at, begun = now, self.begun
        for number, apart in ((rate, SPAN), (burst(rate), max(QUARTER, interval(rate)))):
            if len(begun) >= number:
                at = max(at, begun[-number] + apart)
        return at

    def take(self, rate: int, now: datetime) -> Tally:
        """One begins now, whether it may or not; what could not wait is owed."""
        settled = self.settle(rate, now)
        return Tally((*settled.begun, max((settled.opens_at(rate, now), *settled.begun[-1:]))))

    def settle(self, rate: int, now: datetime) -> Tally:
        """Without what is over. Where the clock went back or the rate went up, a debt is never longer than what can be owed."""
        begun, latest = self.begun[bisect_right(self.begun, now - SPAN) :], now + MOST_OWED * interval(rate)
        return Tally(tuple(min(moment, latest) for moment in begun) if begun and begun[-1] > latest else begun)


class Urgency(IntEnum):
    """Who goes first."""

    AWAITED = 0
    """Somebody loses by waiting: a code soon expires, or a leeway runs out."""
    WISHED = 1
    """Somebody asks for it, and nothing is lost if it takes a while."""
    ROUTINE = 2
    REJECTED = 3
    """One at a time finds out for all, and it was rejected when it did: now another."""
    FAILED = 4
    """One at a time finds out for all, and it has failed by itself: that may be so for ever."""


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """A place in the line of one connector; the smaller goes first."""

    urgency: Urgency
    moment: datetime
    """When it was asked for, where somebody waits; when it failed, where it tried in vain for all; else when the access token expires."""


@dataclass(frozen=True, slots=True)
class Gate:
    """From when on a server may be asked at all, and whether by one at a time; None where it may be now."""

    opens_at: datetime | None = None
    opens_to_awaited_at: datetime | None = None
    is_narrow: bool = False
    opens_to_failed_at: datetime | None = None
    """None where those that failed by themselves may pass as others do."""

    def admits_at(self, urgency: Urgency) -> datetime | None:
        """From when on this one may pass."""
        if urgency is Urgency.AWAITED:
            return self.opens_to_awaited_at
        return (self.opens_to_failed_at or self.opens_at) if urgency is Urgency.FAILED else self.opens_at
