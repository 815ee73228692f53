"""A connector that goes, comes back, becomes another, or changes: its grants lose nothing, and nothing of theirs reaches another server."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from fakes.provider import ISSUER, METADATA
from fakes.provider import answer as answering
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import EVENTS, OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller.connecting import Remembered
from grantkeeper.controller.running import CONNECTOR, GRANT
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem
from grantkeeper.errors import Unreachable
from stories.scene import GRANT_BODY, NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=50)
NEXT = {"access_token": "the-next", "refresh_token": "the-next-one", "token_type": "Bearer", "expires_in": 3600}


async def change(scene: Scene, **spec: Any) -> None:
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": spec})
    await scene.settle()


async def test_a_connector_that_goes_takes_nothing_along() -> None:
    scene = await Scene.open_consented()
    tokenset, token = (await scene.sealed()).tokenset, (await scene.delivered())["data"]
    await scene.disconnect()
    assert await scene.reason() == "ConnectorNotFound"
    assert "create it" in (await scene.condition("Accepted"))["message"]
    await scene.pass_time(timedelta(hours=2))
    assert (await scene.sealed()).tokenset == tokenset
    assert (await scene.delivered())["data"] == token
    assert (await scene.status())["tokenState"] == "Expired"
    assert scene.provider.sent == scene.provider.revoked == []


@pytest.mark.parametrize("is_restarted", [pytest.param(False, id="in one life"), pytest.param(True, id="with a restart in between")])
async def test_one_that_comes_back_goes_on_without_anybody(is_restarted: bool) -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    if is_restarted:
        await scene.restart()
    await scene.pass_time(DUE)
    scene.provider.answer = NEXT
    await scene.connect()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert await scene.request_states() == ["Granted"]


async def test_a_link_that_is_open_when_it_goes_is_open_when_it_comes_back() -> None:
    scene = await Scene.open()
    link = await scene.asked()
    await scene.disconnect()
    assert await scene.reason() == "ConnectorNotFound"
    assert "consentURL" not in await scene.status()
    await scene.connect()
    assert await scene.asked() == link


async def test_a_secret_that_is_deleted_meanwhile_is_said_to_wait_for_the_connector() -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    await scene.cluster.delete(SECRETS, NAMESPACE, "alice-token")
    await scene.settle()
    assert "without the connector: alice-token" in (await scene.condition("Delivered"))["message"]
    await scene.connect()
    assert await scene.delivered()


async def test_a_grant_that_is_deleted_after_its_connector_is_revoked_by_what_is_remembered() -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert {form.partition("&")[0] for form in scene.provider.revoked} == {"token=a-refresh-token", "token=an-access-token"}
    assert (scene.controller.registry.grants, scene.controller.registry.sealed) == ({}, {})


async def test_after_a_restart_nobody_remembers_and_that_is_said() -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    await scene.restart()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert scene.provider.revoked == []
    assert len(await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels="grantkeeper.dev/kind=sealed")) == 1, "nobody else could"
    assert any("were not revoked" in event["message"] for event in await scene.cluster.list(EVENTS))


ENDPOINTS = {"authorization": "https://login.example.com/authorize", "token": "https://login.example.com/token"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"clientID": "another"}, id="another client"),
        pytest.param({"issuer": None, "endpoints": ENDPOINTS}, id="endpoints in the place of the issuer"),
    ],
)
async def test_another_that_bears_its_name_asks_anew_and_presents_nothing_of_the_old(other: dict[str, Any]) -> None:
    scene = await Scene.open_consented()
    old = await scene.delivered()
    await scene.disconnect()
    await scene.connect(**other)
    assert await scene.reason() == "ConnectorReplaced"
    await scene.pass_time(DUE)
    assert (await scene.delivered())["data"] == old["data"], "it lives until it expires, or somebody consents"
    scene.provider.answer = NEXT
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    await scene.pass_time(DUE)
    assert [("the-next-one" in form, "a-refresh-token" in form) for form in scene.provider.sent] == [(False, False), (True, False)]
    assert scene.provider.revoked == []


async def test_the_first_one_again_opens_what_another_left_alone() -> None:
    scene = await Scene.open_consented()
    await scene.disconnect()
    await scene.connect(clientID="another")
    assert await scene.reason() == "ConnectorReplaced"
    await scene.disconnect()
    await scene.connect()
    assert await scene.reason() == "Ready"
    assert scene.provider.sent == []


async def test_fewer_scopes_stop_nothing_that_runs() -> None:
    scene = await Scene.open(scopes=["calendar.read"])
    await scene.bring(await scene.asked())
    await scene.settle()
    await change(scene, scopes=["contacts.read"])
    assert await scene.reason() == "ScopesNotOffered"
    assert "calendar.read" in (await scene.condition("Stalled"))["message"]
    scene.provider.answer = NEXT
    await scene.pass_time(DUE)
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert (await scene.condition("Fresh"))["status"] == "True"
    await change(scene, scopes=["contacts.read", "calendar.read"])
    assert await scene.reason() == "Ready"
    assert await scene.request_states() == ["Granted"]


async def test_grants_may_be_there_before_their_connector() -> None:
    scene = await Scene.open()
    await scene.disconnect()
    await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "early"}})
    await scene.settle()
    await scene.connect()
    early = (await scene.cluster.get(USERGRANTS, NAMESPACE, "early"))["status"]
    assert early["consentURL"]
    assert [c["reason"] for c in early["conditions"] if c["type"] == "Ready"] == ["AwaitingConsent"]


CONFIDENTIAL = {"clientAuthentication": "ClientSecretPost", "clientSecretRef": {"name": "client"}}


def client_secret(value: str = "first", *, key: str = "clientSecret", label: str | None = "calendar") -> dict[str, Any]:
    labels = {"grantkeeper.dev/connector": label} if label else {}
    return {"metadata": {"name": "client", "labels": labels}, "data": {key: base64.b64encode(value.encode()).decode()}}


async def put_secret(scene: Scene, secret: dict[str, Any] | None) -> None:
    """Put the client Secret in the place of the one that is there, and let the controller look again."""
    if [body for body in await scene.cluster.list(SECRETS, NAMESPACE) if body["metadata"]["name"] == "client"]:
        await scene.cluster.delete(SECRETS, NAMESPACE, "client")
    if secret is not None:
        await scene.cluster.create(SECRETS, NAMESPACE, secret)
    await scene.pass_time(timedelta(seconds=10))


async def test_a_client_secret_that_is_wrong_in_every_way_and_then_mended() -> None:
    scene = await Scene.open()
    await scene.disconnect()
    await scene.connect(**CONFIDENTIAL)
    wrong = {
        "SecretNotFound": None,
        "SecretNotOffered": client_secret(label=None),
        "SecretKeyMissing": client_secret(key="another"),
        "SecretInvalid": client_secret("with a newline\n"),
    }
    for reason, secret in wrong.items():
        await put_secret(scene, secret)
        assert (await scene.connector())["reasons"]["Stalled"] == reason
    await put_secret(scene, client_secret())
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"


async def open_confidential() -> Scene:
    """A grant whose token is delivered, of a client with a secret."""
    scene = await Scene.open()
    await scene.disconnect()
    await scene.cluster.create(SECRETS, NAMESPACE, client_secret())
    await scene.connect(**CONFIDENTIAL)
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"
    return scene


async def test_a_client_secret_that_changes_is_used_by_the_next_refresh() -> None:
    scene = await open_confidential()
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("second")["data"]})
    await scene.pass_time(DUE)
    assert ["client_secret=second" in form for form in scene.provider.sent] == [False, True]
    assert await scene.reason() == "Ready"


async def test_a_client_secret_that_changes_right_after_it_was_read_is_found_when_the_old_one_is_rejected() -> None:
    scene = await open_confidential()
    reads: list[datetime] = []

    async def count() -> None:
        reads.append(scene.now)

    scene.cluster.troubles.append(Trouble("get", "secrets/client", count, times=99))
    scene.hands[0] += DUE
    await scene.controller.keep((CONNECTOR, f"{NAMESPACE}/calendar"))
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("second")["data"]})
    scene.provider.next = [answering({"error": "invalid_client"}, 401)]
    await scene.controller.keep((GRANT, scene.uid))
    assert "client_secret=first" in scene.provider.sent[-1]
    assert len(reads) == 1
    await scene.settle()
    assert "client_secret=second" in scene.provider.sent[-1]
    assert len(scene.provider.sent) == 3
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"


async def test_a_client_secret_is_read_anew_after_a_second_and_at_once_when_the_client_is_rejected() -> None:
    scene = await open_confidential()
    name, connectors = (NAMESPACE, "calendar"), scene.controller.connectors

    async def secret() -> str:
        held = (await connectors.client(scene.controller.registry.connectors[name])).client.secret
        return held.get_secret_value() if held is not None else ""

    await scene.pass_time(timedelta(seconds=10))
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("second")["data"]})
    scene.hands[0] += timedelta(seconds=0.9)
    assert await secret() == "first"
    scene.hands[0] += timedelta(seconds=0.1)
    assert await secret() == "second"
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("third")["data"]})
    assert await secret() == "second"
    connectors.note_problem(name, Problem(Reason.CLIENT_REJECTED, "The client is rejected."))
    assert await secret() == "third"


class SlowReads:
    """The client's Secret is read slowly: each read waits until it may go on, and may fail then."""

    def __init__(self, scene: Scene, *, fails: bool = False) -> None:
        self.begun = 0
        self.may_go_on = asyncio.Event()
        self.fails = fails
        scene.cluster.troubles.append(Trouble("get", "secrets/client", self._wait, times=99))

    async def _wait(self) -> None:
        self.begun += 1
        await self.may_go_on.wait()
        if self.fails:
            raise Unreachable("the API server is away")


async def ask_at_once(scene: Scene, count: int) -> list[asyncio.Task[Remembered]]:
    """So many who need the client at the same moment, and wait for its secret by now."""
    calendar = scene.controller.registry.connectors[NAMESPACE, "calendar"]
    asking = [asyncio.create_task(scene.controller.connectors.client(calendar)) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return asking


async def test_those_who_need_a_client_secret_at_once_share_one_read() -> None:
    scene = await open_confidential()
    await scene.pass_time(timedelta(seconds=10))
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("second")["data"]})
    scene.hands[0] += timedelta(seconds=1)
    reads = SlowReads(scene)
    asking = await ask_at_once(scene, 5)
    asking[0].cancel()
    await asyncio.sleep(0)
    reads.may_go_on.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError), "who began the read is cancelled"
    assert [held.client.secret for held in found[1:] if isinstance(held, Remembered)] == [SecretStr("second")] * 4
    assert reads.begun == 1


async def test_a_read_of_a_client_secret_that_fails_does_so_for_all_who_shared_it_and_for_nobody_after_them() -> None:
    scene = await open_confidential()
    await scene.pass_time(timedelta(seconds=10))
    scene.hands[0] += timedelta(seconds=1)
    reads = SlowReads(scene, fails=True)
    asking = await ask_at_once(scene, 3)
    reads.may_go_on.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(error) for error in found] == [Unreachable] * 3
    assert reads.begun == 1
    reads.fails = False
    assert [await held for held in await ask_at_once(scene, 1)]
    assert reads.begun == 2


@pytest.mark.parametrize("is_rejected", [pytest.param(True, id="it was rejected since"), pytest.param(False, id="it began long ago")])
async def test_a_read_of_a_client_secret_that_may_bring_an_old_one_is_not_shared(*, is_rejected: bool) -> None:
    scene = await open_confidential()
    await scene.pass_time(timedelta(seconds=10))
    scene.hands[0] += timedelta(seconds=1)
    reads = SlowReads(scene)
    asking = await ask_at_once(scene, 1)
    if is_rejected:
        scene.controller.connectors.note_problem((NAMESPACE, "calendar"), Problem(Reason.CLIENT_REJECTED, "The client is rejected."))
    else:
        scene.hands[0] += timedelta(seconds=1)
    asking += await ask_at_once(scene, 1)
    reads.may_go_on.set()
    await asyncio.gather(*asking)
    assert reads.begun == 2


async def test_a_slow_read_of_a_client_secret_that_ends_last_brings_no_old_one_back() -> None:
    scene = await open_confidential()
    calendar, connectors = scene.controller.registry.connectors[NAMESPACE, "calendar"], scene.controller.connectors
    await scene.pass_time(timedelta(seconds=10))
    scene.hands[0] += timedelta(seconds=1)
    may_end = asyncio.Event()

    async def wait() -> None:
        await may_end.wait()

    scene.cluster.troubles.append(Trouble("get", "secrets/client", wait, is_late=True))
    slow = (await ask_at_once(scene, 1))[0]
    await scene.cluster.patch(SECRETS, NAMESPACE, "client", {"data": client_secret("second")["data"]})
    scene.hands[0] += timedelta(seconds=1)
    assert (await connectors.client(calendar)).client.secret == SecretStr("second")
    may_end.set()
    await slow
    assert (await connectors.client(calendar)).client.secret == SecretStr("second")


async def test_what_the_spec_or_the_server_says_anew_is_what_a_client_is_made_from() -> None:
    scene = await open_confidential()
    name, connectors = (NAMESPACE, "calendar"), scene.controller.connectors
    before = await connectors.client(scene.controller.registry.connectors[name])
    assert await connectors.client(scene.controller.registry.connectors[name]) is before, "nothing has changed"
    await scene.patch_connector(tokenParameters={"audience": "calendars"})
    scene.tell_news()
    assert (await connectors.client(scene.controller.registry.connectors[name])).client.token_parameters == {"audience": "calendars"}
    scene.provider.metadata[ISSUER] = {**METADATA, "token_endpoint": f"{ISSUER}/tokens"}
    await scene.pass_time(timedelta(minutes=11))
    assert (await connectors.client(scene.controller.registry.connectors[name])).client.endpoints.token == f"{ISSUER}/tokens"


async def test_a_client_secret_that_changed_at_the_server_costs_nothing_while_the_token_lives() -> None:
    scene = await open_confidential()
    scene.provider.next = [answering({"error": "invalid_client"}, 401)] * 9
    await scene.pass_time(DUE)
    assert (await scene.connector())["reasons"]["Ready"] == "ClientRejected"
    assert await scene.reason() == "Ready"
    assert "rejects the client" in (await scene.condition("Fresh"))["message"]
    scene.provider.next.clear()
    scene.provider.answer = NEXT
    await put_secret(scene, client_secret("second"))
    await scene.pass_time(timedelta(minutes=1))
    assert "client_secret=second" in scene.provider.sent[-1]
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"


async def test_a_client_secret_that_goes_is_missed_when_it_is_needed() -> None:
    scene = await open_confidential()
    await put_secret(scene, None)
    await scene.pass_time(DUE)
    assert await scene.reason() == "Ready"
    assert (await scene.connector())["reasons"]["Ready"] == "SecretNotFound"
    await scene.pass_time(timedelta(minutes=11))
    assert await scene.reason() == "ConnectorNotReady"
    await put_secret(scene, client_secret("second"))
    assert await scene.reason() == "Ready"
    assert "client_secret=second" in scene.provider.sent[-1]
