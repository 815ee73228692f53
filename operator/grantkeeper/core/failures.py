"""Why a refresh brought no token: in words, how long is waited then, and whether it answers who had asked for it."""

from __future__ import annotations

from datetime import datetime

from grantkeeper.core import schedule
from grantkeeper.core.clocks import LONGEST_WAIT
from grantkeeper.core.outcomes import REJECTED_WORDS
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
LONGEST_WAITS = {"AnswerUnusable": LONGEST_WAIT, "RequestRejected": LONGEST_WAIT}
"""How long a grant waits at most after such failures, if not a minute: a person has to mend something."""


def describe_failure(outcome: Attempt | None) -> str:
    """Why the last refresh failed; nothing where it did not. What the server said is in it only where it is a word of ours."""
    if outcome is None:
        return ""
    if outcome.reason == "RequestRejected" and outcome.error in REJECTED_WORDS:
        return f"the authorization server rejects the request ({outcome.error})"
    return IN_WORDS.get(outcome.reason, "")


def count_failure(reason: str, last: Attempt | None, *, refresh_hash: str, spec_generation: int, now: datetime, chance: float) -> Attempt:
    """An attempt that brought no access token: one failure more than the last one with this refresh token, and when to try again.

    `chance` in [0, 1) spreads what failed together.
    """
    failures = 1 + (last.failures if last and last.hash == refresh_hash else 0)
    wait = schedule.try_again_in(failures, chance, most=LONGEST_WAITS.get(reason, schedule.LAST_MINUTE))
    return Attempt(
        hash=refresh_hash, reason=reason, time=now, spec_generation=spec_generation, failures=failures, retry_not_before=now + wait
    )
