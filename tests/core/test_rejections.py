"""Requests that are rejected: one is its grant's own matter, the second in a row is the connector's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.reasons import Reason
from grantkeeper.core.rejections import note_rejected
from grantkeeper.core.standing import Problem, Standing, judge_connector, note, note_unanswered

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FOUND = Standing(is_judged=True)
CLIENT = note(FOUND, Problem(Reason.CLIENT_REJECTED, "the client"), NOW)
AWAY = note(FOUND, Problem(Reason.UNREACHABLE, "away"), NOW)


def reject(standing: Standing, *uids: str, error: str = "invalid_scope", again: str = "") -> Standing:
    """After the requests of these grants were rejected, a minute from now on; those in `again` had been when they were last tried, too."""
    for uid in uids:
        standing = note_rejected(standing, error, NOW + MINUTE, uid=uid, is_witness=uid not in again)
    return standing


def silence() -> Standing:
    standing = FOUND
    for _ in range(3):
        standing = note_unanswered(standing, "no_answer", NOW)
    return standing


@pytest.mark.parametrize(
    ("standing", "waits"),
    [
        pytest.param(reject(FOUND, "a"), None, id="one"),
        pytest.param(reject(FOUND, "a", "a"), None, id="the same one again: it brought two codes"),
        pytest.param(reject(FOUND, "a", "b"), 1, id="a second one"),
        pytest.param(reject(FOUND, "a", "b", "c"), 1, id="what was on its way tells nothing new"),
        pytest.param(reject(FOUND, "a", "b", again="ab"), None, id="both were rejected before, each for itself"),
        pytest.param(reject(FOUND, "a", "b", again="a"), None, id="one of them was: each is a witness once"),
        pytest.param(reject(note(reject(FOUND, "a"), None, NOW), "b"), None, id="a success in between"),
        pytest.param(reject(note(reject(FOUND, "a"), CLIENT.noted, NOW), "b"), 0, id="the client was rejected in between"),
        pytest.param(reject(CLIENT, "a"), 0, id="the client is rejected: another tries at once"),
        pytest.param(reject(CLIENT, "a", "b"), 2, id="the client is rejected, and two probes show nothing else: it counts as one"),
        pytest.param(reject(CLIENT, "a", "b", again="ab"), 0, id="the same, of those that were rejected before"),
        pytest.param(reject(AWAY, "a"), None, id="any answer shows that the server can be reached"),
        pytest.param(reject(silence(), "a"), None, id="and that it is not silent"),
        pytest.param(note(reject(FOUND, "a", "b"), None, NOW), None, id="a success ends it"),
    ],
)
def test_a_request_that_is_rejected(standing: Standing, waits: int | None) -> None:
    assert standing.gate.is_narrow is (waits is not None)
    if waits is not None:
        assert standing.gate.opens_at == NOW + MINUTE + waits * MINUTE


def test_those_that_were_rejected_before_are_paced_all_the_same() -> None:
    gate = reject(replace(CLIENT), "a", again="a").gate
    assert gate.opens_to_failed_at == NOW + 2 * MINUTE


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param("unauthorized_client", "(the last time: unauthorized_client)", id="a word of ours"),
        pytest.param("other", "(the controller's log names the error)", id="another"),
    ],
)
def test_what_the_connector_says(error: str, says: str) -> None:
    verdicts = {verdict.type: verdict for verdict in judge_connector(reject(FOUND, "a", "b", error=error))}
    assert (verdicts["Reachable"].reason, verdicts["Stalled"].holds) == ("ClientRejected", True)
    assert says in verdicts["Reachable"].message
    assert all(verdict.holds or verdict.reason == "Pending" for verdict in judge_connector(reject(FOUND, "a"))), "of one it says nothing"
