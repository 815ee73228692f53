"""A set that came second is kept, named where its grant is looked at, and ends with it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from grantkeeper.adapters.cluster import EVENTS, SECRETS, USERGRANTS
from stories import scene as scenes
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene
from stories.test_journal import DUE, open_killed, sibling


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One in which a set came second, by the journal of an earlier life."""
    monkeypatch.setattr(scenes, "SETTINGS", scenes.SETTINGS.model_copy(update={"journal_directory": tmp_path}))
    scene = await open_killed(by_code=False)
    await sibling(scene)
    await scene.restart()
    await scene.settle()
    return scene


async def messages(scene: Scene, reason: str) -> list[str]:
    """What Events with this reason say."""
    return [event["message"] for event in await scene.cluster.list(EVENTS) if event["reason"] == reason]


async def names(scene: Scene) -> list[str]:
    """What is kept aside."""
    secrets = await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE)
    return [secret["metadata"]["name"] for secret in secrets if secret["metadata"]["name"].startswith("recovered-")]


async def test_it_is_named_in_status_and_by_one_event(scene: Scene) -> None:
    name = f"recovered-{scene.uid}-1"
    assert await names(scene) == [name]
    assert name in (await scene.condition("Authorized"))["message"]
    await scene.restart()
    await scene.pass_time(DUE)
    (said,) = await messages(scene, "KeptAside")
    assert name in said
    assert await scene.reason() == "Ready"


async def test_it_is_named_still_when_everything_has_been_read_again(scene: Scene) -> None:
    await scene.controller.sweeper.sweep()
    await scene.pass_time(DUE)
    assert f"recovered-{scene.uid}-1" in (await scene.condition("Authorized"))["message"]


@pytest.mark.parametrize("is_missed", [pytest.param(False, id="as the watch tells"), pytest.param(True, id="as a sweep finds")])
async def test_it_is_named_no_more_when_somebody_has_deleted_it(scene: Scene, is_missed: bool) -> None:
    await scene.cluster.delete(SECRETS, OPERATOR_NAMESPACE, f"recovered-{scene.uid}-1")
    if is_missed:
        scene.cluster.take_news()
        await scene.controller.sweeper.sweep()
    await scene.settle()
    assert "message" not in await scene.condition("Authorized") or "recovered" not in (await scene.condition("Authorized"))["message"]


async def test_it_is_revoked_with_its_grant(scene: Scene) -> None:
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert any("token=the-next-refresh-token&" in form for form in scene.provider.revoked)
    assert await names(scene) == []
    (said,) = await messages(scene, "Released")
    assert said == "The tokens were revoked at the authorization server. Tokens that had come second were revoked, too."


async def test_it_is_not_revoked_where_the_tokens_are_retained(scene: Scene) -> None:
    await scene.patch(spec={"revocationPolicy": "Retain"})
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert scene.provider.revoked == []
    assert await names(scene) == []


async def test_one_that_does_not_open_is_kept_and_holds_up_no_deletion(scene: Scene) -> None:
    name = f"recovered-{scene.uid}-1"
    data = {"tokenset": base64.b64encode(b"of another key").decode()}
    await scene.cluster.patch(SECRETS, OPERATOR_NAMESPACE, name, {"data": data})
    await scene.settle()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert await scene.cluster.list(USERGRANTS) == []
    assert await names(scene) == [name]
    (said,) = await messages(scene, "Released")
    assert said.startswith("The tokens were revoked at the authorization server. Tokens that had come second were not revoked")
    assert name in said
