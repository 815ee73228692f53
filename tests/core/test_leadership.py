"""Who leads, by what is seen of the Lease: nobody takes it while another may hold it, and nobody trusts in it for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grantkeeper.controller.presenting import SEND_BY
from grantkeeper.core.leadership import (
    GIVE_UP_AFTER,
    LASTS,
    LOOK_EVERY,
    RENEW_EVERY,
    Lease,
    Move,
    Replica,
    judge,
    read_lease,
    surely_holds,
    wait_before_taking,
    write_lease,
)
from grantkeeper.core.records import Holder

NOW = datetime(2026, 11, 21, 6, 30, 0, 250_000, tzinfo=UTC)
NONE, SECOND, INSTANT = timedelta(0), timedelta(seconds=1), timedelta(microseconds=1)
US = Replica("controller-a", Holder(pod="uid-a", boot="2"))
BEFORE = "controller-a/uid-a/1"
OTHER = "controller-b/uid-b/1"
NAMESAKE = "controller-a/uid-z/1"


def lease(holder: str, *, lasts: timedelta = LASTS) -> Lease:
    return Lease(holder, lasts, transitions=3, version="7", body={})


@pytest.mark.parametrize(
    ("seen", "unchanged_for", "left"),
    [
        pytest.param(None, NONE, NONE, id="there is no Lease"),
        pytest.param(lease(""), NONE, NONE, id="it was given back"),
        pytest.param(lease(BEFORE), NONE, NONE, id="an earlier life of this very Pod holds it"),
        pytest.param(lease(US.identity), NONE, NONE, id="it was given to us, and the answer was lost"),
        pytest.param(lease(OTHER), NONE, LASTS, id="another one was just seen to hold it"),
        pytest.param(lease(OTHER), 4 * SECOND, LASTS - 4 * SECOND, id="another one has not renewed it for a while"),
        pytest.param(lease(OTHER), LASTS - INSTANT, INSTANT, id="another one has it for an instant yet"),
        pytest.param(lease(OTHER), LASTS, NONE, id="another one has not renewed it for as long as it lasts"),
        pytest.param(lease(OTHER), timedelta(days=1), NONE, id="another one is long gone"),
        pytest.param(lease(OTHER, lasts=timedelta(minutes=1)), LASTS, timedelta(seconds=45), id="another one says that it lasts longer"),
        pytest.param(lease(NAMESAKE), NONE, LASTS, id="a Pod of the same name that is not this one"),
        pytest.param(lease("somebody else's format"), NONE, LASTS, id="somebody of whom nothing is known"),
    ],
)
def test_who_stands_by_takes_what_nobody_can_hold(seen: Lease | None, unchanged_for: timedelta, left: timedelta) -> None:
    assert wait_before_taking(seen, US, unchanged_for=unchanged_for) == left


@pytest.mark.parametrize(
    ("seen", "renewed_ago", "move"),
    [
        pytest.param(lease(US.identity), NONE, Move.REST, id="just renewed"),
        pytest.param(lease(US.identity), RENEW_EVERY - INSTANT, Move.REST, id="renewed a while ago"),
        pytest.param(lease(US.identity), RENEW_EVERY, Move.RENEW, id="to be renewed"),
        pytest.param(lease(US.identity), GIVE_UP_AFTER - INSTANT, Move.RENEW, id="the last moment to renew it"),
        pytest.param(lease(US.identity), GIVE_UP_AFTER, Move.LOSE, id="it could not be renewed in time"),
        pytest.param(lease(US.identity), timedelta(hours=1), Move.LOSE, id="stopped for an hour"),
        pytest.param(lease(OTHER), NONE, Move.LOSE, id="somebody else is in it"),
        pytest.param(lease(""), NONE, Move.LOSE, id="our name was taken out of it"),
        pytest.param(lease(BEFORE), NONE, Move.LOSE, id="an earlier life of ours is in it"),
        pytest.param(None, NONE, Move.RENEW, id="somebody deleted it"),
        pytest.param(None, GIVE_UP_AFTER, Move.LOSE, id="somebody deleted it, long ago"),
    ],
)
def test_who_leads_renews_and_gives_up_in_time(seen: Lease | None, renewed_ago: timedelta, move: Move) -> None:
    assert judge(seen, US, renewed_ago=renewed_ago) is move


def test_who_gives_up_has_sent_its_last_before_anybody_else_can_lead() -> None:
    assert not surely_holds(GIVE_UP_AFTER)
    assert GIVE_UP_AFTER + SEND_BY <= LASTS
    assert RENEW_EVERY + 2 * LOOK_EVERY < GIVE_UP_AFTER, "a renewal that failed must be tried again in time"


def stored(body: dict[str, Any]) -> Lease:
    return read_lease({**body, "metadata": {**body["metadata"], "resourceVersion": "8"}})


def test_the_first_lease_is_written_as_kubernetes_writes_it() -> None:
    assert write_lease(None, US.identity, namespace="grantkeeper", now=NOW) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "grantkeeper-controller", "namespace": "grantkeeper"},
        "spec": {
            "holderIdentity": "controller-a/uid-a/2",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-21T06:30:00.250000Z",
            "renewTime": "2026-11-21T06:30:00.250000Z",
            "leaseTransitions": 0,
        },
    }


def test_a_lease_tells_since_when_and_how_often_it_has_changed_hands() -> None:
    first = stored(write_lease(None, OTHER, namespace="grantkeeper", now=NOW))
    renewed = stored(write_lease(first, OTHER, namespace="grantkeeper", now=NOW + SECOND))
    given_back = stored(write_lease(renewed, "", namespace="grantkeeper", now=NOW + 2 * SECOND))
    taken = stored(write_lease(given_back, US.identity, namespace="grantkeeper", now=NOW + 3 * SECOND))
    specs = [lease.body["spec"] for lease in (first, renewed, given_back, taken)]
    assert [spec["acquireTime"][17:19] for spec in specs] == ["00", "00", "00", "03"]
    assert [spec["renewTime"][17:19] for spec in specs] == ["00", "01", "02", "03"]
    assert [lease.transitions for lease in (first, renewed, given_back, taken)] == [0, 0, 0, 1]
    assert [lease.holder for lease in (first, renewed, given_back, taken)] == [OTHER, OTHER, "", US.identity]


def test_what_others_put_into_a_lease_stays_and_what_they_take_out_counts_as_ours() -> None:
    body = {
        "metadata": {"name": "grantkeeper-controller", "resourceVersion": "8", "annotations": {"theirs": "x"}},
        "spec": {"strategy": "x"},
    }
    seen = read_lease(body)
    assert (seen.holder, seen.lasts, seen.transitions, seen.version) == ("", LASTS, 0, "8")
    written = write_lease(seen, US.identity, namespace="grantkeeper", now=NOW)
    assert written["metadata"] == body["metadata"]
    assert written["spec"]["strategy"] == "x"
    assert read_lease({"metadata": {"resourceVersion": "8"}}).holder == ""
