"""How often a refresh token is presented: by two Pods, after a restart, and whatever is edited meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from fakes.provider import answer as answering
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, PODS, USERGRANTS
from grantkeeper.controller.running import CONNECTOR, GRANT
from grantkeeper.core.answering import ANSWER_TYPE
from grantkeeper.errors import AnswerLost
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=45)
RETRY = timedelta(minutes=14)
"""From then on until a minute before the access token expires, when nothing of use can be lost by trying again."""
RESPECT = 35.0
"""Seconds for which the claim of another Pod keeps this one away."""


class Killed(BaseException):
    """SIGKILL: nothing below may catch it."""


async def kill() -> None:
    raise Killed


async def open_killed(*, pod: str) -> tuple[Scene, list[float]]:
    """The scene after a kill between claim and answer, and a new process in `pod`; with the hands of its monotonic clock."""
    scene = await Scene.open_consented()
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await scene.pass_time(DUE)
    scene.provider.meanwhile = None
    return scene, await restart(scene, pod=pod)


async def restart(scene: Scene, *, pod: str) -> list[float]:
    await scene.restart(pod=pod)
    ticks = [100.0]
    scene.controller.keeper.gatherer.respect.monotonic = lambda: ticks[0]
    return ticks


async def test_a_live_claim_of_another_pod_is_respected_for_a_while_by_a_clock_that_nobody_sets() -> None:
    scene, ticks = await open_killed(pod="b-pod")
    await scene.settle()
    ticks[0] += RESPECT - 0.1
    for _ in range(3):
        await scene.pass_time(RETRY)
        assert scene.provider.sent == []
    ticks[0] += 0.1
    await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"


async def test_a_claim_that_another_pod_renews_is_respected_anew() -> None:
    scene, ticks = await open_killed(pod="b-pod")
    await scene.pass_time(RETRY)
    ticks[0] += RESPECT - 0.1
    ours = scene.controller
    await scene.restart(pod="a-pod")
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await scene.settle()
    scene.provider.meanwhile = None
    scene.controller = ours
    await scene.settle()
    ticks[0] += RESPECT - 0.1
    await scene.settle()
    assert await scene.reason() == "Ready", "the other one may still get its answer"
    ticks[0] += 0.1
    await scene.settle()
    assert await scene.reason() == "ReauthorizationRequired", "two answers were lost by now"
    assert scene.provider.sent == []


async def test_a_claim_of_an_earlier_life_of_this_pod_is_not_respected() -> None:
    scene, _ = await open_killed(pod="a-pod")
    await scene.pass_time(RETRY)
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"


async def test_a_claim_of_another_pod_that_says_that_its_answer_was_lost_is_not_respected() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [AnswerLost("reset")]
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1
    await restart(scene, pod="b-pod")
    await scene.pass_time(RETRY)
    assert len(scene.provider.sent) == 2
    assert await scene.reason() == "Ready"


@pytest.mark.parametrize("ended", [True, False], ids=["has presented and stored", "is just presenting"])
async def test_what_another_pod_does_unseen_is_not_presented_again(ended: bool) -> None:
    scene = await Scene.open_consented()
    ours = scene.controller
    scene.provider.meanwhile = None if ended else kill
    await scene.restart(pod="b-pod")
    if ended:
        await scene.pass_time(DUE)
    else:
        with pytest.raises(Killed):
            await scene.pass_time(DUE)
    scene.provider.meanwhile = None
    scene.provider.sent.clear()
    scene.cluster.take_news()  # our watch is late, and our memory holds the version before that
    before = ours.registry.sealed[scene.uid]
    await ours.keep((GRANT, scene.uid))
    assert scene.provider.sent == []
    assert ours.registry.sealed[scene.uid] != before, "it has been read since"
    scene.controller = ours
    await scene.settle()
    assert scene.provider.sent == []


async def test_a_token_whose_answer_was_lost_and_whose_retry_was_refused_is_never_presented_again() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [AnswerLost("reset"), answering({"error": "invalid_grant"}, 400)]
    await scene.pass_time(DUE)
    await scene.pass_time(RETRY)
    assert len(scene.provider.sent) == 2
    for number in range(3):
        await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"purpose": f"purpose {number}"}})
        await scene.pass_time(timedelta(minutes=2))
        await restart(scene, pod=f"pod-{number}")
        await scene.pass_time(timedelta(minutes=2))
        assert await scene.reason() == "ReauthorizationRequired"
    assert len(scene.provider.sent) == 2
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"


async def test_a_token_that_is_refused_is_tried_once_more_when_the_spec_changes() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({"error": "invalid_grant"}, 400)]
    await scene.pass_time(DUE)
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "ReauthorizationRequired"
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"purpose": "another"}})
    await scene.settle()
    assert len(scene.provider.sent) == 2
    assert await scene.reason() == "Ready"


async def test_a_process_that_is_ending_presents_nothing_and_the_next_one_does() -> None:
    scene = await Scene.open_consented()
    await scene.controller.agenda.drain()
    await scene.pass_time(DUE)
    assert scene.provider.sent == []
    assert (await scene.sealed()).claim is None
    await restart(scene, pod="b-pod")
    await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"


@pytest.mark.parametrize(
    ("there", "leeway", "sent"),
    [
        pytest.param("nothing", 60, 1, id="gone: what the leeway covers is asked for again at once"),
        pytest.param("a namesake", 60, 1, id="gone, and another bears its name"),
        pytest.param("itself", 60, 0, id="there: it may still get its answer"),
        pytest.param("nothing", 0, 0, id="gone, without a leeway: a node that is cut off may still run it"),
    ],
)
async def test_a_claim_whose_pod_is(there: str, leeway: int, sent: int) -> None:
    scene = await Scene.open_consented()
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"refresh": {"leewaySeconds": leeway}}})
    pod = "b-pod"
    if there != "nothing":
        body = {"metadata": {"name": scene.controller.keeper.gatherer.respect.holder.pod_name}}
        created = await scene.cluster.create(PODS, "grantkeeper", body)
        pod = created["metadata"]["uid"] if there == "itself" else pod
    await scene.restart(pod=pod)
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await scene.pass_time(DUE)
    scene.provider.meanwhile = None
    await restart(scene, pod="a-pod")
    await scene.settle()
    assert len(scene.provider.sent) == sent


CODE = {**TOKENS, "access_token": "of-the-code", "refresh_token": "rt-of-the-code", "scope": "calendar.read more"}


async def open_widening() -> tuple[Scene, str]:
    """The scene in which consent to more is asked for while a refresh is due; with the request's id."""
    scene = await Scene.open_consented()
    await scene.patch_connector(scopes=["calendar.read", "more"])
    await scene.settle()
    scene.hands[0] += DUE
    scene.tell_news()
    return scene, await scene.asked()


@pytest.mark.parametrize("is_seen", [pytest.param(True, id="known"), pytest.param(False, id="only seen when it is read anew")])
async def test_a_code_waits_for_what_another_has_in_flight_and_both_are_kept(is_seen: bool) -> None:
    scene, asked = await open_widening()
    old, uid = scene.controller, scene.uid
    if not is_seen:
        await restart(scene, pod="b-pod")

    async def meanwhile() -> None:
        scene.provider.meanwhile = None
        if is_seen:
            await restart(scene, pod="b-pod")
        else:
            scene.cluster.take_news()  # the watch is slow
        await scene.bring(asked)
        for plural, event, body in scene.cluster.take_news():
            if body.get("type") == ANSWER_TYPE:
                scene.controller.take_in(plural, event, body)
        await scene.controller.keep((CONNECTOR, f"{NAMESPACE}/calendar"))
        await scene.controller.keep((GRANT, uid))
        assert scene.provider.sent == []

    scene.provider.meanwhile = meanwhile
    await old.keep((GRANT, uid))
    scene.provider.answer = CODE
    await scene.settle()
    assert len(scene.provider.sent) == 2
    assert (await scene.delivered())["data"]["access_token"] == "of-the-code"
    assert (await scene.request_states())[-1] == "Granted"
    assert scene.provider.revoked == []


async def test_a_code_waits_no_longer_than_another_can_take() -> None:
    scene, asked = await open_widening()
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await scene.settle()
    scene.provider.meanwhile = None
    ticks = await restart(scene, pod="b-pod")
    await scene.bring(asked)
    await scene.settle()
    assert scene.provider.sent == []
    assert scene.wake_at is not None
    assert scene.wake_at <= scene.now + timedelta(seconds=RESPECT)
    ticks[0] += RESPECT
    scene.provider.answer = CODE
    await scene.settle()
    assert (await scene.delivered())["data"]["access_token"] == "of-the-code"


async def test_a_request_whose_consent_came_second_is_closed_and_the_person_asked_again() -> None:
    scene, asked = await open_widening()
    old, uid = scene.controller, scene.uid
    frozen, goes_on = asyncio.Event(), asyncio.Event()

    async def freeze() -> None:
        frozen.set()
        await goes_on.wait()

    async def thaw() -> None:
        scene.provider.meanwhile = None
        goes_on.set()
        await refreshing

    scene.provider.meanwhile = freeze
    refreshing = asyncio.create_task(old.keep((GRANT, uid)))
    await frozen.wait()
    ticks = await restart(scene, pod="b-pod")
    await scene.bring(asked)
    await scene.controller.keep((GRANT, uid))
    ticks[0] += RESPECT
    scene.provider.meanwhile = thaw
    scene.provider.next = [answering(TOKENS), answering(CODE)]
    await scene.settle()
    assert len(scene.provider.sent) == 2
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"
    assert (await scene.request_states())[1:] == ["Refused", "Open"]


async def test_a_request_is_closed_though_nobody_is_asked_again_by_itself() -> None:
    scene = await Scene.open(link="OnRequest")
    await scene.ask_for_link("an-id")
    await scene.settle()
    await scene.bring("an-id")
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await scene.settle()
    claimed = await scene.sealed()
    await scene.controller.sweeper.vault.put(claimed.model_copy(update={"claim": None}))  # as another's set, stored first, leaves it
    await scene.restart()
    await scene.settle()
    assert await scene.request_states() == ["Refused"]
