from __future__ import annotations

import math

import pytest

from bench.ledger import Entry
from bench.timing import lags, peak, percentile, rate
from bench.tokens import Turn


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        pytest.param([5.0], 99, 5.0, id="one value is every percentile"),
        pytest.param([3.0, 1.0, 2.0, 4.0], 50, 2.0, id="half of them do not exceed the second"),
        pytest.param([float(n) for n in range(1, 101)], 99, 99.0, id="one of a hundred may exceed it"),
        pytest.param([float(n) for n in range(1, 52)], 99, 51.0, id="of few the last"),
    ],
)
def test_percentile(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 99)


def test_a_lag_is_from_the_answer_to_the_set_that_it_brought() -> None:
    entries = [Entry(grant=7, number=2, answered_at=10.0)]
    assert lags(entries, {Turn(7, 2): 1.0, Turn(7, 3): 10.25, Turn(8, 3): 99.0}) == [0.25]


def test_what_was_never_delivered_lags_without_end() -> None:
    entries = [Entry(grant=7, number=number, answered_at=10.0) for number in range(2)]
    assert percentile(lags(entries, {Turn(7, 1): 10.1}), 99) == math.inf


def test_a_rate_counts_the_steps_between_events() -> None:
    assert rate([10.0, 10.5, 11.0, 11.5, 12.0]) == 2.0


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        pytest.param([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 1.0, id="even: what is a whole span away is outside"),
        pytest.param([0.0, 9.0, 9.1, 9.2, 9.3, 9.4, 20.0], 1.0, id="five together"),
        pytest.param([9.4, 0.0, 9.0, 9.3, 9.1, 20.0, 9.2], 1.0, id="in any order"),
    ],
)
def test_peak(moments: list[float], expected: float) -> None:
    assert peak(moments, 5.0) == expected
