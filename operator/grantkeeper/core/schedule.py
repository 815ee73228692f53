"""When a token is due. Derived from what is stored and from the grant's uid alone, so a restart moves nothing."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

JITTER = 0.05
LAST_MINUTE = timedelta(seconds=60)
SHORTEST = timedelta(seconds=2)
"""The least time between two refreshes of a grant, however short the server's tokens live."""
STORED_AGAIN_WITHIN = timedelta(seconds=5)
"""The longest pause while something waits to be stored. When an API server is back, whoever holds what came must be faster than the next
leader, who takes a claim for abandoned after 35 seconds and presents the token again."""


def spread(uid: str) -> float:
    """A fixed number in [0, 1) for each uid, so that grants made together do not fall due together."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32


def due_at(*, obtained_at: datetime, expires_at: datetime, percent: int, uid: str) -> datetime:
    """When to refresh: `percent` of the lifetime, less a jitter of up to 5 %, never in its first quarter nor too near its end."""
    lifetime = expires_at - obtained_at
    wanted = lifetime * (percent / 100) * (1 - JITTER * spread(uid))
    return obtained_at + max(SHORTEST, min(max(wanted, lifetime / 4), lifetime - reserve(lifetime)))


def reserve(lifetime: timedelta) -> timedelta:
    """The end of a lifetime that is kept for trying again: a minute, or a quarter of short lives."""
    return min(LAST_MINUTE, lifetime / 4)


def retry_lost_at(*, obtained_at: datetime, expires_at: datetime | None, now: datetime) -> datetime:
    """When to present a refresh token again whose answer was lost.

    If it was spent, presenting it may end the whole family and the access token that still lives; so not while that is of use.
    """
    if expires_at is None:
        return now
    return max(now, expires_at - reserve(expires_at - obtained_at))


def try_again_in(
    failures: int,
    chance: float,
    *,
    least: timedelta = timedelta(seconds=1),
    first: timedelta = timedelta(seconds=2),
    most: timedelta = timedelta(minutes=1),
) -> timedelta:
    """How long a grant waits after so many failures in a row: anything up to a bound that doubles, by `chance` in [0, 1).

    Full jitter: what failed together must not come back together, and not in the same order every time either.
    """
    bound: timedelta = min(most, first * 2 ** min(max(failures - 1, 0), 20))
    return max(least, bound * chance)


def back_off(failures: int, uid: str, *, first: timedelta = timedelta(seconds=2), most: timedelta = STORED_AGAIN_WITHIN) -> timedelta:
    """How long to wait after so many failures in a row: doubling, up to `most`, in the upper half of it by the uid's own jitter."""
    whole = min(most, first * 2 ** min(failures - 1, 20)) if failures > 0 else timedelta(0)
    return whole * (0.5 + spread(f"{uid}/{failures}") / 2)
