"""A link is opened when somebody asks for one, once, and nobody but them has it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import SecretStr

from grantkeeper.adapters.cluster import OAUTHCONNECTORS
from grantkeeper.controller.requesting import remember
from grantkeeper.core.records import Handled
from grantkeeper.core.requests import CONNECT_ANNOTATION, LIFETIME_ON_REQUEST, SUPERSEDED, WISHES, hash_id
from grantkeeper.errors import NotFound
from stories.scene import NAMESPACE, Scene

MOMENT = timedelta(seconds=1)
ID, ANOTHER = "A" * 43, "B" * 42 + "A"


@pytest.fixture
async def scene() -> Scene:
    return await Scene.open(link="OnRequest")


async def test_nobody_is_asked_before_somebody_asks_for_a_link(scene: Scene) -> None:
    status = await scene.status()
    assert await scene.reason() == "AwaitingConsent"
    assert "usergrants/consent" in (await scene.condition("Ready"))["message"]
    assert "consentRequests" not in status
    assert "sealedSecretName" not in status
    with pytest.raises(NotFound):
        await scene.sealed()


async def test_a_link_becomes_a_token(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.settle()
    status = await scene.status()
    assert [request["hash"] for request in status["consentRequests"]] == [hash_id(SecretStr(ID))]
    assert "consentURL" not in status
    assert ID not in json.dumps(status)
    assert "2026-11-21T06:45:00Z" in (await scene.condition("Ready"))["message"]
    await scene.bring(ID)
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert await scene.request_states() == ["Granted"]


async def test_a_link_lives_a_quarter_of_an_hour_and_none_follows(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.settle()
    assert scene.wake_at == scene.now.replace(microsecond=0) + LIFETIME_ON_REQUEST
    await scene.pass_time(LIFETIME_ON_REQUEST - MOMENT)
    assert await scene.request_states() == ["Open"]
    await scene.pass_time(MOMENT)
    assert await scene.request_states() == ["Expired"]
    assert "Nobody is being asked" in (await scene.condition("Ready"))["message"]
    await scene.bring(ID)
    await scene.settle()
    assert scene.provider.sent == [], "the code of an expired request was presented"
    await scene.ask_for_link(ANOTHER)
    await scene.settle()
    assert await scene.request_states() == ["Expired", "Open"]


async def test_a_restart_opens_nothing_again(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.settle()
    await scene.pass_time(LIFETIME_ON_REQUEST)
    writes = scene.cluster.version
    await scene.restart()
    await scene.settle()
    assert await scene.request_states() == ["Expired"]
    assert scene.cluster.version == writes


async def test_a_link_that_fell_out_of_the_eight_is_never_opened_again(scene: Scene) -> None:
    ids = [f"{number:02d}{'A' * 41}" for number in range(10)]
    for request_id in ids:
        await scene.ask_for_link(request_id)
        await scene.settle()
    hashes = [hash_id(SecretStr(request_id)) for request_id in ids]
    assert [request["hash"] for request in (await scene.status())["consentRequests"]] == hashes[2:]
    await scene.bring(ids[9])
    await scene.settle()
    for again in (ids[0], ids[5]):
        await scene.ask_for_link(again)
        await scene.restart()
        await scene.settle()
    assert [request["hash"] for request in (await scene.status())["consentRequests"]] == hashes[2:]


def test_what_was_handled_is_remembered_as_long_as_there_is_room() -> None:
    handled: Handled | None = None
    for number in range(WISHES + 1):
        handled = remember(handled, str(number))
    assert handled is not None
    assert handled.connect == tuple(str(number) for number in range(1, WISHES + 1))


async def test_what_is_no_hash_asks_for_nothing(scene: Scene) -> None:
    await scene.patch(metadata={"annotations": {CONNECT_ANNOTATION: "please"}})
    await scene.settle()
    assert "consentRequests" not in await scene.status()


async def test_a_wish_waits_for_the_connector() -> None:
    scene = await Scene.open(link="OnRequest", scopes=["calendar.read", "calendar.write"])
    await scene.ask_for_link(ID)
    await scene.settle()
    assert await scene.reason() == "ScopesNotOffered"
    assert "consentRequests" not in await scene.status()
    await scene.patch_connector(scopes=["calendar.read", "calendar.write"])
    await scene.settle()
    (request,) = (await scene.status())["consentRequests"]
    assert (request["state"], request["expirationTime"]) == ("Open", "2026-11-21T06:45:00Z")


async def test_three_wrong_answers_spend_a_link_and_none_follows(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.settle()
    for number in (1, 2, 3):
        await scene.bring(ID, number=number, iss="https://login.example.net")
        await scene.settle()
    assert await scene.request_states() == ["Refused"]
    assert await scene.reason() == "ExchangeFailed"
    assert "usergrants/consent" in (await scene.condition("Ready"))["message"]


async def test_who_denies_is_not_asked_again(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.settle()
    await scene.bring(ID, code="", error="access_denied")
    await scene.settle()
    assert await scene.request_states() == ["Refused"]
    assert await scene.reason() == "ConsentDenied"


@pytest.mark.parametrize("link", ["OnRequest", "Status"])
async def test_somebody_consents_anew_where_consent_is_held(link: str) -> None:
    scene = await Scene.open(link=link)
    await scene.ask_for_link(ID)
    await scene.settle()
    await scene.bring(ID)
    await scene.settle()
    assert await scene.reason() == "Ready"
    await scene.ask_for_link(ANOTHER)
    await scene.settle()
    assert await scene.reason() == "Ready"
    before = (await scene.status())["tokenGeneration"]
    await scene.bring(ANOTHER, code="anew")
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await scene.status())["tokenGeneration"] == before + 1


async def test_where_links_are_shown_one_stays_in_status_beside_somebodys_own() -> None:
    scene = await Scene.open()
    shown = await scene.asked()
    await scene.ask_for_link(ID)
    await scene.settle()
    assert await scene.request_states() == ["Open", "Open"]
    assert await scene.asked() == shown


async def test_a_link_that_was_shown_is_withdrawn_when_links_are_to_be_kept_out_of_status() -> None:
    scene = await Scene.open()
    shown = await scene.asked()
    await scene.patch_connector(consent={"link": "OnRequest"})
    await scene.settle()
    (request,) = (await scene.status())["consentRequests"]
    assert (request["state"], request["reason"]) == ("Expired", SUPERSEDED)
    assert "consentURL" not in await scene.status()
    await scene.bring(shown)
    await scene.settle()
    assert scene.provider.sent == []


async def test_nothing_that_was_asked_for_is_opened_while_the_grant_is_on_its_way_out(scene: Scene) -> None:
    await scene.ask_for_link(ID)
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.settle()
    assert await scene.reason() == "ConnectorNotFound"
    assert "consentRequests" not in await scene.status()


async def test_the_hash_of_a_request_that_is_there_opens_no_second_one() -> None:
    scene = await Scene.open()
    shown = await scene.asked()
    await scene.ask_for_link(shown)
    await scene.settle()
    assert await scene.request_states() == ["Open"]
    assert await scene.asked() == shown
