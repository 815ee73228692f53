from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from grantkeeper.choices import Rotation
from grantkeeper.core.rotation import Manner, is_renewed_by_use, note_turnover
from grantkeeper.core.tokens import TokenSet, Turnover
from grantkeeper.resources import RefreshSpec

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


def tokens(turnover: Turnover, *, lives: timedelta | None = timedelta(hours=1)) -> TokenSet:
    return TokenSet(
        access_token=SecretStr("at"),
        refresh_token=SecretStr("rt"),
        token_type="Bearer",
        obtained_at=NOW,
        expires_at=NOW + lives if lives else None,
        turnover=turnover,
    )


NOTHING, ONCE, TWICE, CHANGED = Turnover(), Turnover(kept=1), Turnover(kept=2), Turnover(changed=True)


@pytest.mark.parametrize(
    ("rotation", "seen", "rotates", "is_renewed"),
    [
        pytest.param(Rotation.DETECT, NOTHING, True, True, id="nothing seen: the worst is assumed"),
        pytest.param(Rotation.DETECT, ONCE, True, False, id="kept once: could be a replay"),
        pytest.param(Rotation.DETECT, TWICE, False, False, id="kept twice: it stays"),
        pytest.param(Rotation.DETECT, CHANGED, True, True, id="changed"),
        pytest.param(Rotation.NONE, CHANGED, False, False, id="said to stay, whatever was seen"),
        pytest.param(Rotation.STRICT, TWICE, True, True, id="said to be spent, whatever was seen"),
    ],
)
def test_what_is_held_of_a_server(rotation: Rotation, seen: Turnover, rotates: bool, is_renewed: bool) -> None:
    spec = RefreshSpec(rotation=rotation)
    assert Manner.of(spec, tokens(seen)).rotates is rotates
    assert Manner.of(spec, tokens(seen)).may_turn is (rotation is Rotation.DETECT and not rotates)
    assert is_renewed_by_use(spec, tokens(seen)) is is_renewed


@pytest.mark.parametrize(
    ("seen", "changed", "then"),
    [
        pytest.param(NOTHING, False, ONCE, id="kept for the first time"),
        pytest.param(ONCE, False, TWICE, id="and again"),
        pytest.param(TWICE, True, CHANGED, id="a change makes all that was kept worthless"),
        pytest.param(CHANGED, False, Turnover(changed=True, kept=1), id="once changed, always in doubt"),
    ],
)
def test_a_refresh_teaches(seen: Turnover, changed: bool, then: Turnover) -> None:
    assert note_turnover(seen, changed=changed) == then


def test_one_that_once_changed_is_never_held_to_stay() -> None:
    seen = CHANGED
    for _ in range(9):
        seen = note_turnover(seen, changed=False)
    assert Manner.of(RefreshSpec(), tokens(seen)).rotates


@pytest.mark.parametrize(
    ("leeway", "answer_within", "retry_for"),
    [
        pytest.param(0, 10, None, id="none: the usual patience, and no retry"),
        pytest.param(2, 3, None, id="too short for one"),
        pytest.param(5, 3, 3, id="short"),
        pytest.param(15, 5, 13, id="a third is waited for, so that there is time to ask again"),
        pytest.param(60, 10, 58, id="long"),
    ],
)
def test_a_leeway(leeway: int, answer_within: int, retry_for: int | None) -> None:
    manner = Manner.of(RefreshSpec(leeway_seconds=leeway), tokens(NOTHING))
    assert manner.answer_within == timedelta(seconds=answer_within)
    assert manner.retry_until(NOW) == (None if retry_for is None else NOW + timedelta(seconds=retry_for))
