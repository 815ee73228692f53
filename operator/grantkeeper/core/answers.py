"""Read what a token or a revocation endpoint answered, and say what it means for what was presented.

The OAuth `error` decides and not the HTTP status: real servers send `invalid_grant` with 200, 400, 401 and 403. What is no
OAuth answer at all is `Lost`, the one class that assumes the worst of a single-use token and gives nothing up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from grantkeeper.core.clocks import LONGEST_WAIT
from grantkeeper.core.documents import Unreadable, read_object_or_form
from grantkeeper.core.granting import find_successor, read_tokens
from grantkeeper.core.messages import Answer
from grantkeeper.core.outcomes import (
    DEAD_WORDS,
    OTHER,
    REASONS,
    REJECTED_WORDS,
    TRANSIENT_WORDS,
    UNCERTAIN_WORDS,
    Dead,
    Granted,
    Lost,
    Outcome,
    Rejected,
    RevocationOutcome,
    Revoked,
    Transient,
    blames_client,
)
from grantkeeper.core.tokens import TokenSet

__all__ = [
    "REASONS",
    "Dead",
    "Granted",
    "Lost",
    "Outcome",
    "Rejected",
    "RevocationOutcome",
    "Revoked",
    "Transient",
    "read_revocation_answer",
    "read_token_answer",
]

_WORD = re.compile(r"[a-z]{1,24}([_.-][a-z]{1,24}){0,5}")
"""An error code as servers make them up. No digits: a token that a server repeats here must not look like one."""

_SECONDS = re.compile(r"[0-9]{1,9}")


def read_token_answer(
    answer: Answer,
    *,
    now: datetime,
    asked: Sequence[str],
    previous: TokenSet | None = None,
    assumed_lifetime: timedelta | None = None,
    refresh_lifetime: timedelta | None = None,
    separator: str = " ",
    refusals: Collection[str] = (),
) -> Outcome:
    """Classify the answer to a code or a refresh token (RFC 6749 sections 5.1 and 5.2).

    `previous`, the set whose refresh token was presented, makes it the answer to a refresh. `asked` are the scopes that a
    first answer without `scope` has granted; the two lifetimes are the connector's, for answers that state none. `refusals` are
    errors by which this server refuses for good, besides those that are known of all. Never raises, whatever the body is.
    """
    members = _members(answer)
    refusal = _read_refusal(answer, members, now, refusals)
    if isinstance(refusal, Lost) and members is not None and _stated_error(members) is None:
        return replace(refusal, successor=find_successor(members, previous, now=now, refresh_lifetime=refresh_lifetime))
    if refusal is not None:
        return refusal
    if members is None:
        return Lost("unreadable")
    return read_tokens(
        members,
        now=now,
        asked=asked,
        previous=previous,
        assumed_lifetime=assumed_lifetime,
        refresh_lifetime=refresh_lifetime,
        separator=separator,
    )


def read_revocation_answer(answer: Answer, *, now: datetime) -> RevocationOutcome:
    """Classify the answer to a revocation (RFC 7009 section 2.2); a token that the server does not know is as good as revoked."""
    refusal = _read_refusal(answer, _members(answer), now)
    if refusal is None or isinstance(refusal, Dead) or refusal.reason == "invalid_token":
        return Revoked()
    return refusal


def _members(answer: Answer) -> Mapping[str, object] | None:
    try:
        return read_object_or_form(answer.body)
    except Unreadable:
        return None


def _read_refusal(
    answer: Answer, members: Mapping[str, object] | None, now: datetime, refusals: Collection[str] = ()
) -> Dead | Rejected | Transient | Lost | None:
    """Why this is no success; None where it is one as far as error and status tell."""
    error = _stated_error(members or {})
    if error is not None and (error in DEAD_WORDS or error in refusals):
        return Dead(error)
    if error in TRANSIENT_WORDS:
        return Transient(error, _wait(answer, now))
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Transient("too_many_requests", _wait(answer, now))
    if error in UNCERTAIN_WORDS:
        return Lost(error, server_failed=True, retry_after=_wait(answer, now))
    if error in REJECTED_WORDS:
        return Rejected(error, is_of_client=blames_client(error, answer.status))
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Lost("server_error", server_failed=True, retry_after=_wait(answer, now))
    if error is not None:
        return Rejected(OTHER, said=_quote(members or {}))
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return Lost("redirected", server_failed=True, retry_after=_wait(answer, now))
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Lost("unreadable", server_failed=True, retry_after=_wait(answer, now))  # a firewall's page, or a gateway's
    return None


def _stated_error(members: Mapping[str, object]) -> str | None:
    """The error code, `other` for an error without one, None where there is no error; Slack says `ok: false` besides."""
    error = members.get("error")
    if isinstance(error, str):
        error = error.strip().lower()
    if error or members.get("ok") is False:
        return error if isinstance(error, str) and error else OTHER
    return None


def _quote(members: Mapping[str, object]) -> str:
    """An error that is none of ours, for the log: the word, or why it is not shown. It could hold anything, what was presented included."""
    error = members.get("error")
    if not isinstance(error, str):
        return "no word" if not error else "not shown: no word, but a structure"
    word = error.strip()
    if _WORD.fullmatch(word.lower()) and word in {word.lower(), word.upper()}:
        return word.lower()
    return f"not shown: {len(word)} characters that are no plain word"


def _wait(answer: Answer, now: datetime) -> timedelta | None:
    """Retry-After (RFC 9110 section 10.2.3); a date in it is held against the server's own clock where that is known."""
    stated = answer.retry_after or ""
    if _SECONDS.fullmatch(stated):
        return min(timedelta(seconds=int(stated)), LONGEST_WAIT)
    until = _read_date(stated)
    if until is None:
        return None
    return min(max(until - (_read_date(answer.date or "") or now), timedelta(0)), LONGEST_WAIT)


def _read_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
