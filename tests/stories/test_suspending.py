"""A grant that is suspended: nothing goes out, nothing is lost, and it goes on where it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import answer as answering
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.errors import NotFound
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=50)


async def suspend(scene: Scene, *, suspended: bool = True) -> None:
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"suspend": suspended}})
    await scene.settle()


async def see_nothing_handed_out(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await scene.delivered()
    status = await scene.status()
    assert "nextRefreshTime" not in status
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions["Fresh"] == ("False", "Suspended")
    assert conditions["Delivered"] == ("Unknown", "Pending")


async def test_what_is_suspended_is_withdrawn_kept_and_delivered_again() -> None:
    scene = await Scene.open_consented()
    sealed, token = (await scene.sealed()).tokenset, (await scene.delivered())["data"]
    await suspend(scene)
    await see_nothing_handed_out(scene)
    assert await scene.reason() == "Suspended"
    assert (await scene.status())["tokenState"] == "Active"
    assert (await scene.sealed()).tokenset == sealed
    await suspend(scene, suspended=False)
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"] == token
    assert scene.provider.sent == [], "it was not due"
    assert scene.provider.revoked == []


@pytest.mark.parametrize("is_restarted", [pytest.param(False, id="in one life"), pytest.param(True, id="with a restart in between")])
async def test_what_fell_due_meanwhile_is_refreshed_at_once_and_not_before(is_restarted: bool) -> None:
    scene = await Scene.open_consented()
    await suspend(scene)
    await scene.pass_time(timedelta(hours=2))
    assert scene.provider.sent == []
    assert (await scene.status())["tokenState"] == "Expired"
    if is_restarted:
        before = scene.cluster.version
        await scene.restart()
        await scene.settle()
        assert scene.cluster.version == before, "a restart wrote"
    await see_nothing_handed_out(scene)
    scene.provider.answer = {**scene.provider.answer, "access_token": "the-next", "refresh_token": "the-next-one"}
    await suspend(scene, suspended=False)
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"


async def test_while_the_controller_was_away() -> None:
    scene = await Scene.open_consented()
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"spec": {"suspend": True}})
    scene.cluster.take_news()
    await scene.restart()
    await scene.settle()
    await see_nothing_handed_out(scene)


async def test_without_its_connector_it_is_withdrawn_all_the_same() -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    assert await scene.delivered()
    await suspend(scene)
    await see_nothing_handed_out(scene)


async def test_somebody_elses_secret_of_that_name_stays() -> None:
    scene = await Scene.open()
    marked = {"name": "alice-token", "labels": {"grantkeeper.dev/kind": "delivered"}}
    theirs = {"metadata": marked, "type": "Opaque", "data": {"access_token": "bWluZQ=="}}
    await scene.cluster.create(SECRETS, NAMESPACE, theirs)
    await scene.bring(await scene.asked())
    await scene.settle()
    await suspend(scene)
    assert (await scene.delivered())["data"] == {"access_token": "mine"}
    assert (await scene.condition("Delivered"))["message"] == "Nothing is handed out while spec.suspend is true."
    assert await scene.reason() == "Suspended"


async def test_an_answer_that_arrives_is_redeemed_and_handed_out_later() -> None:
    scene = await Scene.open()
    link = await scene.asked()
    await suspend(scene)
    assert await scene.asked() == link, "an open request stays"
    await scene.bring(link)
    await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Suspended"
    await see_nothing_handed_out(scene)
    await suspend(scene, suspended=False)
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"


async def test_no_one_is_asked_until_it_goes_on() -> None:
    scene = await Scene.open(suspend=True)
    assert await scene.reason() == "Pending"
    assert "consentRequests" not in await scene.status()
    await suspend(scene, suspended=False)
    await suspend(scene)
    await scene.pass_time(timedelta(days=8))
    assert await scene.request_states() == ["Expired"]
    await suspend(scene, suspended=False)
    assert await scene.request_states() == ["Expired", "Open"]


async def test_a_refused_token_is_not_presented_again_by_suspending() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({"error": "invalid_grant"}, 400)] * 2
    await scene.pass_time(DUE)
    assert await scene.reason() == "ReauthorizationRequired"
    await suspend(scene)
    await scene.pass_time(timedelta(hours=2))
    assert await scene.reason() == "ReauthorizationRequired"
    assert (await scene.status())["tokenState"] == "Inactive"
    assert len(scene.provider.sent) == 1


async def test_it_is_revoked_when_it_is_deleted() -> None:
    scene = await Scene.open_consented()
    await suspend(scene)
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert {form.partition("&")[0] for form in scene.provider.revoked} == {"token=a-refresh-token", "token=an-access-token"}
    assert scene.controller.registry.grants == {}
    assert scene.controller.registry.sealed == {}
