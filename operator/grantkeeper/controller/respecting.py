"""Respect the claims of others: while one may still be at work, what it claimed is not presented here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from grantkeeper.core.records import Claim, Holder

CLAIM_RESPECTED_FOR = timedelta(seconds=35)
"""How long another holder's claim is respected while it does not change: twice the time of a token request, and 15 s."""


@dataclass(slots=True)
class Respect:
    """What one holder owes to the others. Foreign claims are timed from when they were first seen here."""

    holder: Holder
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def until(self, uid: str, claim: Claim | None, now: datetime) -> datetime | None:
        """Until when a claim keeps us away: not at all when it says itself that it is over, is ours, or an earlier life's of this Pod."""
        if claim is None or claim.lost or claim.holder == self.holder or claim.holder.is_earlier_life_of(self.holder):
            self._seen.pop(uid, None)
            return None
        attempt, since = self._seen.get(uid, ("", 0.0))
        if attempt != claim.attempt:
            since = self.monotonic()
            self._seen[uid] = (claim.attempt, since)
        left = CLAIM_RESPECTED_FOR - timedelta(seconds=self.monotonic() - since)
        return now + left if left > timedelta(0) else None

    def forget(self, uid: str) -> None:
        """The grant is gone."""
        self._seen.pop(uid, None)
