"""What is delivered follows what is asked for, whoever else writes there, and whatever the controller missed."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from fakes.cluster import Object
from fakes.provider import TOKENS
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.controller.assembling import assemble
from grantkeeper.controller.running import GRANT
from grantkeeper.errors import NotFound
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, SETTINGS, Scene

TWO = [{"name": "alice-token"}, {"name": "alice-header", "format": "Header"}]


async def consented(**spec: Any) -> Scene:
    """A grant whose token is delivered."""
    scene = await Scene.open(**spec)
    await scene.bring(await scene.asked())
    await scene.settle()
    return scene


async def ask_for(scene: Scene, *secrets: Object) -> None:
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"secrets": list(secrets)}})


async def secret(scene: Scene, name: str) -> Object | None:
    try:
        return await scene.cluster.get(SECRETS, NAMESPACE, name)
    except NotFound:
        return None


async def recorded(scene: Scene) -> dict[str, Any]:
    """The deliveries in the grant's sealed Secret."""
    (sealed,) = await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels="grantkeeper.dev/kind=sealed")
    return dict(json.loads(base64.b64decode(sealed["data"]["deliveries"])))


async def restart(scene: Scene) -> None:
    """Another life of the controller; it missed what was told before."""
    scene.cluster.take_news()
    provider = scene.provider
    scene.controller = await assemble(SETTINGS, scene.cluster, provider, clock=lambda: scene.hands[0])
    await scene.controller.sweeper.sweep()
    await scene.settle()


@pytest.mark.parametrize("is_missed", [pytest.param(False, id="while the controller looks"), pytest.param(True, id="while it is down")])
async def test_a_secret_that_is_asked_for_no_more_goes_and_then_its_record(is_missed: bool) -> None:
    scene = await consented(secrets=TWO)
    assert await secret(scene, "alice-header")
    await ask_for(scene, TWO[0])
    await (restart(scene) if is_missed else scene.settle())
    assert await secret(scene, "alice-header") is None
    assert await secret(scene, "alice-token")
    assert await scene.reason() == "Ready"
    assert set(await recorded(scene)) == {"alice-token", "alice-header"}, "a write for the record alone"
    await scene.pass_time(timedelta(minutes=50))
    assert set(await recorded(scene)) == {"alice-token"}


async def test_a_secret_that_somebody_made_in_its_place_stays() -> None:
    scene = await consented(secrets=TWO)
    await scene.pass_time(timedelta(minutes=50))  # a refresh, whose claim binds the deliveries to their uids
    ours = await secret(scene, "alice-header")
    assert ours is not None
    await scene.cluster.delete(SECRETS, NAMESPACE, "alice-header")
    await ask_for(scene, TWO[0])
    await scene.cluster.create(SECRETS, NAMESPACE, ours)
    await restart(scene)
    assert await secret(scene, "alice-header"), "the marks were copied, the uid cannot be"


async def test_one_that_is_asked_for_again_is_made_again() -> None:
    scene = await consented(secrets=TWO)
    before = (await recorded(scene))["alice-header"]["id"]
    await ask_for(scene, TWO[0])
    await scene.settle()
    await ask_for(scene, *TWO)
    await scene.settle()
    assert await secret(scene, "alice-header")
    assert await scene.reason() == "Ready"
    assert (await recorded(scene))["alice-header"]["id"] == before, "no Secret bears it, and nothing was bound to it"


async def test_the_record_of_a_new_secret_is_written_without_those_that_are_gone() -> None:
    scene = await consented(secrets=TWO)
    await ask_for(scene, TWO[0])
    await scene.settle()
    await ask_for(scene, TWO[0], {"name": "alice-json", "format": "JSON"})
    await scene.settle()
    assert set(await recorded(scene)) == {"alice-token", "alice-json"}


async def test_a_secret_in_the_way_is_noticed_when_it_goes() -> None:
    scene = await Scene.open()
    await scene.cluster.create(SECRETS, NAMESPACE, {"metadata": {"name": "alice-token"}, "type": "Opaque", "data": {"mine": "eA=="}})
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "SecretConflict"
    await scene.cluster.delete(SECRETS, NAMESPACE, "alice-token")
    assert scene.wake_at is not None
    assert scene.wake_at - scene.now <= timedelta(seconds=10)
    await scene.pass_time(timedelta(seconds=10))
    assert await scene.reason() == "Ready"


async def test_a_template_that_cannot_be_filled_is_said_before_anybody_is_asked() -> None:
    wrong = {"name": "alice-token", "templates": {"netrc": "password [[ password ]]"}}
    scene = await Scene.open(secrets=[wrong])
    assert await scene.reason() == "InvalidTemplate"
    assert "consentURL" not in await scene.status()
    await ask_for(scene, {**wrong, "templates": {"netrc": "password [[ access_token ]]"}})
    await scene.settle()
    assert await scene.asked()


async def test_a_template_that_becomes_wrong_leaves_the_others_fresh() -> None:
    scene = await consented(secrets=TWO)
    scene.provider.answer = {**scene.provider.answer, "access_token": "the-second"}
    await ask_for(scene, TWO[0], {**TWO[1], "templates": {"x": "[[ x ]]"}})
    await scene.pass_time(timedelta(minutes=50))
    assert await scene.reason() == "InvalidTemplate"
    fresh, behind = await secret(scene, "alice-token"), await secret(scene, "alice-header")
    assert fresh is not None
    assert behind is not None
    assert base64.b64decode(fresh["data"]["access_token"]) == b"the-second"
    assert base64.b64decode(behind["data"]["authorization"]) == b"Bearer an-access-token"


async def test_what_becomes_too_long_is_not_written() -> None:
    scene = await consented(secrets=[{"name": "alice-token", "templates": {"x": "[[ access_token ]]" * 400}}])
    scene.provider.answer = {**scene.provider.answer, "access_token": "x" * 200}
    await scene.pass_time(timedelta(minutes=50))
    assert await scene.reason() == "WriteFailed"


async def test_one_pass_refreshes_delivers_and_reports_and_reads_nothing_for_it() -> None:
    scene = await Scene.open_consented()
    reads: list[str] = []

    async def note() -> None:
        reads.append("a Secret")

    scene.cluster.troubles.append(Trouble("get", "secrets/", note, times=9))
    for generation in (2, 3, 4):
        scene.provider.answer = {**TOKENS, "access_token": f"token-{generation}", "refresh_token": f"refresh-{generation}"}
        scene.hands[0] += timedelta(minutes=50)
        await scene.controller.keep((GRANT, scene.uid))
        assert reads == []
        assert (await scene.status())["tokenGeneration"] == generation
        assert (await scene.delivered())["data"]["access_token"] == f"token-{generation}"
        reads.clear()
