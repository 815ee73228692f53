"""When tokens are refreshed for somebody who asks, and what is said where they are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.admission import Admission
from grantkeeper.core.facts import ConnectorFacts, Facts, Holding
from grantkeeper.core.gains import Gain
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.planning import Act, Step, plan
from grantkeeper.core.records import Attempt, Handled, Meta, Sealed, answer_refresh
from grantkeeper.core.refreshing import (
    LONGEST_WISH,
    REFRESH_ANNOTATION,
    WISHES_APART,
    describe_wish,
    is_presentable,
    rank_of_refresh,
    read_refresh_wish,
    refresh_at,
    urgency_of_refresh,
)
from grantkeeper.core.schedule import SHORTEST
from grantkeeper.core.verdicts import fresh

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MADE = NOW - timedelta(minutes=30)
ASKED = MADE + SHORTEST
DUE = NOW + timedelta(minutes=15)
SOON = NOW + timedelta(seconds=40)
READY = ConnectorFacts("calendar", exists=True, ready=True, endpoints_known=True)
AWAY = replace(READY, endpoints_known=False, ready=False)
HELD = Holding(3, MADE, NOW + timedelta(minutes=30), DUE, ("read",), None, "f" * 64)
IDLE = Facts(now=NOW, is_deleting=False, connector=READY, holding=HELD)
WISHED = replace(IDLE, refresh_wish="now")
BEHIND = Rank(Urgency.FAILED, MADE)
DEAD = replace(WISHED, is_dead=True)
UNREFRESHABLE = replace(HELD, refresh_hash=None)
FOREVER = replace(HELD, expires_at=None, due_at=None)


@pytest.mark.parametrize(
    ("given", "at", "urgency"),
    [
        pytest.param(IDLE, DUE, Urgency.ROUTINE, id="nobody asks"),
        pytest.param(WISHED, ASKED, Urgency.WISHED, id="somebody asks"),
        pytest.param(replace(WISHED, holding=replace(HELD, obtained_at=NOW)), NOW + SHORTEST, Urgency.ROUTINE, id="they have just come"),
        pytest.param(replace(WISHED, refresh_wish_not_before=SOON), SOON, Urgency.ROUTINE, id="somebody asks again"),
        pytest.param(replace(WISHED, refresh_wish_not_before=NOW), NOW, Urgency.WISHED, id="somebody asks again, a minute later"),
        pytest.param(
            replace(WISHED, refresh_wish_not_before=DUE + timedelta(hours=1)), DUE, Urgency.ROUTINE, id="asked again, and due before that"
        ),
        pytest.param(replace(WISHED, retry_not_before=SOON), SOON, Urgency.WISHED, id="failed just now"),
        pytest.param(replace(WISHED, claim_respected_until=SOON), SOON, Urgency.WISHED, id="another holds a claim"),
        pytest.param(replace(IDLE, holding=FOREVER), None, Urgency.ROUTINE, id="never expires"),
        pytest.param(replace(WISHED, holding=FOREVER), ASKED, Urgency.WISHED, id="never expires, and somebody asks"),
        pytest.param(replace(IDLE, is_hurried=True), MADE, Urgency.AWAITED, id="begun, within the leeway: whoever had asked, it goes on"),
        pytest.param(DEAD, None, Urgency.WISHED, id="may be spent"),
        pytest.param(replace(IDLE, place=BEHIND), DUE, Urgency.FAILED, id="failed by itself: after all others"),
        pytest.param(replace(WISHED, place=BEHIND), ASKED, Urgency.FAILED, id="failed by itself, whoever asks"),
        pytest.param(replace(IDLE, is_hurried=True, place=BEHIND), MADE, Urgency.AWAITED, id="failed by itself, within the leeway"),
        pytest.param(replace(DEAD, is_revivable=True), ASKED, Urgency.WISHED, id="refused by the server"),
        pytest.param(replace(DEAD, is_revivable=True, refresh_wish=""), None, Urgency.ROUTINE, id="refused, and nobody asks"),
        pytest.param(
            replace(DEAD, is_revivable=True, refresh_wish="", is_hurried=True), MADE, Urgency.AWAITED, id="refused, tried again, and lost"
        ),
        pytest.param(replace(DEAD, is_hurried=True), None, Urgency.AWAITED, id="may be spent, within the leeway"),
        pytest.param(replace(WISHED, is_suspended=True), None, Urgency.WISHED, id="suspended"),
        pytest.param(replace(WISHED, holding=UNREFRESHABLE), None, Urgency.WISHED, id="no refresh token"),
        pytest.param(replace(WISHED, holding=None), None, Urgency.ROUTINE, id="no tokens"),
        pytest.param(replace(WISHED, is_kept=False), None, Urgency.WISHED, id="not kept"),
        pytest.param(replace(WISHED, connector=replace(READY, exists=False)), None, Urgency.WISHED, id="no connector"),
        pytest.param(replace(WISHED, connector=replace(READY, keeps_tokens=False)), None, Urgency.WISHED, id="no tokens are kept"),
    ],
)
def test_when(given: Facts, at: datetime | None, urgency: Urgency) -> None:
    assert refresh_at(given) == at
    assert urgency_of_refresh(given) is urgency
    is_due = at is not None and at <= NOW
    assert (Step(Act.REFRESH) in plan(given).steps) is is_due
    assert is_presentable(given) or at is None


@pytest.mark.parametrize(
    ("given", "is_refreshed"),
    [
        pytest.param(replace(WISHED, waits_for_turn=Urgency.ROUTINE), True, id="it waits in line as others do: it goes before them"),
        pytest.param(replace(WISHED, waits_for_turn=Urgency.WISHED), False, id="it waits as those who ask do"),
        pytest.param(replace(WISHED, waits_for_turn=Urgency.AWAITED), False, id="a code of the same grant waits"),
        pytest.param(replace(WISHED, refresh_wish_not_before=SOON, waits_for_turn=Urgency.ROUTINE), False, id="heard a minute ago"),
        pytest.param(replace(WISHED, has_dangling_code=True), False, id="a code is to be settled first"),
        pytest.param(replace(WISHED, connector=AWAY), False, id="no way to the server"),
        pytest.param(replace(WISHED, is_deleting=True), False, id="on its way out"),
    ],
)
def test_whether(given: Facts, is_refreshed: bool) -> None:
    assert (Step(Act.REFRESH) in plan(given).steps) is is_refreshed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(IDLE, "", id="nobody asks"),
        pytest.param(WISHED, "", id="it is being made"),
        pytest.param(replace(WISHED, refresh_wish_not_before=SOON), "is due at 2026-11-21T12:00:40Z.", id="one was made just before"),
        pytest.param(replace(WISHED, retry_not_before=SOON), "is due at 2026-11-21T12:00:40Z.", id="failed just now"),
        pytest.param(replace(WISHED, is_suspended=True), "waits: spec.suspend is true.", id="suspended"),
        pytest.param(
            replace(WISHED, connector=replace(READY, keeps_tokens=False)), "waits: the connector keeps no tokens.", id="none kept"
        ),
        pytest.param(replace(WISHED, connector=replace(READY, exists=False)), "waits: see Accepted.", id="no connector"),
        pytest.param(replace(WISHED, connector=replace(READY, admission=Admission.REFUSED)), "waits: see Accepted.", id="not admitted"),
        pytest.param(replace(WISHED, is_kept=False), "waits: see Accepted.", id="not kept"),
        pytest.param(replace(WISHED, connector=AWAY), "waits: the connector is not ready; see its own status.", id="not ready"),
        pytest.param(replace(WISHED, connector=replace(AWAY, is_judged=False)), "", id="nobody has looked yet: it is not blamed"),
        pytest.param(replace(WISHED, holding=None), "waits: no tokens are held that could be used; see Authorized.", id="no tokens"),
        pytest.param(DEAD, "waits: the refresh token must not be presented again; see Authorized.", id="may be spent"),
        pytest.param(
            replace(WISHED, holding=UNREFRESHABLE),
            "waits: the server gave no refresh token, so only a new consent brings another token.",
            id="no refresh token",
        ),
    ],
)
def test_what_is_said(given: Facts, words: str) -> None:
    assert describe_wish(given) == (f"The refresh that is asked for {words}" if words else "")
    assert fresh(given).message.endswith(describe_wish(given))


def test_a_value_of_any_kind_asks_unless_status_could_not_show_it() -> None:
    longest = "é" * LONGEST_WISH
    assert [read_refresh_wish({REFRESH_ANNOTATION: value}) for value in ("1", longest, "", longest + "é")] == ["1", longest, "", ""]
    assert not read_refresh_wish({})
    assert "set a shorter value" in fresh(replace(IDLE, is_refresh_wish_too_long=True)).message


def test_what_was_answered_is_remembered_beside_what_else_was_handled() -> None:
    before = Handled(connect=("a" * 64,))
    answered = answer_refresh(before, "now", NOW)
    assert answered == Handled(connect=before.connect, refresh="now", refreshed_at=NOW)
    assert answer_refresh(answered, "now", NOW + WISHES_APART) == answered, "nothing new"
    assert answer_refresh(answered, "", NOW + WISHES_APART) == answered
    assert answer_refresh(None, "", NOW) is None


@pytest.mark.parametrize(
    ("stored", "afterwards"),
    [
        pytest.param(None, Handled(refresh="now", refreshed_at=NOW), id="nothing before"),
        pytest.param(Handled(connect=("b",)), Handled(connect=("b",), refresh="now", refreshed_at=NOW), id="a link, meanwhile"),
    ],
)
def test_a_wish_is_answered_by_the_write_that_stores_the_tokens(stored: Handled | None, afterwards: Handled) -> None:
    standing = Sealed(uid="u", namespace="n", name="g", handled=stored)
    meta = Meta(generation=1, attempt="a", obtained_at=NOW, kid="k")
    gain = Gain.of(standing, "a", "sealed", meta, Attempt(reason="Refreshed", time=NOW, spec_generation=1))
    assert gain.put_into(standing).handled == stored
    wished = Gain.model_validate_json(gain.model_copy(update={"refresh_wish": "now"}).model_dump_json())  # as from the journal
    assert wished.put_into(standing).handled == afterwards


@pytest.mark.parametrize(
    ("facts", "rank"),
    [
        pytest.param(IDLE, Rank(Urgency.ROUTINE, HELD.expires_at or NOW), id="by expiry"),
        pytest.param(replace(IDLE, holding=FOREVER), Rank(Urgency.ROUTINE, NOW), id="never expires"),
        pytest.param(replace(IDLE, place=BEHIND), BEHIND, id="failed by itself: who did so longest ago goes first"),
        pytest.param(
            replace(IDLE, place=BEHIND, is_hurried=True), Rank(Urgency.AWAITED, HELD.expires_at or NOW), id="failed, within the leeway"
        ),
    ],
)
def test_the_place_in_the_line(facts: Facts, rank: Rank) -> None:
    assert rank_of_refresh(facts) == rank
