"""A clock that was a day ahead is set right: nothing that it wrote down keeps anything waiting, or lets anything be risked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from grantkeeper.core.messages import Answer
from grantkeeper.errors import AnswerLost
from stories.scene import Scene

DUE = timedelta(minutes=45)
DAY = timedelta(days=1)
MOMENT = timedelta(seconds=1)
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


async def open_ahead(**refresh: object) -> Scene:
    """The scene a day ahead of the time, right before a refresh is made."""
    scene = await Scene.open_consented()
    await scene.patch_connector(refresh={"rotation": "Strict", **refresh})
    await scene.settle()
    scene.hands[0] += DAY
    return scene


async def set_right(scene: Scene) -> None:
    """The clock is right again, three quarters of an hour after the consent, and everything is looked at."""
    scene.hands[0] += DUE - DAY
    await scene.settle()
    await scene.pass_time(MOMENT)


async def test_a_set_that_was_obtained_tomorrow_is_refreshed_now() -> None:
    scene = await open_ahead()
    scene.provider.answer = NEXT
    await scene.settle()
    await set_right(scene)
    assert len(scene.provider.sent) == 2
    assert (await scene.status())["expirationTime"] == "2026-11-21T08:15:00Z"
    await scene.pass_time(timedelta(minutes=30))
    assert len(scene.provider.sent) == 2, "once is enough"


@pytest.mark.parametrize("restarts", [False, True], ids=["remembered", "read anew"])
async def test_a_wait_from_tomorrow_is_over(restarts: bool) -> None:
    scene = await open_ahead()
    scene.provider.next = [Answer(status=429, content_type="", retry_after="3600", body=b"")]
    await scene.settle()
    assert len(scene.provider.sent) == 1
    if restarts:
        await scene.restart()
    await set_right(scene)
    assert len(scene.provider.sent) == 2
    assert await scene.reason() == "Ready"


async def test_a_circuit_from_tomorrow_lets_somebody_try_again() -> None:
    scene = await open_ahead()
    scene.provider.next = [Answer(status=401, content_type="", retry_after=None, body=b'{"error":"invalid_client"}')]
    await scene.settle()
    assert (await scene.connector())["reasons"]["Reachable"] == "ClientRejected"
    await set_right(scene)
    await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == 2
    assert (await scene.connector())["reasons"]["Reachable"] == "Reachable"


async def test_a_lost_answer_from_tomorrow_is_risked_when_nothing_of_use_can_be_lost_by_it() -> None:
    scene = await open_ahead()
    scene.provider.next = [AnswerLost("reset")]
    await scene.settle()
    await set_right(scene)
    assert len(scene.provider.sent) == 1, "the access token lives for another quarter of an hour"
    await scene.pass_time(timedelta(minutes=14, seconds=30))
    assert len(scene.provider.sent) == 2
    assert await scene.reason() == "Ready"


async def test_a_leeway_from_tomorrow_covers_nothing() -> None:
    scene = await open_ahead(leewaySeconds=30)
    scene.provider.next = [AnswerLost("reset")] * 99
    await scene.settle()
    presented = len(scene.provider.sent)
    await set_right(scene)
    for _ in range(20):
        await scene.pass_time(timedelta(seconds=30))
    assert len(scene.provider.sent) == presented
    for _ in range(20):
        await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == presented + 1
    assert await scene.reason() == "ReauthorizationRequired"
