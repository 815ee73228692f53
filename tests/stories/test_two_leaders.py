"""A leader that was stopped for long wakes up beside the next one: it begins nothing, and turns nothing back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller.running import GRANT, Controller
from grantkeeper.core.rendering import GENERATION_ANNOTATION
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=45)
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


def lose_lease(controller: Controller) -> None:
    """It knows by its own clock that it leads no more."""
    controller.leads = lambda: False
    presenter = controller.keeper.refresher.presenter
    object.__setattr__(presenter, "leads", lambda: False)  # frozen, and one hook for everything that is presented


@pytest.fixture
async def scene() -> Scene:
    """One that has refreshed and delivered: generation 2."""
    scene = await Scene.open_consented()
    await scene.pass_time(DUE)
    return scene


async def hand_over(scene: Scene) -> Controller:
    """Another Pod leads from here on; the controller that did, with its memory as it was."""
    old = scene.controller
    await scene.restart(pod="b-pod")
    scene.provider.answer = NEXT
    return old


async def refresh_early(scene: Scene) -> None:
    """A refresh that was not due, so the old one sees no reason to look whether there was one."""
    await scene.pass_time(DUE)
    assert await generations(scene) == (3, 3)
    scene.hands[0] -= DUE


async def generations(scene: Scene) -> tuple[int, int]:
    """The generations that status and the delivered Secret show now."""
    secret = await scene.cluster.get(SECRETS, NAMESPACE, "alice-token")
    return (await scene.status())["tokenGeneration"], int(secret["metadata"]["annotations"][GENERATION_ANNOTATION])


async def test_the_old_one_writes_no_older_generation_even_if_it_does_not_know_that_it_leads_no_more(scene: Scene) -> None:
    old = await hand_over(scene)
    await refresh_early(scene)
    for _ in range(5):
        await old.keep((GRANT, scene.uid))
        assert await generations(scene) == (3, 3)
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert len(scene.provider.sent) == 2, "each refresh was made once"


@pytest.mark.parametrize("shown", [("usergrants",), ("secrets",), ("usergrants", "secrets")], ids=" and ".join)
async def test_the_old_one_writes_no_older_generation_over_what_the_watch_has_just_shown_it(scene: Scene, shown: tuple[str, ...]) -> None:
    old = await hand_over(scene)
    await refresh_early(scene)
    now = {
        "usergrants": await scene.cluster.get(USERGRANTS, NAMESPACE, "alice"),
        "secrets": await scene.cluster.get(SECRETS, NAMESPACE, "alice-token"),
    }
    for plural in shown:
        old.take_in(plural, "MODIFIED", now[plural])  # the sealed Secret comes by another way, and later
    scene.cluster.take_news()
    await old.keep((GRANT, scene.uid))
    written = [
        body["status"]["tokenGeneration"] if plural == "usergrants" else int(body["metadata"]["annotations"][GENERATION_ANNOTATION])
        for plural, _, body in scene.cluster.take_news()
    ]
    assert set(written) <= {3}
    assert await generations(scene) == (3, 3)
    assert len(scene.provider.sent) == 2


async def test_one_that_leads_no_more_begins_nothing(scene: Scene) -> None:
    lose_lease(scene.controller)
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"purpose": "another, which status would tell"}})
    before = scene.cluster.version
    await scene.pass_time(DUE)
    assert scene.cluster.version == before
    assert len(scene.provider.sent) == 1


@pytest.mark.parametrize("by_code", [False, True], ids=["a refresh token", "a code"])
async def test_one_that_loses_the_lease_in_the_middle_of_a_pass_presents_nothing(by_code: bool) -> None:
    scene = await (Scene.open() if by_code else Scene.open_consented())
    if by_code:
        await scene.bring(await scene.asked())
    else:  # a token that is claimed needs nothing to be read before
        await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"refresh": {"rotation": "None"}}})
        await scene.settle()
    scene.provider.sent.clear()

    async def lose() -> None:
        lose_lease(scene.controller)

    scene.cluster.troubles.append(Trouble("get", "secrets/grant-", lose))
    await scene.pass_time(timedelta(0) if by_code else DUE)
    assert scene.provider.sent == []
    assert (await scene.sealed()).claim is None
    await scene.restart(pod="b-pod")
    await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"


async def test_what_was_in_flight_when_the_lease_was_lost_is_stored_and_nothing_is_presented_twice(scene: Scene) -> None:
    scene.provider.answer = NEXT

    async def lose() -> None:
        lose_lease(scene.controller)

    scene.provider.meanwhile = lose
    await scene.pass_time(DUE)
    scene.provider.meanwhile = None
    sealed = await scene.sealed()
    assert sealed.claim is None
    assert sealed.meta is not None
    assert sealed.meta.generation == 3
    await scene.restart(pod="b-pod")
    await scene.settle()
    assert await generations(scene) == (3, 3)
    assert len(scene.provider.sent) == 2


async def test_a_later_generation_than_there_is_deceives_nobody(scene: Scene) -> None:
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"status": {"tokenGeneration": 99}}, subresource="status")
    await scene.cluster.patch(SECRETS, NAMESPACE, "alice-token", {"metadata": {"annotations": {GENERATION_ANNOTATION: "99"}}})
    await scene.settle()
    assert await generations(scene) == (2, 2)
