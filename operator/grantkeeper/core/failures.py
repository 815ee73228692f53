"""Why a refresh brought no token: in words, how long is waited then, and whether it answers who had asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from grantkeeper.core import circuits, schedule
from grantkeeper.core.circuits import Patience
from grantkeeper.core.clocks import LONGEST_WAIT
from grantkeeper.core.outcomes import REJECTED_WORDS, Lost, Outcome, Rejected, Transient
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.records import Attempt

IN_WORDS = {
    "Unreachable": "the authorization server cannot be reached",
    "NotSent": "the request could not be sent soon enough after its claim; it is made again",
    "ClientRejected": "the authorization server rejects the client; see the connector",
    "RequestRejected": "the authorization server rejects the request; the controller's log names its error",
    "ServerError": "the authorization server, or something in front of it, reports an error",
    "AnswerLost": "an answer was lost on the way; it is tried once more when nothing can be lost by it",
    "KeptBack": "an answer was lost on the way, and the authorization server gives none now; it is tried once more when there is one",
    "Silent": "the authorization server does not answer; nobody needs to do anything, it is tried again with one grant at a time",
    "AnswerUnusable": "the authorization server answers without an access token that could be used; the controller's log says why",
    "Unstored": "what the authorization server gave cannot be stored; it is kept on the controller's disk, and its log names the error",
    "Refused": "the authorization server asks to try again later",
}
"""What status says, by the reason of the last attempt."""
ANSWERS = frozenset({"ReauthorizationRequired", "AnswerLost", "ServerError"})
"""Failures that answer whoever asked for a refresh: the server was asked, and asking again is another matter."""
LONGEST_WAITS = {"AnswerUnusable": LONGEST_WAIT}
"""How long a grant waits at most after such failures, if not a minute: a person has to mend something."""
PATIENCE: Mapping[str, Patience] = {"RequestRejected": circuits.CLIENT, "ServerError": circuits.SILENCE}
"""Failures that may be a grant's own and never end: it waits as long as all would, if they were everybody's."""
OF_ITSELF = frozenset({"RequestRejected", "AnswerUnusable"})
"""Failures that may be a grant's own: who tries for all is somebody else."""
OF_ITSELF_IF_REPEATED = frozenset({"ServerError", "AnswerLost", "Refused"})
"""The same from the second in a row on; the first may leave a token in doubt, and what is in doubt already tries before what is not."""


def describe_failure(outcome: Attempt | None) -> str:
    """Why the last refresh failed; nothing where it did not. What the server said is in it only where it is a word of ours."""
    if outcome is None:
        return ""
    if outcome.reason == "RequestRejected" and outcome.error in REJECTED_WORDS:
        return f"the authorization server rejects the request ({outcome.error})"
    return IN_WORDS.get(outcome.reason, "")


def count_failure(
    reason: str,
    last: Attempt | None,
    *,
    refresh_hash: str,
    spec_generation: int,
    now: datetime,
    chance: float,
    is_hurried: bool = False,
) -> Attempt:
    """An attempt that brought no access token: one failure more than the last one with this refresh token, and when to try again.

    `chance` in [0, 1) spreads what failed together. `is_hurried` where a leeway runs out: then it is no time for patience.
    """
    before = last if last and last.hash == refresh_hash else None
    failures, is_repeated = 1 + (before.failures if before else 0), before is not None and before.reason == reason
    wait = schedule.try_again_in(failures, chance, most=LONGEST_WAITS.get(reason, schedule.LAST_MINUTE))
    if reason in PATIENCE and not is_hurried and (is_repeated or reason not in OF_ITSELF_IF_REPEATED):
        waited = before.retry_not_before - before.time if before and is_repeated and before.retry_not_before else timedelta(0)
        first = PATIENCE[reason].first * (1 + chance / 2)  # what failed together must not come back together
        wait = min(max(first, 2 * waited), PATIENCE[reason].most)
    return Attempt(
        hash=refresh_hash,
        reason=reason,
        time=now,
        spec_generation=spec_generation,
        failures=failures,
        is_repeated=is_repeated,
        retry_not_before=now + wait,
    )


def find_place(outcome: Attempt) -> Rank | None:
    """The place in the line after such an attempt, where one at a time finds out for all; None where it is that of everybody."""
    if outcome.reason == "ClientRejected":
        return Rank(Urgency.REJECTED, outcome.time)
    is_its_own = outcome.reason in OF_ITSELF or (outcome.reason in OF_ITSELF_IF_REPEATED and outcome.is_repeated)
    return Rank(Urgency.FAILED, outcome.time) if is_its_own else None


def has_failed_so(last: Attempt | None, outcome: Outcome, *, is_safe: bool) -> bool:
    """Whether a grant had failed in this very way when it was last tried, and might do so without end: that tells nothing of any other.

    What is presented twice at most, for its answers are lost, tells something each time. `is_safe` where it is not spent by it.
    """
    reason = last.reason if last is not None else ""
    match outcome:
        case Rejected():
            return reason == "RequestRejected"
        case Transient():
            return reason == "Refused"
        case Lost() if outcome.server_failed or outcome.successor is not None:
            return reason in {"ServerError", "AnswerUnusable"}
        case Lost():
            return is_safe and reason == "AnswerLost"
    return False
