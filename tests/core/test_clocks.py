"""Moments that a wrong clock wrote down: what is believed of them when it has been set right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.clocks import believe_wait, covers, is_ahead

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("noted_at", "ahead"),
    [
        pytest.param(NOW - DAY, False, id="long ago"),
        pytest.param(NOW, False, id="now"),
        pytest.param(NOW + MINUTE, False, id="by as much as two clocks may differ"),
        pytest.param(NOW + MINUTE + SECOND, True, id="by more"),
    ],
)
def test_whether_a_clock_was_ahead(noted_at: datetime, ahead: bool) -> None:
    assert is_ahead(noted_at, NOW) is ahead


@pytest.mark.parametrize(
    ("until", "noted_at", "believed"),
    [
        pytest.param(None, NOW, None, id="none"),
        pytest.param(NOW + MINUTE, NOW, NOW + MINUTE, id="a minute"),
        pytest.param(NOW + DAY, NOW - MINUTE, NOW - MINUTE + HOUR, id="a day: an hour from when it was noted"),
        pytest.param(NOW + DAY + MINUTE, NOW + DAY, None, id="noted tomorrow"),
    ],
)
def test_how_long_a_wait_lasts(until: datetime | None, noted_at: datetime, believed: datetime | None) -> None:
    assert believe_wait(until, noted_at=noted_at, now=NOW) == believed


@pytest.mark.parametrize(
    ("until", "leeway", "covered"),
    [
        pytest.param(None, MINUTE, False, id="none"),
        pytest.param(NOW + 58 * SECOND, MINUTE, True, id="just begun"),
        pytest.param(NOW, MINUTE, False, id="over"),
        pytest.param(NOW + DAY, MINUTE, False, id="more left of it than it lasts"),
        pytest.param(NOW + SECOND, timedelta(0), False, id="the connector states none any more"),
    ],
)
def test_whether_a_leeway_covers(until: datetime | None, leeway: timedelta, covered: bool) -> None:
    assert covers(until, leeway=leeway, now=NOW) is covered
