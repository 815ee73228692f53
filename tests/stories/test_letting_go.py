"""A grant that is deleted: its tokens are revoked and nothing of it is left behind, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.troubles import Happening, Trouble, failing
from grantkeeper.adapters.cluster import EVENTS, OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller.agenda import Subject
from grantkeeper.controller.running import GRANT
from grantkeeper.core.records import KIND_LABEL, write_sealed
from grantkeeper.errors import Conflict, Unreachable
from grantkeeper.resources import OAuthConnectorSpec
from stories.scene import CONNECTOR_BODY, GRANT_BODY, NAMESPACE, OPERATOR_NAMESPACE, Scene

SOON = timedelta(seconds=5)


@pytest.fixture
async def scene() -> Scene:
    return await Scene.open_consented()


async def let_go(scene: Scene) -> None:
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()


async def see_nothing_left(scene: Scene) -> None:
    """The tokens are revoked, and neither the grant nor anything that was made for it is there any more."""
    revoked = {form.partition("&")[0] for form in scene.provider.revoked}
    assert revoked == {"token=a-refresh-token", "token=an-access-token"}
    left = [body["metadata"]["name"] for kind in (USERGRANTS, SECRETS) for body in await scene.cluster.list(kind)]
    assert left == ["grantkeeper-keyring"]
    assert scene.controller.registry.grants == {}
    assert scene.controller.registry.sealed == {}


@pytest.mark.parametrize(
    ("happening", "is_late"),
    [
        pytest.param(failing(Unreachable("no answer")), False, id="is not carried out"),
        pytest.param(failing(Unreachable("no answer")), True, id="is carried out, and its answer is lost"),
        pytest.param(failing(Conflict("changed")), False, id="meets a conflict"),
    ],
)
async def test_nothing_outlives_a_grant_though_the_deletion_of_its_tokens(scene: Scene, happening: Happening, is_late: bool) -> None:
    scene.cluster.troubles.append(Trouble("delete", "secrets/grant-", happening, is_late=is_late))
    await let_go(scene)
    await scene.pass_time(SOON)
    await see_nothing_left(scene)


async def test_nothing_outlives_a_grant_though_somebody_edits_its_sealed_secret_meanwhile(scene: Scene) -> None:
    name = (await scene.sealed_secret())["metadata"]["name"]

    async def edit() -> None:
        await scene.cluster.patch(SECRETS, OPERATOR_NAMESPACE, name, {"metadata": {"annotations": {"example.com/seen": "x"}}})

    scene.cluster.troubles.append(Trouble("delete", "secrets/grant-", edit))
    await let_go(scene)
    await scene.pass_time(SOON)
    await see_nothing_left(scene)


async def test_nothing_outlives_a_grant_whose_deletion_cannot_be_finished_for_an_hour(scene: Scene) -> None:
    scene.cluster.troubles.append(Trouble("delete", "secrets/grant-", failing(Unreachable("no answer")), times=999))
    await let_go(scene)
    for _ in range(60):
        assert await scene.cluster.list(USERGRANTS), "the grant must not go before its tokens"
        await scene.pass_time(timedelta(minutes=1))
    scene.cluster.troubles.clear()
    await scene.settle()
    await see_nothing_left(scene)
    assert [event["reason"] for event in await scene.cluster.list(EVENTS) if event["type"] == "Normal"].count("Released") == 1


async def test_after_a_restart_a_grant_is_revoked_though_its_connector_goes_first(scene: Scene) -> None:
    await scene.restart()
    await scene.settle()
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.settle()
    await let_go(scene)
    await see_nothing_left(scene)


async def test_a_grant_that_is_looked_at_before_its_connector_after_a_restart_is_revoked(scene: Scene) -> None:
    uid = scene.uid
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.restart()
    await scene.controller.keep((GRANT, uid))
    await see_nothing_left(scene)


async def test_tokens_that_open_are_not_kept_though_their_server_is_unknown_since_a_restart(scene: Scene) -> None:
    scene.provider.metadata = {}
    await scene.restart()
    await let_go(scene)
    assert [body["metadata"]["name"] for body in await scene.cluster.list(SECRETS)] == ["grantkeeper-keyring"]
    assert any("could not be revoked" in event["message"] for event in await scene.cluster.list(EVENTS))


async def test_tokens_of_one_server_are_not_revoked_at_the_one_that_was_known_before(scene: Scene) -> None:
    """The connector that bears the name now has never been ready since its predecessor was known, and the tokens are its own."""
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.settle()
    other = {**CONNECTOR_BODY["spec"], "issuer": "https://login.example.net", "clientID": "another"}
    connectors = scene.controller.connectors
    known = connectors._remembered[NAMESPACE, "calendar"]  # noqa: SLF001  # what was learned of another server
    connectors._remembered[NAMESPACE, "calendar"] = replace(known, spec=OAuthConnectorSpec.model_validate(other))  # noqa: SLF001
    scene.provider.metadata = {}
    await scene.cluster.create(OAUTHCONNECTORS, NAMESPACE, CONNECTOR_BODY)
    await let_go(scene)
    assert scene.provider.revoked == []
    assert [body["metadata"]["name"] for body in await scene.cluster.list(SECRETS)] == ["grantkeeper-keyring"]


async def test_tokens_that_do_not_open_any_more_are_kept_and_hold_up_no_deletion(scene: Scene) -> None:
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.restart()
    await let_go(scene)
    assert await scene.cluster.list(USERGRANTS) == []
    assert scene.provider.revoked == []
    (kept,) = await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels=f"{KIND_LABEL}=sealed")
    assert "tokenset" in kept["data"]


async def lose_the_connector(scene: Scene) -> None:
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")


async def replace_the_connector(scene: Scene) -> None:
    await lose_the_connector(scene)
    await scene.connect(clientID="another")


async def spoil_the_set(scene: Scene) -> None:
    spoiled = (await scene.sealed()).model_copy(update={"tokenset": "e30.e.e.e.e"})
    await scene.cluster.replace(SECRETS, write_sealed(spoiled, OPERATOR_NAMESPACE))


async def lose_the_client_secret(scene: Scene) -> None:
    await scene.patch_connector(clientAuthentication="ClientSecretBasic", clientSecretRef={"name": "not-there"})


async def lose_the_server(scene: Scene) -> None:
    scene.provider.metadata = {}


KEPT = "They are kept in Secret grant-"


@pytest.mark.parametrize(
    ("happens", "said", "is_kept"),
    [
        pytest.param(lose_the_connector, "without OAuthConnector calendar, which is not there any more.", True, id="the connector"),
        pytest.param(replace_the_connector, "OAuthConnector calendar is not the client that they belong to.", True, id="the client"),
        pytest.param(spoil_the_set, "the sealed set does not open: form.", True, id="the set"),
        pytest.param(lose_the_client_secret, "could not be revoked: the connector was not ready.", False, id="the client secret"),
        pytest.param(lose_the_server, "could not be revoked: the connector was not ready.", False, id="the server"),
    ],
)
async def test_why_nothing_was_revoked_is_said_as_it_is_though_the_controller_was_restarted_without(
    scene: Scene, happens: Callable[[Scene], Awaitable[None]], said: str, is_kept: bool
) -> None:
    await happens(scene)
    await scene.restart()
    await let_go(scene)
    assert scene.provider.revoked == []
    (message,) = [event["message"] for event in await scene.cluster.list(EVENTS) if event["reason"] == "Released"]
    assert said in message
    assert (KEPT in message) is is_kept
    assert len(await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels=f"{KIND_LABEL}=sealed")) == is_kept


async def test_a_namesake_that_is_made_while_the_old_grant_is_looked_at_is_woken_at_once() -> None:
    scene = await Scene.open()
    old, agenda = scene.uid, scene.controller.agenda
    woken: list[Subject] = []

    async def note(subject: Subject) -> None:
        woken.append(subject)

    looking = asyncio.create_task(agenda.run(note))
    await asyncio.sleep(0)
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    made = await scene.cluster.create(USERGRANTS, NAMESPACE, GRANT_BODY)
    scene.hands[0] += timedelta(days=8)
    await scene.controller.keep((GRANT, old))  # its request runs out, which status is to say, and cannot
    woken.clear()
    scene.tell_news()
    for _ in range(9):
        await asyncio.sleep(0)
    looking.cancel()
    assert (GRANT, made["metadata"]["uid"]) in woken
    await scene.settle()
    assert await scene.reason() == "AwaitingConsent"
