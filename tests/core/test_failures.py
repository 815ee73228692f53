"""Failures: what is waited after them, and whether they are one grant's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.failures import count_failure, find_place, has_failed_so
from grantkeeper.core.outcomes import Dead, Lost, Outcome, Rejected, Transient
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.records import Attempt
from grantkeeper.core.tokens import TokenSet

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def fail(*reasons: str, chance: float = 0, hashes: str = "") -> list[timedelta]:
    """The waits after failures for these reasons, each of them tried as soon as it may be."""
    last, waits, now = None, list[timedelta](), NOW
    for number, reason in enumerate(reasons):
        refresh_hash = hashes[number : number + 1] or "a"
        last = count_failure(reason, last, refresh_hash=refresh_hash, spec_generation=1, now=now, chance=chance)
        assert last.retry_not_before is not None
        waits.append(last.retry_not_before - now)
        now = last.retry_not_before
    return waits


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        pytest.param(fail(*["RequestRejected"] * 8), [MINUTE * n for n in (1, 2, 4, 8, 16, 32, 60, 60)], id="a request: as a circuit"),
        pytest.param(
            fail(*["RequestRejected"] * 8, chance=0.5),
            [MINUTE * n * 1.25 for n in (1, 2, 4, 8, 16, 32)] + [HOUR] * 2,
            id="they part from one another, and never for more than an hour",
        ),
        pytest.param(
            fail(*["ServerError"] * 9),
            [SECOND, *(SECOND * n for n in (30, 60, 120, 240, 480, 960, 1800, 1800))],
            id="an error that is reported: one may be chance",
        ),
        pytest.param(fail(*["Unreachable"] * 9)[-1:], [SECOND], id="what is nobody's own: anything up to a minute"),
        pytest.param(fail(*["Unreachable"] * 9, chance=0.999)[-1:], [59.94 * SECOND], id="the same by another chance"),
        pytest.param(fail(*["Unreachable"] * 9, "RequestRejected")[-1:], [MINUTE], id="what was waited before for others does not count"),
        pytest.param(fail(*["Unreachable"] * 9, "ServerError")[-1:], [SECOND], id="nor for an error"),
        pytest.param(fail("RequestRejected", "RequestRejected", hashes="ab"), [MINUTE, MINUTE], id="another refresh token begins anew"),
    ],
)
def test_how_long_is_waited(waits: list[timedelta], expected: list[timedelta]) -> None:
    assert waits == expected


@pytest.mark.parametrize(
    ("reasons", "urgency"),
    [
        pytest.param(["ClientRejected"], Urgency.REJECTED, id="the client: another tries, and before those that fail by themselves"),
        pytest.param(["RequestRejected"], Urgency.FAILED, id="its request"),
        pytest.param(["AnswerUnusable"], Urgency.FAILED, id="what it is given is of no use"),
        pytest.param(["ServerError"], None, id="an error: in doubt already, so it goes before what is not"),
        pytest.param(["ServerError", "ServerError"], Urgency.FAILED, id="an error again"),
        pytest.param(["Unreachable"] * 9 + ["ServerError"], None, id="an error after an outage"),
        pytest.param(["AnswerLost"], None, id="no answer"),
        pytest.param(["AnswerLost", "AnswerLost"], Urgency.FAILED, id="no answer again"),
        pytest.param(["Unreachable"] * 9, None, id="no connection is everybody's"),
        pytest.param(["Refused"], None, id="so is patience that is asked for"),
        pytest.param(["Refused", "Refused"], Urgency.FAILED, id="asked for again"),
    ],
)
def test_whether_others_go_first(reasons: list[str], urgency: Urgency | None) -> None:
    last: Attempt | None = None
    for reason in reasons:
        last = count_failure(reason, last, refresh_hash="a", spec_generation=1, now=NOW, chance=0)
    assert last is not None
    assert find_place(last) == (urgency and Rank(urgency, NOW))


SUCCESSOR = TokenSet.model_validate({"access_token": "x", "refresh_token": "y", "token_type": "Bearer", "obtained_at": NOW})


@pytest.mark.parametrize(
    ("before", "outcome", "is_safe", "is_so"),
    [
        pytest.param(None, Rejected("invalid_scope"), False, False, id="the first attempt"),
        pytest.param("Refreshed", Rejected("invalid_scope"), False, False, id="it succeeded before"),
        pytest.param("RequestRejected", Rejected("invalid_scope"), False, True, id="rejected again"),
        pytest.param("ClientRejected", Rejected("invalid_scope"), False, False, id="the client was rejected before"),
        pytest.param("ServerError", Lost("server_error", server_failed=True), False, True, id="an error again"),
        pytest.param("AnswerUnusable", Lost("no_access_token", successor=SUCCESSOR), False, True, id="of no use again"),
        pytest.param("ServerError", Lost("no_answer"), False, False, id="a token in doubt: a second time at most"),
        pytest.param("AnswerLost", Lost("no_answer"), False, False, id="the second time"),
        pytest.param("AnswerLost", Lost("no_answer"), True, True, id="no answer again, for what is not spent by it"),
        pytest.param("RequestRejected", Transient("slow_down"), False, False, id="another failure"),
        pytest.param("Refused", Transient("slow_down"), False, True, id="patience is asked for again"),
        pytest.param("RequestRejected", Dead("invalid_grant"), False, False, id="a refusal"),
    ],
)
def test_whether_it_tells_nothing_new(before: str | None, outcome: Outcome, is_safe: bool, is_so: bool) -> None:
    last = Attempt(reason=before, time=NOW, spec_generation=1) if before is not None else None
    assert has_failed_so(last, outcome, is_safe=is_safe) is is_so
