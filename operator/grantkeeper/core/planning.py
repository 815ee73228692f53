"""Decide what a grant needs now. No I/O, no clock: facts in, plan out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from grantkeeper.core.asking import REFUSALS, describe_waiting, describe_widening, say_where, unasked_scopes
from grantkeeper.core.conditions import Verdict, false, pending, summarize, true
from grantkeeper.core.facts import Copy, Facts, Trouble
from grantkeeper.core.times import to_text

CONFLICT_LOOKED_AT_AGAIN = timedelta(seconds=10)
"""A Secret that is not ours tells us nothing when it goes."""


END_WARNED_OF = {timedelta(days=1): "a day", timedelta(days=7): "a week"}
"""How far ahead the end of a refresh token is announced, the shortest first."""


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
    if (unkept := _judge_unkept(facts)) is not None:
        return unkept
    verdict = _judge_consent(facts)
    if not facts.is_suspended or facts.has_open_request or verdict.holds:
        return verdict
    if verdict.reason in {"AwaitingConsent", "Pending"}:
        return pending("Authorized", ASKED_WHEN_RESUMED)
    return replace(verdict, message=f"{verdict.message} {ASKED_WHEN_RESUMED}")


ASKED_WHEN_RESUMED = "No one is asked while spec.suspend is true."


def _judge_unkept(facts: Facts) -> Verdict | None:
    """What there is to say where a consent was given to a connector that keeps no tokens."""
    if facts.connector.keeps_tokens or facts.trouble is not None or facts.consent is None:
        return None
    message = "The connector keeps no tokens (spec.tokenStorage is Disabled)."
    if facts.profile is not None:
        message += f" The account is connected; what came was {'revoked at once' if facts.profile.revoked else THROWN_AWAY}."
    if facts.holding is not None:
        message += " The tokens from before stay sealed: they go on when it is Enabled again, and end with the grant."
    return false("Authorized", "TokensNotKept", message)


THROWN_AWAY = "thrown away, but not revoked: the server does not take it, or tokens that are held may be the same account's"


def _judge_consent(facts: Facts) -> Verdict:
    if facts.trouble is Trouble.REPLACED:
        return false(
            "Authorized",
            "ConnectorReplaced",
            f"The connector is no longer the client that these tokens belong to. To consent again, {say_where(facts)}.",
        )
    if facts.trouble is Trouble.UNSEALABLE:
        return false(
            "Authorized",
            "Unsealable",
            f"The sealed tokens do not open here ({facts.trouble_detail}); restore the keyring. They are kept as they are.",
        )
    if facts.is_dead and facts.refusal == "AccountMismatch":
        return false(
            "Authorized",
            "AccountMismatch",
            f"A refresh brought another account's token, which is not used. To consent again, {say_where(facts)}.",
        )
    if facts.is_dead:
        return false(
            "Authorized",
            "ReauthorizationRequired",
            f"The authorization server refuses the refresh token, or it may be spent. To consent again, {say_where(facts)}.",
        )
    if facts.holding is not None:
        return true("Authorized", "Consented", describe_widening(facts))
    if facts.refusal is not None:
        return false("Authorized", facts.refusal, REFUSALS[facts.refusal].format(expected=facts.expected_account, where=say_where(facts)))
    if facts.connector.exists and facts.connector.lacks:
        return pending("Authorized", "No one is asked for scopes that the connector does not offer.")
    if facts.connector.exists and facts.template_fault:
        return pending("Authorized", "No one is asked before the templates are in order.")
    if not facts.connector.ready and not facts.has_open_request:
        return pending("Authorized", "No one can be asked before the connector is ready: see its own status.")
    return false("Authorized", "AwaitingConsent", describe_waiting(facts))


NOTHING_HELD = "There is no token that could be used."


def fresh(facts: Facts) -> Verdict:
    """The access token has not expired, and is kept so."""
    holding = facts.holding
    if facts.is_suspended:
        return false("Fresh", "Suspended", "Nothing is refreshed while spec.suspend is true; what is held stays sealed.")
    if holding is None or not facts.connector.keeps_tokens:
        return pending("Fresh", NOTHING_HELD)
    failing = f" Refreshing fails: {facts.failure}." if facts.failure else ""
    said = " ".join(filter(None, (failing.strip(), warn_of_end(facts))))
    if holding.expires_at is None:
        return true("Fresh", "NeverExpires", said)
    if facts.now < holding.expires_at:
        return true("Fresh", "Unexpired", said)
    expired = f"The access token expired at {to_text(holding.expires_at)}."
    if not holding.is_refreshable:
        return false("Fresh", "NotRefreshable", f"{expired} The server gave no refresh token. To consent again, {say_where(facts)}.")
    if facts.failure:
        return false("Fresh", "RefreshFailing", expired + failing)
    if facts.connector.is_judged and not facts.connector.ready:
        return false("Fresh", "ConnectorNotReady", f"{expired} The connector is not ready: see its own status.")
    return false("Fresh", "Expired", f"{expired} It is being refreshed.")


def warn_of_end(facts: Facts) -> str:
    """That the refresh token runs out for good, a week and a day ahead; nothing where its use brings a new one."""
    holding = facts.holding
    if holding is None or holding.refresh_expires_at is None or holding.is_renewed:
        return ""
    if facts.now >= holding.refresh_expires_at:
        return f"The refresh token expired at {to_text(holding.refresh_expires_at)}; the person must consent again."
    near = next((words for span, words in END_WARNED_OF.items() if facts.now >= holding.refresh_expires_at - span), None)
    if near is None:
        return ""
    return f"The refresh token expires within {near}, at {to_text(holding.refresh_expires_at)}; the person must consent again before."


def delivered(facts: Facts) -> Verdict:
    """Consumers have it."""
    if facts.is_withheld:
        return _judge_withdrawal(facts)
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
    if behind and not facts.connector.exists:
        return pending("Delivered", f"Nothing can be written without the connector: {', '.join(behind)}.")
    if behind:
        return pending("Delivered", f"Being written: {', '.join(behind)}.")
    return true("Delivered", "Delivered" if facts.secrets else "OnRequest")


def _judge_withdrawal(facts: Facts) -> Verdict:
    if facts.handed_out:
        return pending("Delivered", f"Being withdrawn: {', '.join(facts.handed_out)}.")
    return pending("Delivered", "Nothing is handed out while spec.suspend is true." if facts.is_suspended else NOTHING_HELD)


CHECKS: tuple[Callable[[Facts], Verdict], ...] = (
    accepted,  # the connector exists and offers the scopes, and what is to be delivered can be
    authorized,  # a usable consent is held
    fresh,  # the access token has not expired, and is kept so
    delivered,  # consumers have it
)


def token_state(facts: Facts) -> str:
    """The short word that people look for: Active, Expired, Inactive or NotApplicable."""
    if not facts.connector.keeps_tokens:
        return "NotApplicable"
    if facts.holding is None or (facts.is_dead and not _lives(facts)):
        return "Inactive"
    return "Active" if _lives(facts) else "Expired"


def _lives(facts: Facts) -> bool:
    expires_at = facts.holding.expires_at if facts.holding else None
    return expires_at is None or facts.now < expires_at


def _steps(facts: Facts) -> tuple[Step, ...]:
    if facts.is_deleting:
        return (Step(Act.RELEASE),) if facts.is_held else ()
    steps = [Step(Act.WITHDRAW, name) for name in (facts.handed_out if facts.is_withheld else facts.surplus)]
    if facts.has_dangling_code:
        steps.append(Step(Act.SETTLE))
    if facts.connector.ready:
        steps += [Step(Act.REDEEM, answer) for answer in facts.answers]
    if must_ask(facts) or must_heed(facts) or facts.has_lapsed_request:
        steps.append(Step(Act.ASK))
    if _may_refresh(facts) and (moment := refresh_at(facts)) is not None and moment <= facts.now:
        steps.append(Step(Act.REFRESH))
    steps += [
        Step(Act.DELIVER, s.name)
        for s in facts.secrets
        if s.copy in {Copy.MISSING, Copy.STALE} and facts.connector.exists and facts.holding and not facts.is_withheld
    ]
    return tuple(steps)


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
    return facts.holding is not None and not facts.holding.is_refreshable and not _lives(facts)


def _may_refresh(facts: Facts) -> bool:
    may = facts.holding is not None and facts.holding.is_refreshable and not facts.is_dead and not facts.has_dangling_code
    return may and facts.connector.endpoints_known


def refresh_at(facts: Facts) -> datetime | None:
    """When the next refresh is due; after a failure, when it may be tried again. None where nothing is to be refreshed."""
    if facts.holding is None or facts.holding.due_at is None or not facts.holding.is_refreshable or facts.is_dead or facts.is_withheld:
        return None
    return max(moment for moment in (facts.holding.due_at, facts.retry_not_before, facts.claim_respected_until) if moment)


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
