"""A server takes what is presented and does not answer, for hours: few consents are put in doubt, and none of those is given up for it."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta

import pytest

from fakes.virtual import START, clock, pass_time, play
from grantkeeper.adapters.cluster import USERGRANTS
from grantkeeper.core.circuits import SILENT_AFTER
from grantkeeper.core.rotation import MAX_PRESENTATIONS
from stories.crowd import Crowd, Server, most_in_a_second
from stories.scene import NAMESPACE, Scene

MANY, SOME = (150, 100) if "BRIEF" in os.environ else (1000, 200)
MINUTES, HOURS = 60.0, 3600.0
AT_ONCE = 8
"""The connector's `limits.concurrency`."""
PROBES = 10
"""In three hours: half a minute after it fell silent, then after one, two, four, eight, sixteen, and every thirty."""
MOST = AT_ONCE + SILENT_AFTER - 1 + PROBES
"""How many tokens three hours of silence put in doubt: those that were under way when it was noticed, and the probes."""


async def gather_silent(number: int, *, mute: bool = True, works: bool = False) -> tuple[Crowd, Server]:
    """Grants that fall due within the first hours, and a server that takes everything and answers nothing."""
    crowd = await Crowd.gather("calendar")
    server = crowd.provider.servers["calendar"]
    await crowd.add("calendar", number, lambda n: START + timedelta(minutes=20) + n * timedelta(minutes=100) / number)
    await crowd.start()
    server.latency, server.is_mute, server.works_silently = 60, mute, works
    return crowd, server


def come_back(server: Server) -> None:
    server.latency, server.is_mute, server.works_silently = 0.1, False, False


@pytest.mark.parametrize("mute", [pytest.param(True, id="nothing is answered"), pytest.param(False, id="metadata is, and tokens are not")])
def test_three_hours_of_silence_cost_a_thousand_grants_nothing_where_nothing_was_worked_off(mute: bool) -> None:
    async def story() -> None:
        crowd, server = await gather_silent(MANY, mute=mute)
        await pass_time(3 * HOURS)
        presented = Counter(token for _, token in server.begun)
        assert SILENT_AFTER < presented.total() <= MOST
        assert set(presented.values()) == {1}, "none was presented for the last time into the silence"
        assert await crowd.reasons("Authorized") == {"Consented": MANY}, "no consent is over"
        connector = await crowd.connector("calendar")
        assert (connector["Reachable"]["reason"], "Stalled" in connector) == ("Unreachable", False)
        assert "gives no usable answer, the last time: no answer. Nobody needs to do anything" in connector["Reachable"]["message"]
        waiting = Counter(c["message"].partition(": ")[2] for g in await crowd.statuses() for c in g["conditions"] if c["type"] == "Fresh")
        in_line = "the authorization server does not answer; nobody needs to do anything, it is tried again with one grant at a time."
        in_doubt = "an answer was lost on the way, and the authorization server gives none now; it is tried once more when there is one."
        assert waiting == {in_line: MANY - presented.total(), in_doubt: presented.total()}
        come_back(server)
        await pass_time(33 * MINUTES)
        assert await crowd.reasons() == {"Ready": MANY}, "it healed by itself"
        assert (await crowd.connector("calendar"))["Ready"]["status"] == "True"
        after = Counter(token for _, token in server.begun)
        assert max(after[token] for token in presented) <= MAX_PRESENTATIONS
        assert most_in_a_second(server.times) <= 10

    play(story)


def test_of_a_thousand_grants_a_handful_is_lost_to_three_hours_of_a_server_that_works_in_silence() -> None:
    async def story() -> None:
        crowd, server = await gather_silent(MANY, works=True)
        await pass_time(3 * HOURS)
        come_back(server)
        await pass_time(33 * MINUTES)
        lost = len(server.spent)
        assert SILENT_AFTER < lost <= MOST
        assert await crowd.reasons() == {"Ready": MANY - lost, "ReauthorizationRequired": lost}
        assert max(Counter(token for _, token in server.begun).values()) == MAX_PRESENTATIONS

    play(story)


def test_who_lives_stays_ready_while_it_is_silent() -> None:
    async def story() -> None:
        crowd, server = await gather_silent(SOME)
        await pass_time(30 * MINUTES)
        statuses = await crowd.statuses()
        alive = [grant for grant in statuses if grant["expirationTime"] > "2026-11-21T07:00:00Z"]
        ready = Counter(c["status"] for grant in alive for c in grant["conditions"] if c["type"] == "Ready")
        assert ready == {"True": len(alive)}
        assert len(alive) > 0.8 * SOME
        assert server.begun

    play(story)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_few_grants_survive_a_server_that_answers_nothing_at_all(number: int) -> None:
    async def story() -> None:
        crowd, server = await gather_silent(number)
        await pass_time(6 * HOURS)
        assert set(Counter(token for _, token in server.begun).values()) == {1}
        assert await crowd.reasons("Authorized") == {"Consented": number}
        come_back(server)
        await pass_time(10 * MINUTES)
        assert await crowd.reasons() == {"Ready": number}, "that it answers again is seen by its metadata"

    play(story)


def test_where_all_are_in_doubt_and_metadata_shows_nothing_one_an_hour_is_risked() -> None:
    async def story() -> None:
        crowd, server = await gather_silent(5, mute=False)
        await pass_time(4 * HOURS)
        dead = (await crowd.reasons("Authorized"))["ReauthorizationRequired"]
        assert 1 <= dead <= 3
        come_back(server)
        await pass_time(65 * MINUTES)
        assert await crowd.reasons() == {"Ready": 5 - dead, "ReauthorizationRequired": dead}

    play(story)


def test_hours_of_errors_are_silence_too_and_cost_nothing() -> None:
    async def story() -> None:
        crowd, server = await gather_silent(SOME)
        come_back(server)
        server.fails = True
        await pass_time(3 * HOURS)
        assert len({token for _, token in server.begun}) <= AT_ONCE + SILENT_AFTER - 1, "those in doubt are first in line again"
        assert len(server.begun) <= MOST
        assert "the last time: server error" in (await crowd.connector("calendar"))["Reachable"]["message"]
        server.fails = False
        await pass_time(33 * MINUTES)
        assert await crowd.reasons() == {"Ready": SOME}

    play(story)


def test_a_code_tries_half_a_minute_after_the_last_probe_and_its_answer_ends_the_silence_for_all() -> None:
    async def story() -> None:
        crowd = await Crowd.gather("calendar")
        server = crowd.provider.servers["calendar"]
        await crowd.start()
        alice = {"metadata": {"name": "alice"}, "spec": {"connectorRef": {"name": "calendar"}, "user": "alice"}}
        await crowd.cluster.create(USERGRANTS, NAMESPACE, alice)
        await pass_time(1)
        scene = Scene(crowd.controller, crowd.cluster, crowd.provider, [START])
        asked = await scene.asked()
        await crowd.add("calendar", 100, lambda _: START)
        server.latency = 60
        await pass_time(50 * MINUTES)
        last, before = server.times[-1], len(server.begun)
        assert before <= MOST
        come_back(server)
        while clock() < START + timedelta(seconds=last + 30 + 10):
            await pass_time(1)
        await scene.bring(asked, iss="https://calendar.example.com")
        await pass_time(1)
        assert server.begun[before][1] == "a-code", "the next probe was half an hour away"
        await pass_time(1 * MINUTES)
        assert await crowd.reasons() == {"Ready": 101}

    play(story)
