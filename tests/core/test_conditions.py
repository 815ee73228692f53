"""What about `Ready` is news."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from grantkeeper.core.conditions import Truth, Verdict, find_turn
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
