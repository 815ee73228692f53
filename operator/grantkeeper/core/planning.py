"""Decide what a grant needs now. No I/O, no clock: facts in, plan out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from grantkeeper.core.conditions import Verdict, false, pending, summarize, true
from grantkeeper.core.facts import Copy, Facts, Trouble
from grantkeeper.core.pacing import Urgency
from grantkeeper.core.times import to_text

CONFLICT_LOOKED_AT_AGAIN = timedelta(seconds=10)
"""A Secret that is not ours tells us nothing when it goes."""


class Act(Enum):
    """What can be done about a grant."""

    RELEASE = auto()  # it is being deleted: revoke, clean up, let go
    REDEEM = auto()  # an answer arrived
    SETTLE = auto()  # a claim on a code was left behind: its outcome will never be known
    ASK = auto()  # open a request, or close those that ran out
    WITHDRAW = auto()  # a delivered Secret that is not asked for any more
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


def plan(facts: Facts) -> Plan:
    """Judge the facts: pure, so that every situation is a row of a table."""
    verdicts = summarize(tuple(check(facts) for check in CHECKS))
    return Plan(verdicts, steps=_steps(facts), wake_at=_wake_at(facts))


def accepted(facts: Facts) -> Verdict:
    """The connector exists and offers the scopes, and what is to be delivered can be."""
    if not facts.connector.exists:
        return false("Accepted", "ConnectorNotFound", f"There is no OAuthConnector {facts.connector.name} in this namespace; create it.")
    if facts.connector.lacks:
        missing = " ".join(facts.connector.lacks)
        return false("Accepted", "ScopesNotOffered", f"The connector does not offer: {missing}. Add them to its scopes, or drop them here.")
    if facts.template_fault:
        return false("Accepted", "InvalidTemplate", f"{facts.template_fault}.")
    return true("Accepted", "Accepted")


def authorized(facts: Facts) -> Verdict:
    """A usable consent is held."""
    if facts.trouble is Trouble.REPLACED:
        return false(
            "Authorized",
            "ConnectorReplaced",
            "The connector is no longer the client that these tokens belong to; the person must consent again.",
        )
    if facts.trouble is Trouble.UNSEALABLE:
        return false(
            "Authorized",
            "Unsealable",
            f"The sealed tokens do not open here ({facts.trouble_detail}); restore the keyring. They are kept as they are.",
        )
    if facts.is_dead and facts.refusal == "AccountMismatch":
        return false(
            "Authorized", "AccountMismatch", "A refresh brought another account's token, which is not used; the person must consent again."
        )
    if facts.is_dead:
        return false(
            "Authorized",
            "ReauthorizationRequired",
            "The authorization server refuses the refresh token, or it may be spent; the person must consent again.",
        )
    if facts.holding is not None:
        return true("Authorized", "Consented")
    if facts.refusal is not None:
        return false("Authorized", facts.refusal, REFUSALS[facts.refusal].format(expected=facts.expected_account))
    if facts.connector.exists and facts.connector.lacks:
        return pending("Authorized", "No one is asked for scopes that the connector does not offer.")
    if facts.connector.exists and facts.template_fault:
        return pending("Authorized", "No one is asked before the templates are in order.")
    if not facts.connector.ready and not facts.has_open_request:
        return pending("Authorized", "No one can be asked before the connector is ready: see its own status.")
    return false("Authorized", "AwaitingConsent", "The person has been asked and has not answered yet; the link is in status.consentURL.")


NOTHING_HELD = "There is no token that could be used."
REFUSALS = {
    "ConsentDenied": "The person, or the authorization server, said no; status.consentURL asks once more.",
    "ExchangeFailed": "The consent could not be exchanged for tokens; status.consentURL asks once more.",
    "AccountMismatch": (
        "Another account consented than spec.expectedAccount names ({expected}), or the server did not say which; "
        "what came was thrown away. status.consentURL asks once more."
    ),
}


def fresh(facts: Facts) -> Verdict:
    """The access token has not expired."""
    holding = facts.holding
    if holding is None:
        return pending("Fresh", NOTHING_HELD)
    failing = f" Refreshing fails: {facts.failure}." if facts.failure else ""
    if holding.expires_at is None:
        return true("Fresh", "NeverExpires")
    if facts.now < holding.expires_at:
        return true("Fresh", "Unexpired", failing.strip())
    expired = f"The access token expired at {to_text(holding.expires_at)}."
    if not holding.is_refreshable:
        return false("Fresh", "NotRefreshable", f"{expired} The server gave no refresh token; the person must consent again.")
    if facts.failure:
        return false("Fresh", "RefreshFailing", expired + failing)
    if not facts.connector.ready:
        return false("Fresh", "ConnectorNotReady", f"{expired} The connector is not ready: see its own status.")
    return false("Fresh", "Expired", f"{expired} It is being refreshed.")


def delivered(facts: Facts) -> Verdict:
    """Consumers have it."""
    if facts.holding is None:
        return pending("Delivered", NOTHING_HELD)
    for secret in facts.secrets:
        if secret.copy is Copy.FOREIGN:
            return false(
                "Delivered",
                "SecretConflict",
                f"Secret {secret.name} exists and is not grantkeeper's; it is not touched. Delete it, or deliver to another name.",
            )
        if secret.copy is Copy.UNWRITABLE:
            return false("Delivered", "WriteFailed", f"Secret {secret.name} cannot be written: {secret.detail}.")
    behind = [secret.name for secret in facts.secrets if secret.copy is not Copy.CURRENT]
    if behind:
        return pending("Delivered", f"Being written: {', '.join(behind)}.")
    return true("Delivered", "Delivered" if facts.secrets else "OnRequest")


CHECKS: tuple[Callable[[Facts], Verdict], ...] = (
    accepted,  # the connector exists and offers the scopes, and what is to be delivered can be
    authorized,  # a usable consent is held
    fresh,  # the access token has not expired
    delivered,  # consumers have it
)


def token_state(facts: Facts) -> str:
    """The short word that people look for: Active, Expired or Inactive."""
    if facts.holding is None or (facts.is_dead and not _lives(facts)):
        return "Inactive"
    return "Active" if _lives(facts) else "Expired"


def _lives(facts: Facts) -> bool:
    expires_at = facts.holding.expires_at if facts.holding else None
    return expires_at is None or facts.now < expires_at


def _steps(facts: Facts) -> tuple[Step, ...]:
    if facts.is_deleting:
        return (Step(Act.RELEASE),) if facts.is_held and facts.waits_for_turn is None else ()
    steps = [Step(Act.WITHDRAW, name) for name in facts.surplus]
    if facts.has_dangling_code:
        steps.append(Step(Act.SETTLE))
    if facts.connector.endpoints_known and facts.waits_for_turn is not Urgency.AWAITED:
        steps += [Step(Act.REDEEM, answer) for answer in facts.answers]
    if must_ask(facts) or facts.has_lapsed_request:
        steps.append(Step(Act.ASK))
    if facts.waits_for_turn is None and _may_refresh(facts) and (moment := refresh_at(facts)) is not None and moment <= facts.now:
        steps.append(Step(Act.REFRESH))
    steps += [
        Step(Act.DELIVER, s.name)
        for s in facts.secrets
        if s.copy in {Copy.MISSING, Copy.STALE} and facts.connector.exists and facts.holding
    ]
    return tuple(steps)


def needs_turn(facts: Facts) -> bool:
    """Whether anything is to be done now for which a server is asked, whether its turn has come or not."""
    return any(step.act in {Act.RELEASE, Act.REDEEM, Act.REFRESH} for step in _steps(replace(facts, waits_for_turn=None)))


def must_ask(facts: Facts) -> bool:
    """Whether a consent request has to be opened: no usable consent is held, none is asked for, and somebody can be asked."""
    usable = facts.holding is not None and not facts.is_dead and not _is_spent(facts)
    askable = accepted(facts).holds and facts.connector.ready and facts.trouble is not Trouble.UNSEALABLE
    return askable and not usable and not facts.has_open_request


def _is_spent(facts: Facts) -> bool:
    return facts.holding is not None and not facts.holding.is_refreshable and not _lives(facts)


def _may_refresh(facts: Facts) -> bool:
    may = facts.holding is not None and facts.holding.is_refreshable and not facts.is_dead and not facts.has_dangling_code
    return may and facts.connector.endpoints_known


def refresh_at(facts: Facts) -> datetime | None:
    """When the next refresh is due; after a failure, when it may be tried again. None where nothing is to be refreshed."""
    if facts.holding is None or facts.holding.due_at is None or not facts.holding.is_refreshable or facts.is_dead:
        return None
    return max(moment for moment in (facts.holding.due_at, facts.retry_not_before, facts.claim_respected_until) if moment)


def _wake_at(facts: Facts) -> datetime | None:
    if facts.is_deleting:
        return None
    moments = [refresh_at(facts), facts.request_expires_at, facts.look_again_at]
    if facts.holding is not None:
        moments.append(facts.holding.expires_at)
    if any(secret.copy is Copy.FOREIGN for secret in facts.secrets):
        moments.append(facts.now + CONFLICT_LOOKED_AT_AGAIN)
    ahead = [moment for moment in moments if moment is not None and moment > facts.now]
    return min(ahead, default=None)
