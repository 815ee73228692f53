"""Circuits: one failure opens, probes become rarer, and what is not known is not claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grantkeeper.core.circuits import CLIENT, QUIET, REACH, SILENCE, Circuit, Patience, fail, hasten, hold, lapse, pass_on

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OPEN = fail(None, CLIENT, NOW)


@pytest.mark.parametrize(
    ("patience", "waits"),
    [
        pytest.param(CLIENT, [60, 120, 240, 480, 960, 1920, 3600, 3600], id="a client that is rejected"),
        pytest.param(REACH, [2, 4, 8, 16, 32, 60, 60], id="a server that is away"),
        pytest.param(SILENCE, [30, 60, 120, 240, 480, 960, 1800, 1800], id="a server that does not answer"),
    ],
)
def test_each_probe_that_fails_doubles_the_wait(patience: Patience, waits: list[int]) -> None:
    circuit, seen = fail(None, patience, NOW), list[float]()
    for _ in waits:
        seen.append((circuit.probe_at - circuit.tried_at).total_seconds())
        circuit = fail(circuit, patience, circuit.probe_at)
    assert seen == waits


def test_a_rejected_client_is_tried_five_times_in_the_first_hour() -> None:
    circuit, probes = OPEN, 0
    while circuit.probe_at <= NOW + timedelta(hours=1):
        circuit, probes = fail(circuit, CLIENT, circuit.probe_at), probes + 1
    assert probes == 5


@pytest.mark.parametrize(
    ("circuit", "patience", "after", "expected"),
    [
        pytest.param(OPEN, CLIENT, timedelta(seconds=59), OPEN, id="what was on its way when it opened tells nothing new"),
        pytest.param(OPEN, CLIENT, MINUTE, Circuit(CLIENT, NOW + MINUTE, 2 * MINUTE), id="a probe"),
        pytest.param(
            Circuit(CLIENT, NOW, timedelta(hours=1)),
            CLIENT,
            MINUTE,
            Circuit(CLIENT, NOW + MINUTE, timedelta(hours=1)),
            id="a code, long before the probe",
        ),
        pytest.param(OPEN, REACH, timedelta(0), Circuit(REACH, NOW, REACH.first), id="another failure is another circuit"),
        pytest.param(
            lapse(OPEN, NOW + 60 * MINUTE), CLIENT, 60 * MINUTE, Circuit(CLIENT, NOW + 60 * MINUTE, 2 * MINUTE), id="tried at last, in vain"
        ),
    ],
)
def test_a_failure(circuit: Circuit, patience: Patience, after: timedelta, expected: Circuit) -> None:
    assert fail(circuit, patience, NOW + after) == expected


SILENT = Circuit(SILENCE, NOW, 16 * MINUTE)


@pytest.mark.parametrize(
    ("patience", "probe_after", "then"),
    [
        pytest.param(REACH, MINUTE, 16 * MINUTE, id="no connection: nothing was spent, so soon again, and as rarely as before after that"),
        pytest.param(SILENCE, 30 * MINUTE, 30 * MINUTE, id="no answer: more rarely"),
        pytest.param(CLIENT, MINUTE, MINUTE, id="an answer, and it rejects the client"),
    ],
)
def test_a_probe_of_a_silent_server(patience: Patience, probe_after: timedelta, then: timedelta) -> None:
    tried = fail(SILENT, patience, NOW + 16 * MINUTE)
    assert tried.probe_at == NOW + 16 * MINUTE + probe_after
    assert tried.wait == then
    assert hold(tried, tried.probe_at).probe_at == tried.probe_at + then


@pytest.mark.parametrize(
    ("circuit", "after", "probe_after"),
    [
        pytest.param(SILENT, timedelta(seconds=10), 5 * MINUTE, id="it was tried a moment ago"),
        pytest.param(SILENT, 10 * MINUTE, 10 * MINUTE, id="it was not tried for a while: now"),
        pytest.param(fail(None, SILENCE, NOW), timedelta(seconds=10), timedelta(seconds=30), id="it is tried sooner anyhow"),
        pytest.param(Circuit(CLIENT, NOW, 16 * MINUTE), 10 * MINUTE, 16 * MINUTE, id="of a client that is rejected it says nothing"),
    ],
)
def test_a_sign_of_life(circuit: Circuit, after: timedelta, probe_after: timedelta) -> None:
    assert hasten(circuit, NOW + after).probe_at == NOW + probe_after


def test_a_probe_that_shows_nothing_is_not_repeated_at_once() -> None:
    assert hold(OPEN, NOW + MINUTE) == Circuit(CLIENT, NOW + MINUTE, MINUTE)
    assert hold(OPEN, NOW + timedelta(seconds=59)) == OPEN


@given(wait=st.integers(60, 3600))
def test_what_is_awaited_may_try_after_a_minute_at_most(wait: int) -> None:
    circuit = Circuit(CLIENT, NOW, timedelta(seconds=wait))
    assert circuit.probe_by_awaited_at == NOW + MINUTE <= circuit.probe_at


@pytest.mark.parametrize("patience", [CLIENT, REACH])
def test_when_nobody_tried_though_somebody_might_have_it_is_unknown(patience: Patience) -> None:
    circuit = fail(None, patience, NOW)
    until = NOW + MINUTE + QUIET
    assert not lapse(circuit, until - timedelta.resolution).is_untested
    assert lapse(circuit, until).is_untested
    assert lapse(lapse(circuit, until), NOW).is_untested, "looking again does not make it known"


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_wait() -> None:
    back = NOW - timedelta(hours=1)
    assert lapse(OPEN, back).probe_at == back + MINUTE


def test_what_one_grant_alone_is_to_blame_for_keeps_nobody_waiting_but_its_like() -> None:
    circuit = Circuit(CLIENT, NOW, 2 * MINUTE)
    assert circuit.probe_by_failed_at == circuit.probe_at
    probed_at = circuit.probe_at
    passed_on = pass_on(circuit, probed_at)
    assert (passed_on.probe_at, passed_on.probe_by_awaited_at) == (circuit.probe_at, circuit.probe_by_awaited_at)
    assert passed_on.probe_by_failed_at == probed_at + 2 * MINUTE
    assert pass_on(passed_on, probed_at).probe_by_failed_at == probed_at + 4 * MINUTE, "less and less often"
    assert pass_on(pass_on(passed_on, probed_at), probed_at).probe_by_failed_at == probed_at + 5 * MINUTE, "any of them may be mended"
    assert fail(passed_on, CLIENT, probed_at).probe_by_failed_at == probed_at + 4 * MINUTE, "another failed: it is everybody's"
    assert lapse(passed_on, NOW).probe_by_failed_at == NOW + 2 * MINUTE, "the clock was set back"
    assert lapse(passed_on, circuit.untested_at).is_untested, "it shows nothing of others"
