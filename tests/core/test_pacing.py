"""Pacing: bounds that hold for any limit, whenever things are asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grantkeeper.core.pacing import MOST_OWED, QUARTER, SPAN, Gate, Rank, Tally, Urgency, interval

START = datetime(2026, 11, 21, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RATES = st.integers(1, 1000)


def begin(rate: int, asked: list[datetime]) -> list[datetime]:
    """When each of these begins: as soon as the tally lets it, after all before it."""
    tally, begun = Tally(), list[datetime]()
    for moment in asked:
        now = max((moment, *begun[-1:]))
        at = tally.opens_at(rate, now)
        tally = tally.take(rate, at)
        begun.append(at)
    return begun


def most_within(span: timedelta, moments: list[datetime]) -> int:
    """Wherever it begins."""
    return max(sum(at <= other < at + span for other in moments) for at in moments)


@given(rate=st.integers(1, 100), gaps=st.lists(st.integers(0, 400_000), min_size=1, max_size=150))
@example(rate=3, gaps=[0] * 20)
@example(rate=1, gaps=[0, 0, 0])
@example(rate=39, gaps=[0] * 100)
def test_in_no_second_is_more_begun_than_the_limit_and_in_no_quarter_more_than_its_share(rate: int, gaps: list[int]) -> None:
    asked = [START]
    for gap in gaps:
        asked.append(asked[-1] + timedelta(microseconds=gap))
    begun = begin(rate, asked)
    assert most_within(SECOND, begun) <= rate
    assert most_within(QUARTER, begun) <= -(-rate // 4)


@pytest.mark.parametrize(("rate", "first"), [(1, [0, 1020, 2040]), (2, [0, 510, 1020]), (10, [0, 0, 0, 250, 250, 250, 500])])
def test_a_quarter_of_the_limit_begins_at_once_and_small_limits_are_evenly_spread(rate: int, first: list[int]) -> None:
    assert begin(rate, [START] * len(first)) == [START + timedelta(milliseconds=late) for late in first]


@given(rate=RATES)
def test_where_enough_wait_nine_tenths_of_the_limit_are_used(rate: int) -> None:
    number = 10 * rate
    took = begin(rate, [START] * number)[-1] - START
    assert number / (took + SECOND / rate).total_seconds() >= 0.9 * rate


@given(rate=RATES, late=st.integers(0, 40_000))
def test_timers_that_are_late_cost_little(rate: int, late: int) -> None:
    if rate < 4:
        return  # there the time between two is long
    tally, now = Tally(), START
    number = 10 * rate
    for _ in range(number):
        if (opens_at := tally.opens_at(rate, now)) > now:
            now = opens_at + timedelta(microseconds=late)
        tally = tally.take(rate, now)
    assert number / (now - START + SECOND / rate).total_seconds() >= 0.85 * rate


def test_what_could_not_wait_is_waited_for_afterwards() -> None:
    tally = Tally()
    for _ in range(13):
        tally = tally.take(10, START)
    assert tally.opens_at(10, START) == START + timedelta(milliseconds=1270), "as if all of them had waited"


@given(rate=RATES, owed=st.integers(1, 100), back=st.integers(0, 10**6))
def test_a_clock_that_goes_back_stops_nobody_for_long(rate: int, owed: int, back: int) -> None:
    tally, now = Tally(), START - timedelta(seconds=back)
    for _ in range(owed):
        tally = tally.take(rate, START)
    assert tally.settle(rate, now).opens_at(rate, now) - now <= MOST_OWED * interval(rate) + SPAN


def test_a_limit_that_is_raised_counts_at_once() -> None:
    tally = Tally()
    for _ in range(MOST_OWED):
        tally = tally.take(1, START)
    assert tally.settle(1000, START).opens_at(1000, START) - START < timedelta(milliseconds=100)


def test_what_is_over_is_not_kept() -> None:
    tally = Tally()
    for second in range(1000):
        tally = tally.take(10, START + second * SECOND)
    assert len(tally.begun) <= 2


def test_what_is_awaited_goes_first_and_then_what_expires_first() -> None:
    ranks = [
        Rank(Urgency.AWAITED, START),
        Rank(Urgency.AWAITED, START + SECOND),
        Rank(Urgency.WISHED, START),
        Rank(Urgency.ROUTINE, START - SECOND),
        Rank(Urgency.ROUTINE, START),
        Rank(Urgency.REJECTED, START + SECOND),
        Rank(Urgency.FAILED, START - SECOND),
        Rank(Urgency.FAILED, START),
    ]
    assert all(earlier < later for earlier, later in pairwise(ranks))


@pytest.mark.parametrize(("urgency", "at"), [(Urgency.AWAITED, START), (Urgency.WISHED, START + SECOND), (Urgency.ROUTINE, START + SECOND)])
def test_a_gate_may_open_earlier_to_what_is_awaited(urgency: Urgency, at: datetime) -> None:
    assert Gate(opens_at=START + SECOND, opens_to_awaited_at=START).admits_at(urgency) == at
    assert Gate().admits_at(urgency) is None


def test_a_gate_may_open_later_to_those_that_failed_by_themselves() -> None:
    gate = Gate(opens_at=START, opens_to_awaited_at=START)
    assert gate.admits_at(Urgency.FAILED) == START
    assert replace(gate, opens_to_failed_at=START + SECOND).admits_at(Urgency.FAILED) == START + SECOND
    assert {replace(gate, opens_to_failed_at=START + SECOND).admits_at(other) for other in set(Urgency) - {Urgency.FAILED}} == {START}
