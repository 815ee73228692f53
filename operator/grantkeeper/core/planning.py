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
from grantkeeper.core.verdicts import CHECKS, END_WARNED_OF, accepted, describe_aside, warn_of_end

CONFLICT_LOOKED_AT_AGAIN = timedelta(seconds=10)
"""A Secret that is not ours tells us nothing when it goes."""


class Act(Enum):
    """What can be done about a grant."""

    STORE = auto()  # what was gained could not be stored, and is tried again before anything else
    RELEASE = auto()  # it is being deleted: revoke, clean up, let go
    REDEEM = auto()  # an answer arrived
    SETTLE = auto()  # a claim on a code was left behind: its outcome will never be known
    ASK = auto()  # open a request, or close those that ran out
    WITHDRAW = auto()  # a delivered Secret that is not asked for any more, or not to be handed out
    REFRESH = auto()
    DELIVER = auto()


_AT_THE_SERVER = frozenset({Act.RELEASE, Act.REDEEM, Act.REFRESH})
_TO_BE_WRITTEN = frozenset({Copy.MISSING, Copy.STALE})


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
    aside: str = ""
    """The same of Authorized's: that a set came second."""


def plan(facts: Facts, steps: tuple[Step, ...] | None = None) -> Plan:
    """Judge the facts: pure, so that every situation is a row of a table. `steps` where they have been found already.

    The rest need not be known while a step is taken: other things hold after that.
    """
    verdicts, steps = summarize(tuple(check(facts) for check in CHECKS)), find_steps(facts) if steps is None else steps
    return Plan(verdicts, steps=steps, wake_at=_wake_at(facts), notice=warn_of_end(facts), aside=describe_aside(facts))


def find_steps(facts: Facts) -> tuple[Step, ...]:
    """What to do now, the first thing first."""
    if facts.is_unstored:
        others = find_steps(replace(facts, is_unstored=False, has_left=False))
        return (Step(Act.STORE), *(step for step in others if step.act in {Act.WITHDRAW, Act.DELIVER}))
    if facts.is_deleting:
        is_in_use = facts.claim_respected_until is not None  # what comes of that is revoked as well, once it is stored
        return (Step(Act.RELEASE),) if facts.is_held and facts.waits_for_turn is None and not is_in_use else ()
    if not facts.is_kept:
        return ()
    steps = [Step(Act.STORE)] if facts.has_left else []
    steps += [Step(Act.WITHDRAW, name) for name in (facts.handed_out if facts.is_withheld else facts.surplus)]
    if facts.has_dangling_code:
        steps.append(Step(Act.SETTLE))
    is_free = facts.waits_for_turn is not Urgency.AWAITED and facts.claim_respected_until is None
    if facts.connector.endpoints_known and facts.is_served and is_free:
        steps += [Step(Act.REDEEM, answer) for answer in facts.answers]
    if must_ask(facts) or must_heed(facts) or facts.has_lapsed_request:
        steps.append(Step(Act.ASK))
    if _may_refresh(facts) and (moment := refresh_at(facts)) is not None and moment <= facts.now:
        steps.append(Step(Act.REFRESH))
    steps += [
        Step(Act.DELIVER, s.name)
        for s in facts.secrets
        if s.copy in _TO_BE_WRITTEN and facts.connector.exists and facts.is_served and facts.holding and not facts.is_withheld
    ]
    return tuple(steps)


def needs_turn(facts: Facts, steps: tuple[Step, ...]) -> bool:
    """Whether anything is to be done now for which a server is asked, whether its turn has come or not; `steps` are those of the facts."""
    wanted = steps if facts.waits_for_turn is None else find_steps(replace(facts, waits_for_turn=None))
    return any(step.act in _AT_THE_SERVER for step in wanted)


def must_ask(facts: Facts) -> bool:
    """Whether a request with a link in the status has to be opened: consent is wanting, and no such link asks for all of it."""
    has_link = facts.has_link and not facts.is_link_short
    return facts.connector.shows_links and not has_link and _is_wanting(facts) and _is_askable(facts)


def must_heed(facts: Facts) -> bool:
    """Whether a request has to be opened because somebody asked for a link; the claim of another holder would overwrite it."""
    return bool(facts.wish) and facts.claim_respected_until is None and _is_askable(facts)


def _is_wanting(facts: Facts) -> bool:
    if not facts.connector.keeps_tokens:
        return facts.consent is None
    is_usable = facts.holding is not None and not facts.is_dead and not _is_spent(facts)
    return not is_usable or bool(unasked_scopes(facts))


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
        return facts.claim_respected_until
    moments = [refresh_at(facts), facts.request_expires_at, facts.look_again_at, facts.claim_respected_until]
    if facts.holding is not None:
        moments.append(facts.holding.expires_at)
        if facts.holding.refresh_expires_at is not None and not facts.holding.is_renewed:
            moments += [facts.holding.refresh_expires_at - span for span in (timedelta(0), *END_WARNED_OF)]
    if any(secret.copy is Copy.FOREIGN for secret in facts.secrets) and not facts.is_withheld:
        moments.append(facts.now + CONFLICT_LOOKED_AT_AGAIN)
    ahead = [moment for moment in moments if moment is not None and moment > facts.now]
    return min(ahead, default=None)
