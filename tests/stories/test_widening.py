"""Scopes are added and taken away while tokens are held: who is asked, for what, and what stays in use."""

from __future__ import annotations

from datetime import timedelta
from functools import partialmethod
from typing import Any

import pytest

from fakes.provider import TOKENS, MemoryProvider
from grantkeeper.core.requests import SUPERSEDED
from grantkeeper.core.tokens import TokenSet
from stories.scene import Scene

READ, WRITE = "calendar.read", "calendar.write"
ID = "A" * 43


async def consented(link: str = "Status", **answer: Any) -> Scene:
    """Alice has consented to what she was asked for; the connector offers more since. `answer` changes what the server said."""
    provider = MemoryProvider()
    provider.answer = {**TOKENS, **answer}
    scene = await Scene.open(provider, link=link, scopes=[READ])
    if link == "OnRequest":
        await scene.ask_for_link(ID)
        await scene.settle()
    await scene.bring(ID if link == "OnRequest" else await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"
    await scene.patch_connector(scopes=[READ, WRITE])
    await scene.settle()
    provider.answer = TOKENS
    provider.sent.clear()
    return scene


async def shown(scene: Scene) -> dict[str, Any]:
    """What status says of scopes."""
    status = await scene.status()
    return {name: status.get(f"{name}Scopes") for name in ("requested", "granted", "missing")}


async def test_wider_scopes_open_a_link_for_all_of_them_while_the_token_stays() -> None:
    scene = await consented()
    token = (await scene.delivered())["data"]
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    assert await scene.reason() == "Ready"
    authorized = await scene.condition("Authorized")
    assert (authorized["status"], authorized["reason"]) == ("True", "Consented")
    assert f"Still to be consented to: {WRITE}. For that, use the link in status.consentURL." in authorized["message"]
    assert await shown(scene) == {"requested": [READ, WRITE], "granted": [READ], "missing": [WRITE]}
    assert (await scene.delivered())["data"] == token
    await scene.bring(await scene.asked(), code="wider")
    await scene.settle()
    assert await shown(scene) == {"requested": [READ, WRITE], "granted": [READ, WRITE], "missing": None}
    assert not (await scene.condition("Authorized")).get("message")
    assert "consentURL" not in await scene.status()


async def test_the_old_token_is_refreshed_while_a_wider_consent_is_awaited() -> None:
    scene = await consented()
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    scene.provider.answer = {**TOKENS, "access_token": "refreshed"}
    await scene.pass_time(timedelta(minutes=50))
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "refreshed"
    assert (await shown(scene))["missing"] == [WRITE], "an answer without scope keeps the scopes"
    assert len(scene.provider.sent) == 1
    assert "consentURL" in await scene.status(), "what was asked is remembered with the refreshed set"


async def test_with_links_on_request_a_wider_consent_waits_for_somebody_to_ask() -> None:
    scene = await consented(link="OnRequest")
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    assert await scene.request_states() == ["Granted"]
    assert "usergrants/consent" in (await scene.condition("Authorized"))["message"]
    await scene.ask_for_link("B" * 42 + "A")
    await scene.settle()
    assert await scene.request_states() == ["Granted", "Open"]
    assert (await shown(scene))["requested"] == [READ, WRITE]
    assert "link that somebody asked for" in (await scene.condition("Authorized"))["message"]
    await scene.bring("B" * 42 + "A", code="wider")
    await scene.settle()
    assert (await shown(scene))["missing"] is None


async def test_a_wider_default_of_the_connector_asks_where_the_grant_names_no_scopes() -> None:
    scene = await Scene.open_consented()
    await scene.patch_connector(scopes=[READ, WRITE])
    await scene.settle()
    assert (await shown(scene))["missing"] == [WRITE]
    assert await scene.request_states() == ["Granted", "Open"]


async def test_who_denies_the_wider_scopes_keeps_what_was_consented_to() -> None:
    scene = await consented()
    token = (await scene.delivered())["data"]
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    await scene.bring(await scene.asked(), code="", error="access_denied")
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"] == token
    assert await scene.request_states() == ["Granted", "Refused", "Open"]
    assert "ended in ConsentDenied" in (await scene.condition("Authorized"))["message"]
    await scene.pass_time(timedelta(minutes=50))
    assert [form for form in scene.provider.sent if "grant_type=refresh_token" in form], "the old token is not refreshed any more"


@pytest.mark.parametrize("link", ["Status", "OnRequest"])
async def test_what_the_server_grants_below_what_was_asked_is_said_and_not_asked_again(link: str) -> None:
    scene = await consented(link)
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.ask_for_link("B" * 42 + "A")
    await scene.settle()
    scene.provider.answer = {**TOKENS, "scope": READ}
    await scene.bring("B" * 42 + "A")
    await scene.settle()
    asked = await scene.request_states()
    assert "Open" not in asked
    assert await shown(scene) == {"requested": [READ, WRITE], "granted": [READ], "missing": [WRITE]}
    assert not (await scene.condition("Authorized")).get("message"), "that nobody is asked for does not wait for anybody"
    await scene.pass_time(timedelta(minutes=50))
    await scene.restart()
    await scene.settle()
    assert await scene.request_states() == asked
    assert await scene.reason() == "Ready"


async def test_what_the_server_grants_beyond_is_shown_and_asks_nobody_later() -> None:
    scene = await consented(scope=f"{READ} {WRITE}")
    assert await shown(scene) == {"requested": [READ], "granted": [READ, WRITE], "missing": None}
    before = await scene.request_states()
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    assert await scene.request_states() == before
    assert (await shown(scene))["missing"] is None


async def test_narrower_scopes_ask_nobody() -> None:
    scene = await consented(scope=f"{READ} {WRITE}")
    before = await scene.request_states()
    await scene.patch(spec={"scopes": [WRITE]})
    await scene.settle()
    assert await scene.request_states() == before
    assert await shown(scene) == {"requested": [READ], "granted": [READ, WRITE], "missing": None}


async def test_a_widening_that_is_taken_back_takes_its_link_back() -> None:
    scene = await consented()
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    wide = await scene.asked()
    await scene.patch(spec={"scopes": [READ]})
    await scene.settle()
    assert "consentURL" not in await scene.status()
    assert (await scene.status())["consentRequests"][-1]["reason"] == SUPERSEDED
    await scene.bring(wide)
    await scene.settle()
    assert scene.provider.sent == [], "the code of a request for more than is wanted was presented"


async def test_a_wider_request_takes_the_place_of_one_that_nobody_has_answered() -> None:
    scene = await Scene.open(scopes=[READ])
    narrow = await scene.asked()
    await scene.patch_connector(scopes=[READ, WRITE])
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    assert await scene.request_states() == ["Expired", "Open"]
    requests = (await scene.status())["consentRequests"]
    assert (requests[0]["reason"], requests[1]["scopes"]) == (SUPERSEDED, [READ, WRITE])
    assert await scene.asked() != narrow


async def test_a_link_that_was_asked_for_stays_good_until_a_wider_one_opens() -> None:
    scene = await Scene.open(link="OnRequest", scopes=[READ])
    await scene.ask_for_link(ID)
    await scene.settle()
    await scene.patch_connector(scopes=[READ, WRITE])
    await scene.patch(spec={"scopes": [READ, WRITE]})
    await scene.settle()
    assert await scene.request_states() == ["Open"]
    await scene.bring(ID)
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await shown(scene))["missing"] == [WRITE]


async def test_a_set_sealed_before_this_was_kept_is_judged_by_what_was_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open()
    await scene.patch_connector(scopes=[READ, WRITE])
    await scene.settle()
    scene.provider.answer = {**TOKENS, "scope": READ}
    with monkeypatch.context() as before:
        before.setattr(TokenSet, "model_dump_json", partialmethod(TokenSet.model_dump_json, exclude={"asked"}))
        await scene.bring(await scene.asked())
        await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await shown(scene))["missing"] == [WRITE]
    assert (await scene.request_states())[-2:] == ["Granted", "Open"], "that it was asked for is not known, so it is asked for"
