"""Pacing: bounds that hold for any limit, whenever things are asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grantkeeper.core.pacing import MOST_OWED, Bucket, Gate, Rank, Urgency, burst, interval

START = datetime(2026, 11, 21, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RATES = st.integers(1, 1000)


def begin(rate: int, asked: list[datetime]) -> list[datetime]:
    """When each of these begins: as soon as the bucket lets it, after all before it."""
    bucket, begun = Bucket(START), list[datetime]()
    for moment in asked:
        at = max(moment, bucket.opens_at(rate), *begun[-1:])
        bucket = bucket.take(rate, at)
        begun.append(at)
    return begun


def most_in_a_second(moments: list[datetime]) -> int:
    """In any second, wherever it begins."""
    return max(sum(at <= other < at + SECOND for other in moments) for at in moments)


@given(rate=st.integers(1, 100), gaps=st.lists(st.integers(0, 400_000), min_size=1, max_size=150))
@example(rate=3, gaps=[0] * 20)
@example(rate=1, gaps=[0, 0, 0])
@example(rate=39, gaps=[0] * 100)
def test_in_no_second_is_more_begun_than_the_limit(rate: int, gaps: list[int]) -> None:
    asked = [START]
    for gap in gaps:
        asked.append(asked[-1] + timedelta(microseconds=gap))
    assert most_in_a_second(begin(rate, asked)) <= rate


@given(rate=RATES)
def test_where_enough_wait_nine_tenths_of_the_limit_are_used(rate: int) -> None:
    number = 10 * rate
    took = begin(rate, [START] * number)[-1] - START
    assert number / (took + SECOND / rate).total_seconds() >= 0.9 * rate
    assert burst(rate) + (SECOND - timedelta.resolution) // interval(rate) <= rate, "of which none may be too much"


@given(rate=RATES, late=st.integers(0, 40_000))
def test_timers_that_are_late_cost_little(rate: int, late: int) -> None:
    if rate < 20:
        return  # there the time between two is long
    bucket, now = Bucket(START), START
    number = 10 * rate
    for _ in range(number):
        if (opens_at := bucket.opens_at(rate)) > now:
            now = opens_at + timedelta(microseconds=late)
        bucket = bucket.take(rate, now)
    assert number / (now - START + SECOND / rate).total_seconds() >= 0.9 * rate


def test_what_could_not_wait_is_waited_for_afterwards() -> None:
    bucket = Bucket(START)
    for _ in range(3):
        bucket = bucket.take(10, START)
    assert bucket.opens_at(10) == START + timedelta(milliseconds=300)


@given(rate=RATES, back=st.integers(0, 10**6))
def test_a_clock_that_goes_back_stops_nobody_for_long(rate: int, back: int) -> None:
    bucket = Bucket(START).take(rate, START)
    now = START - timedelta(seconds=back)
    assert bucket.settle(rate, now).opens_at(rate) - now <= (MOST_OWED + 1) * interval(rate)


def test_a_limit_that_is_raised_counts_at_once() -> None:
    bucket = Bucket(START)
    for _ in range(MOST_OWED):
        bucket = bucket.take(1, START)
    assert bucket.settle(1000, START).opens_at(1000) - START < timedelta(milliseconds=100)


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
