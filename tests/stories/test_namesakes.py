"""A connector is deleted and another made under its name, for another server, while something waits that was begun for the first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from fakes.provider import ISSUER, METADATA
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import OAUTHCONNECTORS
from grantkeeper.controller.running import CONNECTOR, GRANT
from grantkeeper.core.messages import Answer
from stories.scene import CONNECTOR_BODY, NAMESPACE, Scene
from stories.test_connector_life import DUE, open_confidential

SUBJECT = (CONNECTOR, f"{NAMESPACE}/calendar")
ANOTHER = "https://another.example.com"


async def make_namesake(scene: Scene) -> None:
    """Delete the connector, and apply one for another server."""
    endpoints = dict.fromkeys(("authorization_endpoint", "token_endpoint", "revocation_endpoint"), f"{ANOTHER}/there")
    scene.provider.metadata[ANOTHER] = {**METADATA, "issuer": ANOTHER, **endpoints}
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.cluster.create(OAUTHCONNECTORS, NAMESPACE, {**CONNECTOR_BODY, "spec": {**CONNECTOR_BODY["spec"], "issuer": ANOTHER}})
    scene.tell_news()


async def begin(work: Awaitable[object]) -> asyncio.Task[object]:
    """Begin, and go on until it waits."""
    begun = asyncio.ensure_future(work)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not begun.done()
    return begun


async def open_unspent() -> Scene:
    """A grant whose refresh token is not spent by its use, so that what is stored is read anew before it is presented."""
    scene = await Scene.open_consented()
    await scene.patch_connector(refresh={"rotation": "None"})
    await scene.settle()
    return scene


@pytest.mark.parametrize(
    ("opened", "read"),
    [
        pytest.param(open_confidential, "secrets/client", id="waiting for the client secret"),
        pytest.param(open_unspent, "secrets/grant-", id="waiting for what is stored"),
    ],
)
async def test_a_refresh_token_never_reaches_the_server_of_a_namesake(opened: Callable[[], Awaitable[Scene]], read: str) -> None:
    scene, may_go_on = await opened(), asyncio.Event()
    scene.hands[0] += DUE
    scene.tell_news()

    async def wait() -> None:
        await may_go_on.wait()

    scene.cluster.troubles.append(Trouble("get", read, wait))
    refreshing = await begin(scene.controller.keep((GRANT, scene.uid)))
    before = len(scene.provider.sent)
    await make_namesake(scene)
    await scene.controller.keep(SUBJECT)
    may_go_on.set()
    await refreshing
    assert len(scene.provider.sent) == before


async def test_what_was_found_out_of_a_connector_is_not_believed_of_its_namesake(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, may_go_on = await Scene.open_consented(), asyncio.Event()
    fetch = type(scene.provider).fetch

    async def wait_and_fetch(_: object, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ASYNC109
        if url.startswith(ISSUER):
            await may_go_on.wait()
        return await fetch(scene.provider, url, ca_bundle=ca_bundle, timeout=timeout)

    monkeypatch.setattr(type(scene.provider), "fetch", wait_and_fetch)
    scene.hands[0] += timedelta(minutes=11)
    looking = await begin(scene.controller.keep(SUBJECT))
    await make_namesake(scene)
    await scene.controller.keep(SUBJECT)
    may_go_on.set()
    assert await looking == scene.now, "it is looked at again at once"
    connectors = scene.controller.connectors
    namesake = await connectors.client(scene.controller.registry.connectors[NAMESPACE, "calendar"])
    assert (namesake.spec.issuer, namesake.client.endpoints.token) == (ANOTHER, f"{ANOTHER}/there")
