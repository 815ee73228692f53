"""What about `Ready` is news; what is said anew, and since when it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.conditions import Truth, Verdict, false, find_turn, merge, pending, true
from grantkeeper.core.reasons import Reason
from grantkeeper.objects import Condition

READY = Verdict("Ready", Truth.TRUE, Reason.READY)
AWAY = Verdict("Ready", Truth.FALSE, Reason.UNREACHABLE, "no connection")
REJECTED = Verdict("Ready", Truth.FALSE, Reason.CLIENT_REJECTED, "correct it")
UNKNOWN = Verdict("Ready", Truth.UNKNOWN, Reason.PENDING, "not judged yet")


@pytest.mark.parametrize(
    ("said", "now", "is_news"),
    [
        pytest.param(None, READY, True, id="for the first time"),
        pytest.param(None, UNKNOWN, False, id="nothing is known yet"),
        pytest.param(READY, READY, False, id="as it was"),
        pytest.param(READY, AWAY, True, id="it turned"),
        pytest.param(AWAY, REJECTED, True, id="another reason"),
        pytest.param(AWAY, Verdict("Ready", Truth.FALSE, Reason.UNREACHABLE, "no answer"), False, id="other words"),
        pytest.param(AWAY, UNKNOWN, False, id="it is not known any more"),
        pytest.param(UNKNOWN, READY, True, id="it is known again"),
    ],
)
def test_what_is_news(said: Verdict | None, now: Verdict, is_news: bool) -> None:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    other = Condition(type="Reachable", status=now.truth, reason=now.reason, last_transition_time=moment)
    before = [Condition(type="Ready", status=said.truth, reason=said.reason, last_transition_time=moment)] if said else []
    assert find_turn([other, *before], [Verdict("Reachable", Truth.TRUE, Reason.REACHABLE), now]) == (now if is_news else None)


THEN = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
NOW = THEN + timedelta(hours=1, microseconds=7)
HELD = true("Fresh", Reason.UNEXPIRED)


@pytest.mark.parametrize(
    ("said", "generation", "since"),
    [
        pytest.param(HELD, 1, THEN, id="the same"),
        pytest.param(HELD, 2, THEN, id="the same of another generation of the spec"),
        pytest.param(true("Fresh", Reason.NEVER_EXPIRES), 1, THEN, id="as true for another reason"),
        pytest.param(true("Fresh", Reason.UNEXPIRED, "m"), 1, THEN, id="as true with another message"),
        pytest.param(false("Fresh", Reason.EXPIRED, "m"), 1, NOW.replace(microsecond=0), id="not true any more"),
        pytest.param(pending("Fresh", "m"), 1, NOW.replace(microsecond=0), id="not known any more"),
        pytest.param(true("Delivered", Reason.DELIVERED), 1, NOW.replace(microsecond=0), id="never said before"),
    ],
)
def test_a_time_turns_with_the_truth_and_with_nothing_else(said: Verdict, generation: int, since: datetime) -> None:
    before = merge((), [HELD], generation=1, now=THEN)
    (after,) = merge(before, [said], generation=generation, now=NOW)
    assert (after.type, after.status, after.reason, after.message) == (said.type, said.truth, said.reason, said.message)
    assert (after.observed_generation, after.last_transition_time) == (generation, since)


def test_what_says_the_same_is_the_same_object() -> None:
    before = merge((), [HELD], generation=1, now=THEN)
    assert merge(before, [HELD], generation=1, now=NOW)[0] is before[0]
