"""What is known of a server and a client: of this very connector, for as long as it counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import ISSUER, METADATA
from fakes.provider import answer as answering
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import EVENTS, OAUTHCONNECTORS, SECRETS
from grantkeeper.controller.registry import Name
from grantkeeper.controller.running import GRANT
from grantkeeper.errors import ProviderUnsent, Unreachable
from stories.scene import CONNECTOR_BODY, NAMESPACE, Scene

OTHER = "https://login.example.net"
DUE = timedelta(minutes=45)
AWAY = ProviderUnsent("login.example.com accepted no connection")
HOURS = 3


async def put_another_in_its_place(scene: Scene, *, both_are_told: bool) -> None:
    """Delete the connector, and create one of the same name for another server."""
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    if both_are_told:
        scene.tell_news()
    other = {**CONNECTOR_BODY["spec"], "issuer": OTHER, "clientID": "another"}
    await scene.cluster.create(OAUTHCONNECTORS, NAMESPACE, {**CONNECTOR_BODY, "spec": other})
    if not both_are_told:
        scene.cluster.take_news()
        scene.controller.take_in("oauthconnectors", "MODIFIED", await scene.cluster.get(OAUTHCONNECTORS, NAMESPACE, "calendar"))


TOLD = pytest.mark.parametrize("both_are_told", [pytest.param(True, id="both are told"), pytest.param(False, id="the deletion is missed")])


@TOLD
async def test_a_connector_inherits_nothing_of_one_that_bore_its_name(both_are_told: bool) -> None:
    scene = await Scene.open_consented()
    await put_another_in_its_place(scene, both_are_told=both_are_told)
    for _ in range(HOURS):
        await scene.settle()
        connector = await scene.connector()
        assert connector["reasons"]["Ready"] == "DiscoveryFailed"
        assert "server" not in connector, "the other one's endpoints"
        assert await scene.reason() == "ConnectorReplaced"
        scene.hands[0] += timedelta(hours=1)
    assert scene.provider.sent == [], "a token of one client was presented for another"


@TOLD
async def test_a_code_is_not_presented_for_a_connector_that_took_the_place_of_the_one_it_was_asked_by(both_are_told: bool) -> None:
    scene = await Scene.open()
    await scene.bring(await scene.asked())
    await put_another_in_its_place(scene, both_are_told=both_are_told)
    scene.tell_news()
    await scene.controller.keep((GRANT, scene.uid))
    await scene.settle()
    assert scene.provider.sent == []


async def test_a_connector_for_another_server_asks_anew() -> None:
    scene = await Scene.open_consented()
    scene.provider.metadata[OTHER] = {**METADATA, "issuer": OTHER, "authorization_endpoint": f"{OTHER}/authorize"}
    await put_another_in_its_place(scene, both_are_told=True)
    await scene.settle()
    assert (await scene.connector())["server"]["authorizationEndpoint"] == f"{OTHER}/authorize"
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    await scene.bring(await scene.asked(), iss=OTHER)
    await scene.settle()
    assert await scene.reason() == "Ready"


async def test_a_token_endpoint_that_is_away_is_said_though_the_metadata_can_be_had() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [AWAY] * 9
    await scene.pass_time(DUE)
    for _ in range(3):
        assert (await scene.connector())["reasons"] == {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"} | dict.fromkeys(
            ("Reachable", "Ready"), "Unreachable"
        )
        await scene.pass_time(timedelta(seconds=10))
    assert await scene.reason() == "Ready", "the token that is held is still of use"
    scene.provider.next.clear()
    await scene.pass_time(timedelta(seconds=40))
    assert len(scene.provider.sent) == 1
    assert (await scene.connector())["reasons"]["Ready"] == "Ready", "a success clears it"


async def test_when_nobody_is_due_a_problem_is_owned_to_be_of_the_past_and_people_are_asked_again() -> None:
    scene = await Scene.open()
    scene.provider.next = [AWAY] * 9
    await scene.bring(await scene.asked())
    await scene.settle()
    assert (await scene.connector())["reasons"]["Ready"] == "Unreachable"
    assert "consentURL" not in await scene.status()
    scene.provider.next.clear()
    await scene.pass_time(timedelta(seconds=79))
    assert (await scene.connector())["reasons"]["Ready"] == "Unreachable"
    await scene.pass_time(timedelta(seconds=1))
    connector = await scene.connector()
    assert (connector["reasons"]["Reachable"], connector["reasons"]["Ready"]) == ("Pending", "Pending")
    assert {c["status"] for c in connector["conditions"] if c["type"] in {"Reachable", "Ready"}} == {"Unknown"}
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"


async def test_grants_are_woken_when_a_connector_turns_and_not_at_every_failure() -> None:
    scene = await Scene.open_consented()
    turns: list[bool] = []
    connectors = scene.controller.connectors
    connectors.changed = lambda name: turns.append(connectors.standing(name).is_ready)
    scene.provider.next = [AWAY] * 20
    await scene.pass_time(DUE)
    for _ in range(12):
        await scene.pass_time(timedelta(seconds=20))
    assert len(scene.provider.next) < 17, "it must have been tried several times"
    assert turns == [False]
    scene.provider.next.clear()
    for _ in range(4):
        await scene.pass_time(timedelta(seconds=20))
    assert turns == [False, True]


async def test_grants_are_woken_when_a_connector_is_edited_and_not_when_it_is_looked_at_again() -> None:
    scene = await Scene.open_consented()
    woken: list[Name] = []
    scene.controller.connectors.changed = woken.append
    await scene.pass_time(timedelta(minutes=11))
    assert woken == []
    before = (await scene.status())["nextRefreshTime"]
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"refresh": {"lifetimePercent": 50}}})
    await scene.settle()
    assert woken == [(NAMESPACE, "calendar")]
    assert (await scene.status())["nextRefreshTime"] < before


async def told(scene: Scene) -> list[tuple[str, str, str]]:
    """What the Events of the connector say."""
    uid = (await scene.cluster.get(OAUTHCONNECTORS, NAMESPACE, "calendar"))["metadata"]["uid"]
    about = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "OAuthConnector", "namespace": NAMESPACE, "name": "calendar", "uid": uid}
    events = [event for event in await scene.cluster.list(EVENTS, NAMESPACE) if about.items() <= event["involvedObject"].items()]
    return [(event["type"], event["reason"], event["message"]) for event in events]


async def test_a_connector_tells_once_when_it_becomes_ready_or_stops_being_so() -> None:
    scene = await Scene.open_consented()
    ready = ("Normal", "Ready", "Grants can rely on it.")
    assert await told(scene) == [ready]
    for _ in range(3):
        await scene.restart()
        await scene.pass_time(timedelta(minutes=11))
    assert await told(scene) == [ready], "nothing turned"
    scene.provider.next = [answering({"error": "invalid_client"}, 401)]
    await scene.pass_time(DUE)
    await scene.settle()
    said = next(c["message"] for c in (await scene.connector())["conditions"] if c["type"] == "Ready")
    assert await told(scene) == [ready, ("Warning", "ClientRejected", said)]
    await scene.pass_time(timedelta(minutes=1))
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    assert (await told(scene))[2:] == [ready]


async def test_a_connector_tells_of_another_reason_for_not_being_ready() -> None:
    scene = await Scene.open()
    await scene.patch_connector(clientAuthentication="ClientSecretBasic", clientSecretRef={"name": "not-there"})
    await scene.settle()
    await scene.cluster.create(SECRETS, NAMESPACE, {"metadata": {"name": "not-there"}})
    await scene.pass_time(timedelta(seconds=10))
    assert [reason for _, reason, _ in await told(scene)] == ["Ready", "SecretNotFound", "SecretNotOffered"]


async def test_a_connector_whose_event_cannot_be_written_is_kept_all_the_same() -> None:
    scene = await Scene.open_consented()
    scene.cluster.troubles.append(Trouble("create", "events/", failing(Unreachable("no answer")), times=9))
    scene.provider.next = [answering({"error": "invalid_client"}, 401)]
    await scene.pass_time(DUE)
    assert (await scene.connector())["reasons"]["Ready"] == "ClientRejected"
    await scene.pass_time(timedelta(minutes=1))
    assert await scene.reason() == "Ready"


async def test_a_client_that_is_rejected_is_said_until_its_spec_changes() -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({"error": "invalid_client"}, 401)]
    await scene.pass_time(DUE)
    assert (await scene.connector())["reasons"]["Ready"] == "ClientRejected"
    said = next(c["message"] for c in (await scene.connector())["conditions"] if c["type"] == "Reachable")
    mend, _, otherwise = said.partition("If ")
    assert "correct the client secret, spec.clientAuthentication" in mend
    assert "clientID" not in mend, "it cannot be changed"
    assert otherwise == "spec.clientID is wrong, delete this connector and create it anew, since it cannot be changed."
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"scopeSeparator": "Comma"}})
    await scene.settle()
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    assert ISSUER in (await scene.connector())["server"]["authorizationEndpoint"]
