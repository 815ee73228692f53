"""A run that keeps every bound, and each way in which one may be missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.figures import find_faults
from bench.judging import judge
from bench.measuring import Anchors, Drain, Measurements, Refreshes, Restart

EVEN = [number / 50 for number in range(1000)]
"""Fifty a second."""
GOOD = Measurements(
    anchors=Anchors(
        patch_cpu=0.001,
        refresh_cpu=0.005,
        server_cpu=0.004,
        round_trips=[0.005] * 100,
        list_seconds=2.0,
        list_resident=150_000_000,
        bytes_a_grant=10_000,
    ),
    refreshes=Refreshes(number=1000, lasted=50.0, cpu=0.007, server_cpu=0.02, lags=[0.02] * 1000, resident=100_000_000),
    restart=Restart(writes=0, resident=150_000_000, scheduled=5.0),
    drain=Drain(due=1000, presented=EVEN, cap=50),
    presentations=2000,
    presented_twice=0,
)


def _faults(measured: Measurements) -> list[str]:
    return find_faults(judge(measured, many=10_000, few=1_000))


def test_a_good_run_has_no_faults() -> None:
    assert _faults(GOOD) == []


@pytest.mark.parametrize(
    ("measured", "fault"),
    [
        pytest.param(replace(GOOD, refreshes=replace(GOOD.refreshes, cpu=0.009)), "controller's CPU", id="controller's CPU"),
        pytest.param(replace(GOOD, refreshes=replace(GOOD.refreshes, server_cpu=0.05)), "control plane's CPU", id="control plane's CPU"),
        pytest.param(
            replace(GOOD, refreshes=replace(GOOD.refreshes, lags=[0.02] * 98 + [0.3] * 2)), "token answer to changed Secret", id="lag"
        ),
        pytest.param(replace(GOOD, restart=replace(GOOD.restart, resident=210_000_000)), "memory, 10,000 grants", id="memory"),
        pytest.param(replace(GOOD, restart=replace(GOOD.restart, writes=1)), "restart, 10,000 grants: writes", id="a write at a restart"),
        pytest.param(replace(GOOD, restart=replace(GOOD.restart, scheduled=7.5)), "restart, 10,000 grants: until", id="a slow restart"),
        pytest.param(replace(GOOD, drain=replace(GOOD.drain, cap=60)), "1,000 due at once", id="drained below 90 % of the cap"),
        pytest.param(replace(GOOD, drain=replace(GOOD.drain, cap=47)), "1,000 due at once", id="drained above the cap"),
        pytest.param(
            replace(GOOD, drain=replace(GOOD.drain, presented=[*EVEN, *[10.0] * 20])), "1,000 due at once", id="above the cap for a while"
        ),
        pytest.param(replace(GOOD, drain=replace(GOOD.drain, due=1001)), "1,001 due at once: never", id="not all drained"),
        pytest.param(replace(GOOD, presented_twice=1), "spent refresh tokens", id="a spent token presented"),
    ],
)
def test_each_bound_can_be_missed(measured: Measurements, fault: str) -> None:
    assert any(sentence.startswith(fault) for sentence in _faults(measured))


@pytest.mark.parametrize(("lag", "is_allowed"), [(0.7, True), (0.9, False)])
def test_where_a_bare_write_takes_long_the_lag_may_be_as_long_as_two(lag: float, is_allowed: bool) -> None:
    slow = replace(GOOD.anchors, round_trips=[0.005] * 98 + [0.4] * 2)
    measured = replace(GOOD, anchors=slow, refreshes=replace(GOOD.refreshes, lags=[0.02] * 98 + [lag] * 2))
    assert (_faults(measured) == []) is is_allowed


def test_without_a_cap_the_drain_is_shown_and_visibly_not_judged() -> None:
    figures = judge(replace(GOOD, drain=replace(GOOD.drain, cap=None)), many=10_000, few=1_000)
    drained = [figure for figure in figures if "refreshes a second" in figure.name]
    assert len(drained) == 2
    assert all(figure.value is not None and figure.skipped for figure in drained)
    assert find_faults(drained) == []
