"""How hard a server may be asked, and who is next. Pure: a moment is passed in, and a moment comes out.

A bucket paces what is begun. What it lets begin at once counts against what flows in afterwards, so in no second, wherever
it begins, is more begun than the limit says; a twentieth that may begin at once makes up for timers that are late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

SECOND = 1_000_000
"""In microseconds."""
SPARE = 20
MOST_OWED = 64
"""Intervals: as many as can be in flight, each of which may present once more, with the other client secret."""


def burst(rate: int) -> int:
    """How many of `rate` a second may begin at once."""
    return 1 + rate // SPARE


def interval(rate: int) -> timedelta:
    """The time between two, in the long run."""
    return timedelta(microseconds=-(-SECOND // (rate - burst(rate) + 1)))


@dataclass(frozen=True, slots=True)
class Bucket:
    """What may begin, as one moment: when everything that has begun is worked off."""

    full_at: datetime

    def opens_at(self, rate: int) -> datetime:
        """When the next one may begin."""
        return self.full_at - (burst(rate) - 1) * interval(rate)

    def take(self, rate: int, now: datetime) -> Bucket:
        """One begins now, whether it may or not; what could not wait is owed."""
        return Bucket(max(self.full_at, now) + interval(rate))

    def settle(self, rate: int, now: datetime) -> Bucket:
        """The same, where the clock went back or the rate went up: a debt is never longer than what can be owed."""
        return Bucket(min(self.full_at, now + (burst(rate) + MOST_OWED) * interval(rate)))


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
