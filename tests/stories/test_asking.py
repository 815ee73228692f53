"""What becomes of a question that nobody answers in time, or answers with what cannot be right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from grantkeeper.core.requests import LIFETIME_IN_STATUS
from stories.scene import Scene

MOMENT = timedelta(seconds=1)


@pytest.fixture
async def scene() -> Scene:
    return await Scene.open()


async def test_a_request_that_nobody_answers_expires_and_another_follows(scene: Scene) -> None:
    first = await scene.asked()
    assert scene.wake_at == scene.now.replace(microsecond=0) + LIFETIME_IN_STATUS, "the keeper must look when the request runs out"
    await scene.pass_time(LIFETIME_IN_STATUS - MOMENT)
    assert await scene.asked() == first
    await scene.pass_time(MOMENT)
    assert await scene.request_states() == ["Expired", "Open"]
    assert await scene.asked() != first
    assert await scene.reason() == "AwaitingConsent"


@pytest.mark.parametrize(
    "keeper_has_looked",
    [pytest.param(False, id="before the keeper has noticed"), pytest.param(True, id="when another link is already out")],
)
async def test_an_answer_to_an_expired_request_spends_nothing(scene: Scene, keeper_has_looked: bool) -> None:
    late = await scene.asked()
    scene.hands[0] += LIFETIME_IN_STATUS
    if keeper_has_looked:
        await scene.settle()
    await scene.bring(late)
    await scene.settle()
    assert scene.provider.sent == [], "the code of an expired request was presented"
    assert await scene.answers() == {}
    assert await scene.request_states() == ["Expired", "Open"]
    await scene.bring(await scene.asked(), code="in-time")
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1
    assert "code=in-time" in scene.provider.sent[0]


async def test_an_answer_at_the_last_moment_still_counts(scene: Scene) -> None:
    scene.hands[0] += LIFETIME_IN_STATUS - MOMENT
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"


@pytest.mark.parametrize("at_once", [pytest.param(True, id="together"), pytest.param(False, id="one after the other")])
async def test_two_wrong_answers_leave_a_request_open_and_the_third_spends_it(scene: Scene, at_once: bool) -> None:
    first = await scene.asked()
    for number in (1, 2):
        await scene.bring(first, number=number, iss="https://login.example.net")
        if not at_once:
            await scene.settle()
    await scene.settle()
    assert await scene.answers() == {}
    assert await scene.asked() == first, "each wrong answer counts once"
    await scene.bring(first, iss=None)
    await scene.settle()
    assert await scene.request_states() == ["Refused", "Open"]
    assert await scene.asked() != first
    assert await scene.reason() == "ExchangeFailed"
    assert scene.provider.sent == []


async def test_a_wrong_answer_does_not_stand_in_the_way_of_the_right_one(scene: Scene) -> None:
    request_id = await scene.asked()
    await scene.bring(request_id, number=1, iss="https://login.example.net")
    await scene.bring(request_id, number=2)
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1


async def test_late_news_of_an_answer_does_not_drop_the_next_one_of_its_name(scene: Scene) -> None:
    request_id = await scene.asked()
    await scene.bring(request_id, iss="https://login.example.net")
    ((name, first),) = (await scene.answers()).items()
    await scene.settle()
    await scene.bring(request_id)
    ((same_name, second),) = (await scene.answers()).items()
    assert name == same_name
    scene.cluster.take_news()  # of each object by itself, as kopf tells them
    scene.controller.take_in("secrets", "ADDED", second)
    scene.controller.take_in("secrets", "DELETED", first)
    await scene.settle()
    assert await scene.reason() == "Ready"
