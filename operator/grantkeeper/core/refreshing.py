"""When the tokens that are held are to be refreshed: when they are due, or when somebody asks for it.

Somebody asks by an annotation with a value that was not there before. New tokens answer it, however they come, and so does a try that
shows that there are none; what could not be tried waits. Whoever asks again and again is heard once a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from grantkeeper.core import clocks, schedule
from grantkeeper.core.facts import Facts, Holding
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.records import Claim
from grantkeeper.core.schedule import SHORTEST
from grantkeeper.core.times import to_text
from grantkeeper.core.tokens import TokenSet

REFRESH_ANNOTATION = "grantkeeper.dev/refresh"
"""On a grant: any value asks for a refresh now; another value asks for another one."""
LONGEST_WISH = 256
"""Characters: what status can show."""
WISHES_APART = timedelta(minutes=1)
"""Between two refreshes of one grant that were asked for, since each is a risk, and costs the server something."""


def read_refresh_wish(annotations: Mapping[str, str]) -> str:
    """The value that a refresh is asked for with; empty where nobody does, or with one that status could not show."""
    stated = annotations.get(REFRESH_ANNOTATION, "")
    return stated if len(stated) <= LONGEST_WISH else ""


def refresh_at(facts: Facts) -> datetime | None:
    """When the next refresh is due; after a failure, when it may be tried again. None where nothing is to be refreshed."""
    if facts.holding is None or not is_presentable(facts) or facts.is_withheld or not facts.is_served or not facts.connector.exists:
        return None
    asked_at = facts.holding.obtained_at if facts.is_hurried else _asked_at(facts)  # what is begun is finished, whoever had asked for it
    due_by_age = facts.now if _is_timed_wrongly(facts.holding, facts.now) else facts.holding.due_at
    due_at = min((moment for moment in (due_by_age, asked_at) if moment), default=None)
    if due_at is None:
        return None
    return max(moment for moment in (due_at, facts.retry_not_before, facts.claim_respected_until) if moment)


def _is_timed_wrongly(holding: Holding, now: datetime) -> bool:
    """Whether the clock has gone back since the set came, by so much that it would be refreshed too late; nobody knows when it expires."""
    if holding.expires_at is None:
        return False
    return clocks.is_ahead(holding.obtained_at, now, tolerance=schedule.reserve(holding.expires_at - holding.obtained_at))


def find_risk(claim: Claim | None, holding: Holding | None, now: datetime) -> datetime | None:
    """When what a claim left in doubt may be presented again; no later than the set that is held says now, whatever the clock was then."""
    if claim is None or claim.not_before_retry is None or holding is None or clocks.is_ahead(holding.obtained_at, now):
        return None
    return min(claim.not_before_retry, schedule.retry_lost_at(obtained_at=holding.obtained_at, expires_at=holding.expires_at, now=now))


def can_wait(tokens: TokenSet, now: datetime) -> bool:
    """Whether nothing of use is lost yet by not refreshing now."""
    ends = min((end for end in (tokens.expires_at, tokens.refresh_expires_at) if end is not None), default=now)
    return now < ends - schedule.reserve(ends - tokens.obtained_at)


def is_presentable(facts: Facts) -> bool:
    """Whether there is a refresh token that may be presented. One that the server refused may be, once for each time somebody asks.

    Where the answer to that is lost, the leeway counts for it, too.
    """
    if facts.holding is None or not facts.holding.is_refreshable:
        return False
    return not facts.is_dead or (facts.is_revivable and (facts.is_hurried or bool(facts.refresh_wish)))


def urgency_of_refresh(facts: Facts) -> Urgency:
    """How urgent it is, where it is due."""
    if facts.is_hurried:
        return Urgency.AWAITED
    if facts.place is not None:
        return facts.place.urgency  # whoever asks for it: it may fail for ever, and others must not wait for that
    asked_at = _asked_at(facts)
    return Urgency.WISHED if asked_at is not None and asked_at <= facts.now else Urgency.ROUTINE


def rank_of_refresh(facts: Facts) -> Rank:
    """Its place in the line. Those that expire first go first; of those that tried in vain for all, who did so longest ago."""
    if facts.place is not None and not facts.is_hurried:
        return facts.place
    return Rank(urgency_of_refresh(facts), (facts.holding.expires_at if facts.holding else None) or facts.now)


def describe_wish(facts: Facts) -> str:
    """Why a refresh that somebody asks for is not made yet; empty where nobody does, or nothing but its turn is in the way."""
    if facts.is_refresh_wish_too_long:
        return f"The annotation {REFRESH_ANNOTATION} asks for nothing: it is longer than {LONGEST_WISH} characters; set a shorter value."
    if not facts.refresh_wish:
        return ""
    if (why := _why_no_refresh(facts)) is not None:
        return f"The refresh that is asked for waits: {why}."
    moment = refresh_at(facts)
    return f"The refresh that is asked for is due at {to_text(moment)}." if moment is not None and moment > facts.now else ""


def _asked_at(facts: Facts) -> datetime | None:
    """From when on the refresh that somebody asks for may be made. A moment that stays: nobody has noted when it was asked for."""
    if not facts.refresh_wish or facts.holding is None:
        return None
    soonest = facts.holding.obtained_at + SHORTEST
    return max(soonest, facts.refresh_wish_not_before or soonest)


def _why_no_refresh(facts: Facts) -> str | None:
    if not facts.is_served or not facts.connector.exists:
        return "see Accepted"
    if not facts.connector.keeps_tokens:
        return "the connector keeps no tokens"
    if facts.is_suspended:
        return "spec.suspend is true"
    if facts.holding is None:
        return "no tokens are held that could be used; see Authorized"
    if not facts.holding.is_refreshable:
        return "the server gave no refresh token, so only a new consent brings another token"
    if not is_presentable(facts):
        return "the refresh token must not be presented again; see Authorized"
    if facts.connector.is_judged and not facts.connector.endpoints_known:
        return "the connector is not ready; see its own status"
    return None
