"""What to make of moments that a wrong clock wrote down, once it has been set right.

A clock that was ahead leaves moments that lie in the future: of a set that was obtained then, waits that seem to last for days. They are
believed as far as they can be true, and what they kept from being done is done. One that was behind leaves nothing that could not be.
"""

from __future__ import annotations

from datetime import datetime, timedelta

AHEAD = timedelta(minutes=1)
"""By so much the clocks of two replicas may differ, and nothing is made of it."""
LONGEST_WAIT = timedelta(hours=1)
"""No grant and no server is left alone for longer, whoever asks for it."""


def is_ahead(noted_at: datetime, now: datetime, *, tolerance: timedelta = AHEAD) -> bool:
    """Whether this was written down by a clock that was ahead, or ours was set back since; nothing is timed by it."""
    return noted_at - now > tolerance


def believe_wait(until: datetime | None, *, noted_at: datetime, now: datetime) -> datetime | None:
    """Until when a wait lasts that was written down at that moment; None where it is over, as far as anybody can know."""
    return None if until is None or is_ahead(noted_at, now) else min(until, noted_at + LONGEST_WAIT)


def covers(until: datetime | None, *, leeway: timedelta, now: datetime) -> bool:
    """Whether a leeway that was to end then still runs. One that has more left than it lasts was begun by a clock that was ahead."""
    return until is not None and now < until <= now + leeway
