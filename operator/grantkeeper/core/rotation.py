"""Rotation: whether a refresh token is spent by its use, as its connector says or as was seen, and what may be risked with one.

Presenting a spent token may end the whole consent (RFC 9700 section 4.14.2), so whatever is not known counts as spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from grantkeeper.choices import Rotation
from grantkeeper.core import schedule
from grantkeeper.core.tokens import TokenSet, Turnover
from grantkeeper.resources import RefreshSpec

KEPT_OFTEN_ENOUGH = 2
"""After so many refreshes in a row that left the refresh token as it was, and none that changed it, the server is held not to rotate."""
LEEWAY_RESERVE = timedelta(seconds=2)
"""The end of a leeway that is left alone: the server counts it by its own clock, from a moment that only it knows."""
MAX_PRESENTATIONS = 2
"""Once, and once more after an answer that did not arrive. Never a third time."""
USUAL_TIMEOUT = timedelta(seconds=10)
SHORTEST_TIMEOUT = timedelta(seconds=3)


def note_turnover(seen: Turnover, *, changed: bool) -> Turnover:
    """What is known of a server's manner after one more refresh."""
    return Turnover(changed=True) if changed else seen.model_copy(update={"kept": seen.kept + 1})


def is_renewed_by_use(spec: RefreshSpec, tokens: TokenSet) -> bool:
    """Whether a refresh is held to bring a new refresh token: until one has shown that it does not."""
    return spec.rotation is Rotation.STRICT or (spec.rotation is Rotation.DETECT and not tokens.turnover.kept)


@dataclass(frozen=True, slots=True)
class Manner:
    """How one server treats the refresh tokens of one grant."""

    rotates: bool
    """Whether a token may be spent by presenting it."""
    leeway: timedelta
    """How long the server still accepts a spent one."""
    may_turn: bool = False
    """It never was, as far as was seen; but nobody says so, and some servers rotate only near the end of a refresh token's life."""

    @classmethod
    def of(cls, spec: RefreshSpec, tokens: TokenSet) -> Manner:
        """As the connector says; with `Detect`, as was seen with this grant."""
        match spec.rotation:
            case Rotation.NONE:
                rotates = False
            case Rotation.STRICT:
                rotates = True
            case Rotation.DETECT:
                rotates = tokens.turnover.changed or tokens.turnover.kept < KEPT_OFTEN_ENOUGH
        return cls(rotates, timedelta(seconds=spec.leeway_seconds), may_turn=spec.rotation is Rotation.DETECT and not rotates)

    @property
    def answer_within(self) -> timedelta:
        """How long an answer is awaited: within a leeway there must be time to ask again."""
        return min(USUAL_TIMEOUT, max(SHORTEST_TIMEOUT, self.leeway / 3)) if self.leeway else USUAL_TIMEOUT

    def retry_until(self, first_sent_at: datetime) -> datetime | None:
        """Until when a token may be presented again as if for the first time; None without a leeway."""
        return first_sent_at + self.leeway - LEEWAY_RESERVE if self.leeway > LEEWAY_RESERVE else None

    def risk_at(self, tokens: TokenSet, now: datetime) -> datetime:
        """When to present a token again that may be spent: not before nothing of use can be lost by it."""
        return schedule.retry_lost_at(obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, now=now)
