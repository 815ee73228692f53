"""Failures that meet: rejected codes beside refreshes that work, some that stay bad when others are mended, a gateway's errors, a clock."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

import stories.crowd as crowds
from fakes.provider import answer
from fakes.virtual import START, clock, pass_time, play
from grantkeeper.adapters.cluster import USERGRANTS
from grantkeeper.core.messages import Answer, Request
from stories.crowd import Crowd, CrowdProvider, Server, spread
from stories.scene import NAMESPACE, Scene

MINUTES, HOURS = 60.0, 3600.0


async def gather(number: int, **spec: Any) -> tuple[Crowd, Server]:
    """So many grants, their expiries spread over an hour."""
    crowd = await Crowd.gather("calendar", **spec)
    draw = random.Random(7).random  # noqa: S311  # a story, the same every time
    object.__setattr__(crowd.controller.keeper.refresher.presenter, "chance", draw)
    await crowd.add("calendar", number, spread(number))
    return crowd, crowd.provider.servers["calendar"]


@pytest.mark.parametrize("every", [60, 300])
def test_people_whose_codes_are_rejected_stop_no_refreshes(every: int) -> None:
    async def story() -> None:
        crowd, server = await gather(3)
        people = [f"new-{n}" for n in range(int(3 * HOURS / every))]
        for person in people:
            spec = {"connectorRef": {"name": "calendar"}, "user": person}
            await crowd.cluster.create(USERGRANTS, NAMESPACE, {"metadata": {"name": person}, "spec": spec})
            server.faults[f"code-of-{person}"] = ("invalid_request", 400)
        await crowd.start()
        await pass_time(5)
        statuses = {grant["metadata"]["name"]: grant["status"] for grant in await crowd.cluster.list(USERGRANTS, NAMESPACE)}
        for person in people:
            scene = Scene(crowd.controller, crowd.cluster, crowd.provider, [clock()])
            link = statuses[person]["consentURL"].rpartition("/")[2]
            await scene.bring(link, grant=person, code=f"code-of-{person}", iss="https://calendar.example.com")
            await pass_time(every)
            assert not await crowd.expired()
            assert (await crowd.connector("calendar"))["Reachable"]["reason"] == "Reachable"
        assert sum(presented.startswith("code-of") for _, presented in server.begun) == len(people)

    play(story)


@pytest.mark.parametrize("bad", [3, 5])
def test_when_all_but_some_are_mended_those_are_fresh_within_the_hour(bad: int) -> None:
    async def story() -> None:
        crowd, server = await gather(10)
        rejected = ("invalid_scope", 400)
        server.faults = {f"calendar-{n}": rejected for n in range(10)}
        await crowd.start()
        await pass_time(24 * HOURS)
        longest_ago = [*dict.fromkeys(reversed(server.grants))][::-1]
        server.faults = dict.fromkeys(longest_ago[:bad], rejected)  # they try before those that are mended
        await pass_time(65 * MINUTES)
        assert await crowd.expired() <= set(server.faults)

    play(story)


def play_gateway(monkeypatch: pytest.MonkeyPatch, leeway: int, fails: Callable[[str, float], bool]) -> None:
    """A gateway that answers 502 although the token was worked off; it is accepted again for as long as the leeway lasts."""
    first: dict[str, float] = {}
    respond = CrowdProvider._answer  # noqa: SLF001  # what stands behind the gateway

    def respond_through(self: CrowdProvider, server: Server, request: Request, presented: str) -> Answer:
        now = (clock() - START).total_seconds()
        since = now - first.setdefault(presented, now)
        if since > leeway:
            return answer({"error": "invalid_grant"}, 400)
        return answer({}, 502) if fails(presented, since) else respond(self, server, request, presented)

    monkeypatch.setattr(CrowdProvider, "_answer", respond_through)


@pytest.mark.parametrize("leeway", [30, 60])
@pytest.mark.parametrize("down", [2, 6, 20])
def test_a_gateway_that_fails_for_less_than_the_leeway_costs_no_consent(monkeypatch: pytest.MonkeyPatch, down: int, leeway: int) -> None:
    play_gateway(monkeypatch, leeway, lambda presented, since: presented == "calendar-0/0" and since < down)

    async def story() -> None:
        crowd, _ = await gather(100, refresh={"rotation": "Strict", "leewaySeconds": leeway})
        await crowd.start()
        await pass_time(1 * HOURS)
        assert await crowd.reasons("Authorized") == {"Consented": 100}

    play(story)


def test_a_gateway_that_fails_every_fifth_time_costs_no_consent_within_a_minute_of_leeway(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = Counter[str]()

    def fails(presented: str, _: float) -> bool:
        tries[presented] += 1
        return zlib.crc32(f"{presented}/{tries[presented]}".encode()) % 5 == 0  # for each token the same every time, whoever comes first

    play_gateway(monkeypatch, 60, fails)

    async def story() -> None:
        crowd, _ = await gather(200, refresh={"rotation": "Strict", "leewaySeconds": 60})
        await crowd.start()
        await pass_time(2 * HOURS)
        assert await crowd.reasons("Authorized") == {"Consented": 200}

    play(story)


@pytest.mark.parametrize("fault", [("server_error", 502), ("invalid_scope", 400)])
def test_a_clock_that_was_ahead_when_something_healed_makes_nobody_hurry(monkeypatch: pytest.MonkeyPatch, fault: tuple[str, int]) -> None:
    ahead = [timedelta(hours=3)]

    def wrong_clock() -> datetime:
        return clock() + ahead[0]

    monkeypatch.setattr(crowds, "clock", wrong_clock)

    async def story() -> None:
        crowd, server = await gather(3, refresh={"rotation": "Strict"})
        server.is_away = True
        await crowd.start()
        await pass_time(20 * MINUTES)
        server.is_away = False
        await pass_time(5 * MINUTES)
        ahead[0], server.faults, before = timedelta(), {"calendar-0": fault}, len(server.begun)
        for _ in range(8):
            crowd.controller._wake_everything()  # noqa: SLF001  # as the sweep every five minutes
            await pass_time(5 * MINUTES)
        assert sum(presented.startswith("calendar-0/") for _, presented in server.begun[before:]) <= 10

    play(story)
