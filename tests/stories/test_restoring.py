"""A backup is restored under a controller that is at work: what it remembers is newer than what there is."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta

import pytest

from fakes.cluster import Object
from fakes.provider import TOKENS, answer
from grantkeeper.adapters.cluster import EVENTS, SECRETS, USERGRANTS, Kind
from grantkeeper.controller.running import GRANT
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=45)
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


async def open_restored() -> Scene:
    """The scene when everything was restored as it was before the last refresh, and nobody was told."""
    scene = await Scene.open_consented()
    objects, version = deepcopy(scene.cluster._objects), scene.cluster.version  # noqa: SLF001  # what a backup is of
    scene.provider.answer = NEXT
    await scene.pass_time(DUE)
    scene.cluster._objects, scene.cluster.version = objects, version  # noqa: SLF001
    scene.provider.sent.clear()
    return scene


async def see_begun_anew(scene: Scene) -> None:
    """The term ends with nothing presented, and the next one goes on from what there is."""
    assert scene.controller.is_ending
    assert scene.provider.sent == []
    await scene.restart()
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1, "the one try: the refresh token of a backup may be spent"
    assert (await scene.status())["tokenGeneration"] == 2


async def test_a_refresh_that_finds_an_older_version_than_is_known_ends_the_term() -> None:
    scene = await open_restored()
    scene.hands[0] += DUE
    await scene.controller.keep((GRANT, scene.uid))
    await see_begun_anew(scene)


async def test_a_report_that_finds_an_older_version_than_is_known_ends_the_term() -> None:
    scene = await open_restored()
    scene.controller.take_in("usergrants", "MODIFIED", await edited(scene))
    await scene.controller.keep((GRANT, scene.uid))
    scene.hands[0] += DUE
    await see_begun_anew(scene)


async def edited(scene: Scene) -> Object:
    """The grant as it is known, with another spec: something to report."""
    known = scene.controller.registry.grants[scene.uid]
    body = await scene.cluster.get(USERGRANTS, NAMESPACE, "alice")
    body["metadata"] |= {"resourceVersion": str(int(known.metadata.resource_version) + 1), "generation": known.metadata.generation + 1}
    return body


async def test_a_sweep_that_finds_an_older_version_than_is_known_ends_the_term() -> None:
    scene = await open_restored()
    await scene.controller.sweeper.sweep()
    scene.hands[0] += DUE
    await see_begun_anew(scene)


async def test_a_list_that_was_overtaken_by_a_write_ends_nothing() -> None:
    scene = await Scene.open_consented()
    listed = await scene.cluster.list(USERGRANTS, NAMESPACE)
    await scene.pass_time(DUE)
    list_now = scene.cluster.list

    async def list_late(kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> list[Object]:
        return listed if kind is USERGRANTS else await list_now(kind, namespace, labels=labels)

    object.__setattr__(scene.cluster, "list", list_late)
    await scene.controller.sweeper.sweep()
    assert not scene.controller.is_ending


@pytest.mark.parametrize(
    ("accepts", "reason", "generation"),
    [pytest.param(True, "Ready", 2, id="accepted"), pytest.param(False, "ReauthorizationRequired", 1, id="refused")],
)
async def test_a_sealed_secret_that_was_restored_is_said_and_its_refresh_token_presented_once(
    accepts: bool, reason: str, generation: int
) -> None:
    scene = await Scene.open_consented()
    old = await scene.sealed_secret()
    scene.provider.answer = NEXT
    await scene.pass_time(DUE)
    version = (await scene.sealed_secret())["metadata"]["resourceVersion"]
    await scene.cluster.replace(SECRETS, {**old, "metadata": {**old["metadata"], "resourceVersion": version}})
    scene.provider.sent.clear()
    scene.provider.next = [] if accepts else [answer({"error": "invalid_grant"}, 400)]
    said: list[str] = []

    async def look() -> None:
        said.extend(await events(scene))

    scene.provider.meanwhile = look
    await scene.pass_time(DUE)
    assert len(said) == 1, "it is said before anything is presented"
    assert "generation 1, and status knew generation 2" in said[0]
    for _ in range(3):
        await scene.pass_time(timedelta(minutes=5))
    assert len(await events(scene)) == 1, "and once"
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == reason
    assert (await scene.status())["tokenGeneration"] == generation
    assert not scene.controller.is_ending


async def events(scene: Scene) -> list[str]:
    """What Events say of a set that was restored."""
    return [str(event["message"]) for event in await scene.cluster.list(EVENTS, NAMESPACE) if event["reason"] == "TokensRestored"]
