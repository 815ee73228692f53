"""Schedules: bounds that hold for any lifetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from grantkeeper.core import schedule

START = datetime(2026, 11, 21, tzinfo=UTC)


@given(seconds=st.integers(4, 10**8), percent=st.integers(10, 95), uid=st.uuids().map(str))
def test_a_refresh_is_due_between_a_quarter_and_the_reserve(seconds: int, percent: int, uid: str) -> None:
    lifetime = timedelta(seconds=seconds)
    due = schedule.due_at(obtained_at=START, expires_at=START + lifetime, percent=percent, uid=uid)
    assert START + lifetime / 4 <= due <= START + lifetime - min(timedelta(seconds=60), lifetime / 4)


def test_tokens_that_hardly_live_do_not_make_a_hot_loop() -> None:
    due = schedule.due_at(obtained_at=START, expires_at=START + timedelta(seconds=1), percent=75, uid="a")
    assert due - START == timedelta(seconds=2)


def test_an_hour_at_75_percent_is_due_after_43_to_45_minutes() -> None:
    due = schedule.due_at(obtained_at=START, expires_at=START + timedelta(hours=1), percent=75, uid="a")
    assert timedelta(minutes=42.75) <= due - START <= timedelta(minutes=45)


def test_the_same_grant_is_always_due_at_the_same_moment() -> None:
    moments = {schedule.due_at(obtained_at=START, expires_at=START + timedelta(hours=1), percent=75, uid="a") for _ in range(3)}
    assert len(moments) == 1


def test_grants_made_together_do_not_fall_due_together() -> None:
    hour = timedelta(hours=1)
    moments = {schedule.due_at(obtained_at=START, expires_at=START + hour, percent=75, uid=str(n)) for n in range(100)}
    assert len(moments) > 90


def test_a_lost_answer_is_retried_when_the_access_token_is_of_no_more_use() -> None:
    expires_at = START + timedelta(hours=1)
    assert schedule.retry_lost_at(obtained_at=START, expires_at=expires_at, now=START) == expires_at - timedelta(seconds=60)
    assert schedule.retry_lost_at(obtained_at=START, expires_at=expires_at, now=expires_at) == expires_at
    assert schedule.retry_lost_at(obtained_at=START, expires_at=None, now=START) == START


@given(failures=st.integers(0, 1000), chance=st.floats(0, 1, exclude_max=True))
def test_a_grant_that_failed_waits_anything_up_to_a_bound_that_doubles(failures: int, chance: float) -> None:
    wait = schedule.try_again_in(failures, chance)
    bound = min(60, 2 ** min(max(failures, 1), 10))
    assert timedelta(seconds=1) <= wait <= timedelta(seconds=bound)
    assert abs(wait - max(timedelta(seconds=1), bound * chance * timedelta(seconds=1))) <= timedelta(microseconds=1)


@given(failures=st.integers(1, 1000), uid=st.uuids().map(str))
def test_back_off_grows_to_its_bound_and_is_never_nothing(failures: int, uid: str) -> None:
    wait = schedule.back_off(failures, uid)
    assert timedelta(seconds=1) <= wait <= timedelta(minutes=1)
