from __future__ import annotations

import pytest

from chaos.archive import CODE
from chaos.evidence import Kind, Mishap
from chaos.gaps import allow, find_gaps, uncovered
from chaos.strewn import A, Strewn, call, kill, stop

QUIET = 35 + 10 + 8 + 15
TAKEOVER = 15 + 1 + 6 + 35
CONSENTED = call("c0", 100, grant_type=CODE, access_token="a1", refresh_token="r1")


@pytest.mark.parametrize(
    ("spans", "left"),
    [
        pytest.param([], [(0, 10)], id="nothing"),
        pytest.param([(0, 10)], [], id="all"),
        pytest.param([(2, 4), (4, 7)], [(0, 2), (7, 10)], id="the ends"),
        pytest.param([(0, 3), (5, 12)], [(3, 5)], id="the middle"),
        pytest.param([(0, 6), (2, 4)], [(6, 10)], id="one within another"),
        pytest.param([(11, 12)], [(0, 10)], id="too late"),
    ],
)
def test_what_is_not_covered(spans: list[tuple[float, float]], left: list[tuple[float, float]]) -> None:
    assert uncovered((0, 10), spans) == left


@pytest.mark.parametrize(
    ("strewn", "ends", "gaps"),
    [
        pytest.param(Strewn().deliver(1, at=100), {}, [(110, 120)], id="it expired"),
        pytest.param(Strewn().deliver(1, at=100).deliver(2, at=107), {}, [(117, 120)], id="the next came in time, and expired"),
        pytest.param(Strewn().deliver(1, at=103).deliver(2, at=112), {}, [(100, 103), (110, 112), (117, 120)], id="late both times"),
        pytest.param(Strewn().deliver(1, at=100), {"alice#1": 105.0}, [], id="its consent was lost before that"),
        pytest.param(Strewn().deliver(1, at=100).deliver(0, at=104, token=""), {}, [(104, 120)], id="its Secret was deleted"),
        pytest.param(Strewn().deliver(2, at=90, token="nobody's"), {}, [], id="no token of this consent was ever delivered"),
    ],
)
def test_when_a_grant_had_no_token(strewn: Strewn, ends: dict[str, float], gaps: list[tuple[float, float]]) -> None:
    archive = strewn.calls(CONSENTED, call("r1", 107)).archive
    assert [(gap.began_at, gap.ended_at) for gap in find_gaps(archive, ends, (0, 120), 10)] == gaps


def test_a_token_of_another_consent_covers_nothing_and_what_was_before_does_not_count() -> None:
    anew = call("c8", 104, grant_type=CODE, account="alice#2", access_token="a9")
    archive = Strewn().deliver(1, at=101).deliver(2, at=105, token="a9").calls(CONSENTED, anew).archive
    gaps = {(gap.began_at, gap.ended_at) for gap in find_gaps(archive, {"alice#1": 108}, (100.5, 112), 10)}
    assert gaps == {(100.5, 101), (105, 108), (104, 105)}


@pytest.mark.parametrize(
    ("strewn", "expected"),
    [
        pytest.param(Strewn(), QUIET, id="nothing happened"),
        pytest.param(Strewn().mishaps(kill(100)), QUIET + TAKEOVER, id="the leader was killed"),
        pytest.param(Strewn().mishaps(kill(100), kill(110)), QUIET + 2 * TAKEOVER, id="and whoever followed"),
        pytest.param(Strewn().mishaps(kill(100, led=False)), QUIET, id="a standby was killed"),
        pytest.param(Strewn().mishaps(kill(80)), QUIET, id="before"),
        pytest.param(Strewn().mishaps(stop(100, 5)), QUIET + TAKEOVER, id="the leader stood still"),
        pytest.param(Strewn().mishaps(stop(100, 25)), QUIET + TAKEOVER + 10, id="for longer than its lease"),
        pytest.param(Strewn().mishaps(Mishap(Kind.CUT, A, 85, 100, led=True)), QUIET + TAKEOVER, id="it was cut off"),
    ],
)
def test_how_long_a_grant_may_have_none(strewn: Strewn, expected: float) -> None:
    assert allow(strewn.archive, 95, 120) == expected


def test_an_authorization_server_that_is_away_excuses_as_long_as_it_was() -> None:
    strewn = Strewn()
    strewn.evidence.outages += [(90, 97), (100, 103), (119, 130)]
    assert allow(strewn.archive, 95, 120) == QUIET + 2 + 3 + 1
