"""A grant that fails for its own reasons: it says so, is asked less and less often, and keeps nobody else waiting."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from fakes.virtual import START, clock, pass_time, play
from grantkeeper.adapters.cluster import USERGRANTS
from grantkeeper.core.circuits import CLIENT, SILENCE, Patience
from grantkeeper.core.refreshing import REFRESH_ANNOTATION
from stories.crowd import Crowd, Server, spread
from stories.scene import NAMESPACE, Scene

MINUTES, HOURS = 60.0, 3600.0
SCOPE, UNAUTHORIZED, BROKEN, BUSY = ("invalid_scope", 400), ("unauthorized_client", 400), ("server_error", 500), ("slow_down", 400)
LIMIT = 10
"""The connector's `limits.requestsPerSecond`."""


async def gather(number: int, *, bad: int = 1, apart: int = 1, fault: tuple[str, int] = SCOPE) -> tuple[Crowd, Server]:
    """So many grants, their expiries spread over an hour; some, the first included, are answered with this fault, whatever they present."""
    crowd = await Crowd.gather("calendar")
    server = crowd.provider.servers["calendar"]
    await crowd.add("calendar", number, spread(number))
    server.faults = {f"calendar-{n}": fault for n in range(0, bad * apart, apart)}
    await crowd.start()
    return crowd, server


async def find_expired(crowd: Crowd, server: Server) -> set[str]:
    """The grants whose access tokens have run out, of those that nothing is wrong with."""
    return await crowd.expired() - server.faults.keys()


def times_of(server: Server, grant: str) -> list[float]:
    """When something of this grant's was presented."""
    return [at for at, presented in server.begun if presented.partition("/")[0] == grant]


async def fresh(crowd: Crowd, name: str) -> str:
    """What the grant says of its freshness."""
    status = (await crowd.cluster.get(USERGRANTS, NAMESPACE, name))["status"]
    return next(str(c["message"]) for c in status["conditions"] if c["type"] == "Fresh")


@pytest.mark.parametrize("number", [2, 100])
@pytest.mark.parametrize(
    ("fault", "says", "patience"),
    [
        pytest.param(SCOPE, "the authorization server rejects the request (invalid_scope)", CLIENT, id="its scopes"),
        pytest.param(UNAUTHORIZED, "the authorization server rejects the request (unauthorized_client)", CLIENT, id="a client not for it"),
        pytest.param(("not_for_you", 403), "rejects the request; the controller's log names its error", CLIENT, id="a word of its own"),
        pytest.param(BROKEN, "the authorization server, or something in front of it, reports an error", SILENCE, id="a broken account"),
    ],
)
def test_one_that_always_fails_says_so_and_all_others_stay_fresh(
    number: int, fault: tuple[str, int], says: str, patience: Patience
) -> None:
    async def story() -> None:
        crowd, server = await gather(number, fault=fault)
        told: set[str] = set()
        for _ in range(8 * 12):
            await pass_time(5 * MINUTES)
            told.add((await crowd.connector("calendar"))["Reachable"]["reason"])
            assert not await find_expired(crowd, server)
        assert told == {"Reachable"}, "the connector is as good as ever"
        assert await crowd.reasons() == {"Ready": number - 1, "RefreshFailing": 1}
        assert says in await fresh(crowd, "calendar-0")
        assert await crowd.reasons("Authorized") == {"Consented": number}
        gaps = [later - earlier for earlier, later in pairwise(times_of(server, "calendar-0"))]
        most = patience.most.total_seconds()
        assert gaps[-3:] == [pytest.approx(most, abs=2)] * 3, "less and less often"
        assert sum(gap < most - 2 for gap in gaps) <= 8

    play(story)


@pytest.mark.parametrize(("number", "bad", "apart"), [(3, 2, 1), (100, 5, 1), (100, 30, 3), (100, 9, 10)])
@pytest.mark.parametrize("fault", [SCOPE, UNAUTHORIZED])
def test_several_that_always_fail_stop_the_others_for_minutes_at_most(number: int, bad: int, apart: int, fault: tuple[str, int]) -> None:
    async def story() -> None:
        crowd, server = await gather(number, bad=bad, apart=apart, fault=fault)
        for _ in range(60 if apart == 10 else 0):
            await pass_time(1 * MINUTES)
            assert (await crowd.connector("calendar"))["Reachable"]["status"] == "True", "others succeed in between"
        for _ in range(4 * 12):
            await pass_time(5 * MINUTES)
            assert not await find_expired(crowd, server)
        for _ in range(2 * 60):
            await pass_time(1 * MINUTES)
            assert (await crowd.connector("calendar"))["Reachable"]["status"] == "True", "who was rejected before tells nothing new"
        assert await crowd.reasons() == {"Ready": number - bad, "RefreshFailing": bad}
        since = (clock() - START).total_seconds() - 2 * HOURS - 5
        last = Counter(name for at, name in zip(server.times, server.grants, strict=True) if at > since and name in server.faults)
        assert len(last) == bad
        assert set(last.values()) <= {2, 3}, "hourly"

    play(story)


def test_short_outages_do_not_bring_forward_what_is_rejected() -> None:
    async def story() -> None:
        crowd, server = await gather(100)
        object.__setattr__(crowd.controller.keeper.refresher.presenter, "chance", lambda: 0.0)
        for _ in range(6 * 4):
            await pass_time(14 * MINUTES)
            server.is_away = True
            await pass_time(1 * MINUTES)
            server.is_away = False
        assert server.attempts > 24
        gaps = [later - earlier for earlier, later in pairwise(times_of(server, "calendar-0"))]
        assert min(gaps[-3:]) >= HOURS, "that the server is back mends nothing of it"

    play(story)


@pytest.mark.parametrize("hasty", [pytest.param(False, id="who asks is looked at first"), pytest.param(True, id="what is asked is")])
@pytest.mark.parametrize(("number", "bad", "fault"), [(50, 1, SCOPE), (50, 5, SCOPE), (4, 1, SCOPE), (50, 1, BUSY), (50, 1, BROKEN)])
def test_when_the_client_is_mended_all_recover_but_those_that_fail_by_themselves(
    number: int, bad: int, fault: tuple[str, int], hasty: bool
) -> None:
    async def story() -> None:
        crowd, server = await gather(number, bad=bad, fault=fault)
        server.accepted, server.is_hasty = "rotated", hasty
        await pass_time(3 * HOURS)
        assert await crowd.reasons() == {"RefreshFailing": number}
        assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "ClientRejected"
        assert len(server.begun) <= 16 + 9 * bad * hasty
        server.accepted = "right"
        await pass_time(CLIENT.most.total_seconds() + number / LIMIT + 5)
        assert await crowd.reasons() == {"Ready": number - bad, "RefreshFailing": bad}
        assert (await crowd.connector("calendar"))["Reachable"]["status"] == "True"

    play(story)


def test_a_probe_that_shows_a_single_grants_fault_is_passed_on_at_once() -> None:
    async def story() -> None:
        crowd, server = await gather(50)
        server.faults = {}
        server.accepted = "rotated"
        await pass_time(3 * HOURS)
        server.accepted, probed = "right", len(server.begun)
        tried = set(server.grants)
        server.faults = {f"calendar-{min(n for n in range(50) if f'calendar-{n}' not in tried)}": SCOPE}
        (bad,) = server.faults
        while len(server.begun) == probed:
            await pass_time(1)
        await pass_time(50 / LIMIT + 5)
        assert server.grants[probed] == bad, "the next in line, of which nothing was known"
        assert await crowd.reasons() == {"Ready": 49, "RefreshFailing": 1}

    play(story)


def test_a_client_that_may_do_nothing_is_found_out_by_the_second_grant_and_tried_by_one_at_a_time() -> None:
    async def story() -> None:
        crowd, server = await gather(60, bad=0)
        server.rejection, server.accepted = UNAUTHORIZED, "another"
        while not server.begun:
            await pass_time(1)
        await pass_time(1)
        assert (await crowd.connector("calendar"))["Reachable"]["status"] == "True", "it may be about one grant"
        while len(set(server.grants)) < 2:
            await pass_time(1)
        await pass_time(1)
        connector = await crowd.connector("calendar")
        assert (connector["Reachable"]["reason"], connector["Stalled"]["status"]) == ("ClientRejected", "True")
        assert "one grant after the other (the last time: unauthorized_client)" in connector["Reachable"]["message"]
        await pass_time(1 * HOURS)
        first = len(server.begun)
        assert 6 <= first <= 9
        await pass_time(8 * HOURS)
        assert 8 <= len(server.begun) - first <= 2 * 8, "one that is new an hour, and one that is not"
        assert server.most == 1
        assert await crowd.reasons("Authorized") == {"Consented": 60}
        server.accepted = "right"
        await pass_time(1 * HOURS + 60 / LIMIT + 5)
        assert (await crowd.connector("calendar"))["Reachable"]["status"] == "True"
        assert (await crowd.reasons())["Ready"] >= 60 - 8, "who was rejected often waits for itself"
        await pass_time(1 * HOURS)
        assert await crowd.reasons() == {"Ready": 60}

    play(story)


@pytest.mark.parametrize(
    ("fault", "least"), [pytest.param(UNAUTHORIZED, CLIENT, id="rejected"), pytest.param(BROKEN, SILENCE, id="errors")]
)
@pytest.mark.parametrize("number", [2, 3])
def test_a_few_that_all_fail_are_each_tried_no_more_often_than_one_that_fails_alone(
    number: int, fault: tuple[str, int], least: Patience
) -> None:
    async def story() -> None:
        crowd, server = await gather(number, bad=number, fault=fault)
        await pass_time(3 * HOURS)
        before = len(server.begun)
        assert before <= 10 * number
        await pass_time(8 * HOURS)
        assert len(server.begun) - before <= number * (8 * HOURS / least.most.total_seconds() + 1)
        assert await crowd.reasons("Authorized") == {"Consented": number}
        server.faults, tried = {}, len(server.begun)
        while len(server.begun) == tried:
            await pass_time(1)
        await pass_time(5 if fault is BROKEN else 1 * HOURS + 5)
        assert await crowd.reasons() == {"Ready": number}, "an answer frees all that met with errors; a rejected one waits for itself"

    play(story)


def test_all_at_once_cost_a_server_that_rejects_them_no_more_than_was_under_way() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        server.rejection, server.accepted = SCOPE, "another"
        await crowd.add("calendar", 500, lambda _: START)
        await crowd.start()
        await pass_time(50)
        assert len(server.begun) <= 8
        await pass_time(1 * HOURS)
        assert len(server.begun) <= 8 + 6 + 6

    play(story)


def test_somebody_who_asks_for_a_refresh_of_one_that_fails_takes_nobodys_probe() -> None:
    async def story() -> None:
        crowd, server = await gather(10)
        server.accepted = "rotated"
        await pass_time(3 * HOURS)
        server.accepted = "right"
        for hour in range(2):
            annotated = {"metadata": {"annotations": {REFRESH_ANNOTATION: str(hour)}}}
            await crowd.cluster.patch(USERGRANTS, NAMESPACE, "calendar-0", annotated)
            await pass_time(0.5 * HOURS + 10)
        assert await crowd.reasons() == {"Ready": 9, "RefreshFailing": 1}

    play(story)


def test_a_server_that_is_broken_for_three_grants_is_found_to_answer_by_a_fourth() -> None:
    async def story() -> None:
        crowd, server = await gather(100, bad=3, fault=BROKEN)
        silent = 0
        for _ in range(6 * 12):
            await pass_time(5 * MINUTES)
            silent += (await crowd.connector("calendar"))["Reachable"]["status"] != "True"
            assert not await find_expired(crowd, server)
        assert silent <= 1
        assert await crowd.reasons() == {"Ready": 97, "RefreshFailing": 3}
        last = Counter(name for at, name in zip(server.times, server.grants, strict=True) if at > 5 * HOURS and name in server.faults)
        assert set(last.values()) == {2}, "every half an hour"

    play(story)


def test_those_that_stay_broken_after_an_outage_hold_up_nobody() -> None:
    async def story() -> None:
        crowd, server = await gather(50, bad=0)
        server.fails = True
        await pass_time(6 * HOURS)
        server.fails, server.faults = False, {f"calendar-{n}": BROKEN for n in range(3)}
        await pass_time(SILENCE.most.total_seconds() + 50 / LIMIT + 5)
        assert await crowd.reasons() == {"Ready": 47, "RefreshFailing": 3}

    play(story)


def test_a_lone_grant_is_tried_five_minutes_after_its_last_try_when_the_server_shows_that_it_is_back() -> None:
    async def story() -> None:
        crowd, server = await gather(1, bad=0)
        server.fails, server.is_mute = True, True
        object.__setattr__(crowd.controller.keeper.refresher.presenter, "chance", lambda: 0.0)
        while not server.begun or server.times[-1] < 3000:
            await pass_time(1)
        before = len(server.begun)
        assert before == 8, "as rarely as a silent server"
        server.is_mute = False
        while (await crowd.connector("calendar"))["Reachable"]["status"] != "True":
            await pass_time(1)
        assert len(server.begun) == before
        server.fails = False
        await pass_time(5 * MINUTES)
        assert await crowd.reasons() == {"Ready": 1}, "it had half an hour to wait"

    play(story)


def test_a_code_does_not_wait_for_grants_that_are_rejected() -> None:
    async def story() -> None:
        crowd, server = await gather(30, bad=0)
        alice = {"metadata": {"name": "alice"}, "spec": {"connectorRef": {"name": "calendar"}, "user": "alice"}}
        await crowd.cluster.create(USERGRANTS, NAMESPACE, alice)
        await pass_time(1)
        scene = Scene(crowd.controller, crowd.cluster, crowd.provider, [START])
        asked = await scene.asked()
        server.faults = {f"calendar-{n}": UNAUTHORIZED for n in range(30)}
        await pass_time(2 * HOURS)
        assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "ClientRejected"
        await scene.bring(asked, iss="https://calendar.example.com")
        await pass_time(1 * MINUTES)
        assert [presented for _, presented in server.begun if presented == "a-code"]
        assert (await crowd.reasons())["Ready"] == 1

    play(story)
