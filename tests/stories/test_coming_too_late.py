"""A grant that is released while another holder presents something for it: what comes is revoked, and nothing outlives the grant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.provider import ISSUER, METADATA, answer
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller.running import GRANT, Controller
from stories import scene as scenes
from stories.scene import NAMESPACE, Scene
from stories.test_claims import RESPECT, restart
from stories.test_journal import DUE, NEXT, Killed, is_commit, kill

CAME = ("token=the-next-refresh-token", "token=the-next")
WAS_HELD = ("token=a-refresh-token", "token=an-access-token")


async def delete(scene: Scene) -> None:
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")


async def let_another_release(scene: Scene) -> None:
    """Another Pod leads, waits as long as it respects the claim, and lets go of what is being deleted."""
    ticks = await restart(scene, pod="b-pod")
    await scene.settle()
    ticks[0] += RESPECT
    await scene.settle()


async def settle(scene: Scene, uid: str) -> None:
    """Let whoever leads work, also on what it knows of a grant that is gone."""
    await scene.settle()
    await scene.controller.keep((GRANT, uid))


async def see_nothing_left(scene: Scene, *revoked: str) -> None:
    assert {form.partition("&")[0] for form in scene.provider.revoked} == set(revoked)
    left = [body["metadata"]["name"] for kind in (USERGRANTS, SECRETS) for body in await scene.cluster.list(kind)]
    assert left == ["grantkeeper-keyring"]


async def fly(scene: Scene, meanwhile: Callable[[], Awaitable[None]], *answers: Any) -> Controller:
    """One that led refreshes; something happens while its request is on its way. Who leads from then on is in the scene."""
    old, uid = scene.controller, scene.uid

    async def happen() -> None:
        scene.provider.meanwhile = None
        await meanwhile()

    scene.provider.meanwhile, scene.provider.next = happen, list(answers)
    scene.hands[0] += DUE
    scene.tell_news()
    await old.keep((GRANT, uid))
    return old


async def test_a_grant_is_not_released_while_what_another_presents_may_still_come() -> None:
    scene = await Scene.open_consented()
    uid = scene.uid

    async def meanwhile() -> None:
        await delete(scene)
        await restart(scene, pod="b-pod")
        await scene.settle()
        assert scene.provider.revoked == []
        assert scene.wake_at is not None

    await fly(scene, meanwhile, answer(NEXT))
    await settle(scene, uid)
    await see_nothing_left(scene, *CAME)


@pytest.mark.parametrize("rotation", ["Strict", "None"])
async def test_what_comes_after_a_grant_was_released_is_revoked(rotation: str) -> None:
    scene = await Scene.open_consented()
    await scene.patch_connector(refresh={"rotation": rotation})
    await scene.settle()
    uid = scene.uid

    async def meanwhile() -> None:
        await delete(scene)
        await let_another_release(scene)
        await see_nothing_left(scene, *WAS_HELD)

    await fly(scene, meanwhile, answer(NEXT))
    await settle(scene, uid)
    await see_nothing_left(scene, *WAS_HELD, *CAME)


async def test_what_comes_for_a_code_after_a_grant_was_released_is_revoked() -> None:
    scene = await Scene.open()
    await scene.bring(await scene.asked())
    old, uid = scene.controller, scene.uid
    scene.provider.answer = NEXT

    async def meanwhile() -> None:
        scene.provider.meanwhile = None
        await delete(scene)
        await let_another_release(scene)

    scene.provider.meanwhile = meanwhile
    scene.tell_news()
    await old.keep((GRANT, uid))
    await settle(scene, uid)
    assert {form.partition("&")[0] for form in scene.provider.revoked} == set(CAME)
    assert not [body for body in await scene.cluster.list(SECRETS) if uid in body["metadata"]["name"]]


async def test_what_comes_late_is_not_revoked_where_the_tokens_are_retained() -> None:
    scene = await Scene.open_consented()
    await scene.patch(spec={"revocationPolicy": "Retain"})
    await scene.settle()
    uid = scene.uid

    async def meanwhile() -> None:
        await delete(scene)
        await let_another_release(scene)

    await fly(scene, meanwhile, answer(NEXT))
    await settle(scene, uid)
    await see_nothing_left(scene)


async def test_a_failure_is_not_noted_of_a_grant_that_was_released() -> None:
    scene = await Scene.open_consented()

    async def meanwhile() -> None:
        await delete(scene)
        await let_another_release(scene)

    await fly(scene, meanwhile, answer({"error": "invalid_grant"}, 400))
    await see_nothing_left(scene, *WAS_HELD)


@pytest.mark.parametrize("is_server_known", [pytest.param(True, id="at once"), pytest.param(False, id="when its server is known")])
async def test_an_entry_of_a_journal_whose_grant_another_has_released_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_server_known: bool
) -> None:
    ours = scenes.SETTINGS.model_copy(update={"journal_directory": tmp_path})
    monkeypatch.setattr(scenes, "SETTINGS", ours)
    scene = await Scene.open_consented()
    uid = scene.uid
    scene.provider.answer = NEXT
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", kill, concerns=is_commit))
    with pytest.raises(Killed):
        await scene.pass_time(DUE)
    await delete(scene)
    monkeypatch.setattr(scenes, "SETTINGS", ours.model_copy(update={"journal_directory": None}))
    await let_another_release(scene)
    await see_nothing_left(scene, *WAS_HELD)
    monkeypatch.setattr(scenes, "SETTINGS", ours)
    if not is_server_known:
        scene.provider.metadata.clear()
    await scene.restart(pod="a-pod")
    await settle(scene, uid)
    if not is_server_known:
        assert [body for body in await scene.cluster.list(SECRETS) if uid in body["metadata"]["name"]]
        scene.provider.metadata[ISSUER] = METADATA
        await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"displayName": "looked at anew"}})
        await settle(scene, uid)
    await see_nothing_left(scene, *WAS_HELD, *CAME)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
