"""The API server is away for ten minutes, and the clock jumps by an hour: nothing is lost, and nobody has to do anything.

The minutes are the scene's own: every call that fails takes ten of its seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import SECRETS
from grantkeeper.errors import ClusterError, Conflict, Forbidden, GrantkeeperError, Unreachable
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
HOUR = timedelta(hours=1)
OUTAGE = timedelta(minutes=10)
VERBS = ("get", "list", "create", "replace", "patch", "delete")
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}

Happening = Callable[[], Awaitable[None]]


def outage(scene: Scene, error: Exception) -> Happening:
    """Begins when it is called."""

    async def begin() -> None:
        back_at = scene.now + OUTAGE

        async def fail() -> None:
            scene.hands[0] += timedelta(seconds=10)
            if scene.now >= back_at:
                scene.cluster.troubles.clear()
            raise error

        scene.cluster.troubles = [Trouble(verb, "", fail, times=9999) for verb in VERBS]

    return begin


async def live_through(scene: Scene) -> None:
    """Passes fail and are repeated, as the agenda repeats them, until the API server is back and there is nothing to do."""
    for _ in range(200):
        try:
            await scene.settle()
        except GrantkeeperError:
            continue
        if not scene.cluster.troubles:
            return
    raise AssertionError("the API server never came back")


CLAIMS, DELIVERS, REPORTS = ("replace", "secrets/grant-"), ("replace", "secrets/alice-token"), ("patch", "usergrants/alice")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unreachable("no answer"), id="no answer"),
        pytest.param(Conflict("409"), id="conflicts"),
        pytest.param(ClusterError("410"), id="gone"),
        pytest.param(Forbidden("403"), id="forbidden"),
    ],
)
@pytest.mark.parametrize(
    ("by_code", "begins_with"),
    [
        pytest.param(False, ("get", "secrets/grant-"), id="a refresh, before anything is read"),
        pytest.param(False, CLAIMS, id="a refresh, when it is claimed"),
        pytest.param(False, None, id="a refresh, while it is presented"),
        pytest.param(False, DELIVERS, id="a refresh, when it is delivered"),
        pytest.param(False, REPORTS, id="a refresh, when it is reported"),
        pytest.param(True, ("get", "secrets/grant-"), id="a code, before anything is read"),
        pytest.param(True, CLAIMS, id="a code, when it is claimed"),
        pytest.param(True, None, id="a code, while it is presented"),
        pytest.param(True, ("create", "secrets/alice-token"), id="a code, when it is delivered"),
        pytest.param(True, REPORTS, id="a code, when it is reported"),
    ],
)
async def test_an_outage_of_ten_minutes_costs_nothing(error: Exception, by_code: bool, begins_with: tuple[str, str] | None) -> None:
    scene = await (Scene.open() if by_code else Scene.open_consented())
    if by_code:
        await scene.bring(await scene.asked())
    else:
        scene.hands[0] += DUE
    scene.provider.answer = NEXT
    begin = outage(scene, error)

    async def fail_first() -> None:
        await begin()
        raise error

    if begins_with is not None:
        scene.cluster.troubles.append(Trouble(*begins_with, fail_first))
    else:
        scene.provider.meanwhile = begin
    began_at = scene.now
    await live_through(scene)
    assert scene.now - began_at >= OUTAGE
    scene.provider.meanwhile = None
    for _ in range(3):
        await scene.pass_time(timedelta(seconds=15))
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1, "it must be presented exactly once"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert (await scene.sealed()).claim is None
    assert scene.provider.revoked == []


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour forward", "an hour back"])
async def test_a_clock_that_jumps_and_comes_back_spends_nothing_twice(jump: timedelta) -> None:
    scene = await Scene.open_consented()
    answers = [{**TOKENS, "access_token": f"token-{n}", "refresh_token": f"refresh-{n}"} for n in range(1, 9)]
    for span in (timedelta(minutes=5), jump, timedelta(minutes=5), -jump, timedelta(minutes=5)):
        scene.provider.answer = answers[len(scene.provider.sent)]
        await scene.pass_time(span)
    assert len(scene.provider.sent) == 2, "once for each jump: forward it is due, and back it was obtained in the future"
    assert await scene.reason() == "Ready"
    for _ in range(40):
        scene.provider.answer = answers[len(scene.provider.sent)]
        await scene.pass_time(timedelta(minutes=4))
    assert await scene.reason() == "Ready"
    sent = scene.provider.sent
    assert len(sent) == len(set(sent)) >= 2, "each refresh token was presented once"


async def test_a_sweep_that_fails_leaves_what_is_known() -> None:
    scene = await Scene.open_consented()
    scene.cluster.troubles = [Trouble("list", "usergrants", failing(Unreachable("500")))]
    with pytest.raises(Unreachable):
        await scene.controller.sweeper.sweep()
    await scene.pass_time(DUE)
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1
    names = {s["metadata"]["name"] for s in await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE)}
    assert any(name.startswith("grant-") for name in names)
    assert (await scene.delivered())["metadata"]["namespace"] == NAMESPACE
