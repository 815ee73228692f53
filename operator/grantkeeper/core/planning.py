"""Decide what a grant needs now. No I/O, no clock: facts in, plan out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from grantkeeper.core.asking import unasked_scopes
from grantkeeper.core.conditions import Verdict, summarize
from grantkeeper.core.facts import Copy, Facts, Trouble
from grantkeeper.core.pacing import Urgency
from grantkeeper.core.refreshing import is_presentable, refresh_at, urgency_of_refresh
from grantkeeper.core.verdicts import CHECKS, END_WARNED_OF, accepted, warn_of_end

CONFLICT_LOOKED_AT_AGAIN = timedelta(seconds=10)
"""A Secret that is not ours tells us nothing when it goes."""


class Act(Enum):
    """What can be done about a grant."""

    RELEASE = auto()  # it is being deleted: revoke, clean up, let go
    REDEEM = auto()  # an answer arrived
    SETTLE = auto()  # a claim on a code was left behind: its outcome will never be known
    ASK = auto()  # open a request, or close those that ran out
    WITHDRAW = auto()  # a delivered Secret that is not asked for any more, or not to be handed out
    REFRESH = auto()
    DELIVER = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One act, and on what."""

    act: Act
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds, what to do about it, and when to look again."""

    verdicts: tuple[Verdict, ...]
    steps: tuple[Step, ...]
    wake_at: datetime | None
    notice: str = ""
    """A part of Fresh's message that is worth an Event by itself, when it is first said."""


def plan(facts: Facts) -> Plan:
    """Judge the facts: pure, so that every situation is a row of a table."""
    verdicts = summarize(tuple(check(facts) for check in CHECKS))
    return Plan(verdicts, steps=_steps(facts), wake_at=_wake_at(facts), notice=warn_of_end(facts))


def _steps(facts: Facts) -> tuple[Step, ...]:
    if facts.is_deleting:
        return (Step(Act.RELEASE),) if facts.is_held and facts.waits_for_turn is None else ()
    if not facts.is_kept:
        return ()
    steps = [Step(Act.WITHDRAW, name) for name in (facts.handed_out if facts.is_withheld else facts.surplus)]
    if facts.has_dangling_code:
        steps.append(Step(Act.SETTLE))
    if facts.connector.endpoints_known and facts.is_served and facts.waits_for_turn is not Urgency.AWAITED:
        steps += [Step(Act.REDEEM, answer) for answer in facts.answers]
    if must_ask(facts) or must_heed(facts) or facts.has_lapsed_request:
        steps.append(Step(Act.ASK))
    if _may_refresh(facts) and (moment := refresh_at(facts)) is not None and moment <= facts.now:
        steps.append(Step(Act.REFRESH))
    steps += [
        Step(Act.DELIVER, s.name)
        for s in facts.secrets
        if s.copy in {Copy.MISSING, Copy.STALE} and facts.connector.exists and facts.is_served and facts.holding and not facts.is_withheld
    ]
    return tuple(steps)


def needs_turn(facts: Facts) -> bool:
    """Whether anything is to be done now for which a server is asked, whether its turn has come or not."""
    return any(step.act in {Act.RELEASE, Act.REDEEM, Act.REFRESH} for step in _steps(replace(facts, waits_for_turn=None)))


def must_ask(facts: Facts) -> bool:
    """Whether a request with a link in the status has to be opened: consent is wanting, and no such link asks for all of it."""
    usable = facts.holding is not None and not facts.is_dead and not _is_spent(facts)
    is_wanting = (not usable or bool(unasked_scopes(facts))) if facts.connector.keeps_tokens else facts.consent is None
    return _is_askable(facts) and facts.connector.shows_links and is_wanting and (not facts.has_link or facts.is_link_short)


def must_heed(facts: Facts) -> bool:
    """Whether a request has to be opened because somebody asked for a link; the claim of another holder would overwrite it."""
    return _is_askable(facts) and bool(facts.wish) and facts.claim_respected_until is None


def _is_askable(facts: Facts) -> bool:
    is_open = accepted(facts).holds and facts.connector.ready and not facts.is_suspended
    return is_open and facts.trouble is not Trouble.UNSEALABLE


def _is_spent(facts: Facts) -> bool:
    return facts.holding is not None and not facts.holding.is_refreshable and not facts.is_alive


def _may_refresh(facts: Facts) -> bool:
    """Whether a refresh could be made, and is not waiting for its turn already, at least as urgently."""
    is_new_in_line = facts.waits_for_turn is None or urgency_of_refresh(facts) < facts.waits_for_turn
    return is_new_in_line and is_presentable(facts) and not facts.has_dangling_code and facts.connector.endpoints_known


def _wake_at(facts: Facts) -> datetime | None:
    if facts.is_deleting:
        return None
    moments = [refresh_at(facts), facts.request_expires_at, facts.look_again_at]
    if facts.holding is not None:
        moments.append(facts.holding.expires_at)
        if facts.holding.refresh_expires_at is not None and not facts.holding.is_renewed:
            moments += [facts.holding.refresh_expires_at - span for span in (timedelta(0), *END_WARNED_OF)]
    if any(secret.copy is Copy.FOREIGN for secret in facts.secrets) and not facts.is_withheld:
        moments.append(facts.now + CONFLICT_LOOKED_AT_AGAIN)
    ahead = [moment for moment in moments if moment is not None and moment > facts.now]
    return min(ahead, default=None)
