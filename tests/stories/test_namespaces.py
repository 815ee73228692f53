"""A connector of another namespace: admitted, cut off, and admitted again; and namespaces whose grants are not kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fakes.provider import MemoryProvider
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.controller.agenda import Agenda, Subject
from grantkeeper.controller.running import GRANT
from grantkeeper.errors import Forbidden
from stories.scene import CONNECTOR_BODY, EXTERNAL_URL, GRANT_BODY, NAMESPACE, OPERATOR_NAMESPACE, SETTINGS, Scene

PLATFORM = "platform"
REPORTS = {"from": "Selector", "selector": {"matchLabels": {"team": "reports"}}}


async def open_across(allowed: dict[str, Any] | None = None, **labels: str) -> Scene:
    """The connector `platform/calendar`, which the grant `team-a/alice` names; the namespace of the grant bears these labels."""
    scene = await Scene.open(connectorRef={"name": "calendar", "namespace": PLATFORM})
    assert (await scene.condition("Accepted"))["reason"] == "ConnectorNotFound"
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.cluster.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE, "labels": labels}})
    spec = {**CONNECTOR_BODY["spec"], **({"allowedNamespaces": allowed} if allowed else {})}
    await scene.cluster.create(OAUTHCONNECTORS, PLATFORM, {**CONNECTOR_BODY, "spec": spec})
    await scene.settle()
    return scene


async def open_consented_across() -> Scene:
    """The same, with a selector that fits, a consent and a delivered token."""
    scene = await open_across(REPORTS, team="reports")
    await scene.bring(await scene.asked(), namespace=PLATFORM)
    await scene.settle()
    assert await scene.reason() == "Ready"
    scene.provider.sent.clear()
    return scene


async def label(scene: Scene, **labels: str | None) -> None:
    await scene.cluster.patch(NAMESPACES, None, NAMESPACE, {"metadata": {"labels": labels}})
    await scene.settle()


async def admit(scene: Scene, allowed: dict[str, Any]) -> None:
    await scene.cluster.patch(OAUTHCONNECTORS, PLATFORM, "calendar", {"spec": {"allowedNamespaces": {"selector": None, **allowed}}})
    await scene.settle()


async def delivered_names(scene: Scene) -> list[str]:
    return [secret["metadata"]["name"] for secret in await scene.cluster.list(SECRETS, NAMESPACE)]


async def test_a_connector_of_another_namespace_serves_whom_it_admits() -> None:
    scene = await open_consented_across()
    (connector,) = await scene.cluster.list(OAUTHCONNECTORS)
    assert connector["status"]["redirectURI"] == f"{EXTERNAL_URL}/callback/platform/calendar"
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"
    assert await scene.cluster.list(SECRETS, PLATFORM) == []


@pytest.mark.parametrize(
    ("allowed", "labels"),
    [
        pytest.param(None, {}, id="nothing is said"),
        pytest.param({"from": "Same"}, {}, id="its own namespace only"),
        pytest.param(REPORTS, {"team": "sales"}, id="other labels"),
    ],
)
async def test_a_connector_that_does_not_admit_is_asked_for_nothing(allowed: dict[str, Any] | None, labels: dict[str, str]) -> None:
    scene = await open_across(allowed, **labels)
    assert await scene.reason() == "NamespaceNotAllowed"
    assert (await scene.condition("Stalled"))["reason"] == "NamespaceNotAllowed"
    assert "consentURL" not in await scene.status()
    assert "consentRequests" not in await scene.status()


async def test_a_label_or_the_connector_admits_and_refuses_at_once() -> None:
    scene = await open_across(REPORTS)
    for change, reason in (
        (label(scene, team="reports"), "AwaitingConsent"),
        (label(scene, team="sales"), "NamespaceNotAllowed"),
        (admit(scene, {"from": "All"}), "AwaitingConsent"),
        (admit(scene, {"from": "Same"}), "NamespaceNotAllowed"),
        (admit(scene, REPORTS), "NamespaceNotAllowed"),
        (label(scene, team="reports"), "AwaitingConsent"),
        (label(scene, team=None), "NamespaceNotAllowed"),
    ):
        await change
        assert await scene.reason() == reason


async def test_grants_are_woken_by_what_decides_admission_and_by_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_across(REPORTS, team="reports")
    woken: list[Subject] = []
    monkeypatch.setattr(Agenda, "wake", lambda _, subject: woken.append(subject))
    subject = (GRANT, scene.uid)
    for kind, place, name, patch, expected in (
        (NAMESPACES, None, NAMESPACE, {"metadata": {"annotations": {"example.com/seen": "x"}}}, []),
        (NAMESPACES, None, NAMESPACE, {"metadata": {"labels": {"team": "sales"}}}, [subject]),
        (NAMESPACES, None, "kube-system", {"metadata": {"labels": {"team": "sales"}}}, []),
        (OAUTHCONNECTORS, PLATFORM, "calendar", {"metadata": {"annotations": {"example.com/seen": "x"}}}, []),
        (OAUTHCONNECTORS, PLATFORM, "calendar", {"spec": {"allowedNamespaces": {"from": "All"}}}, [subject]),
    ):
        woken.clear()
        await scene.cluster.patch(kind, place, name, patch)
        scene.tell_news()
        assert [kind_and_key for kind_and_key in woken if kind_and_key[0] == GRANT] == expected


async def test_one_that_is_admitted_no_more_is_cut_off_and_keeps_what_is_sealed() -> None:
    scene = await open_consented_across()
    sealed = (await scene.sealed()).tokenset
    await label(scene, team="sales")
    status = await scene.status()
    assert await delivered_names(scene) == []
    assert "nextRefreshTime" not in status
    await scene.pass_time(timedelta(hours=2))
    assert scene.provider.sent == []
    assert (await scene.sealed()).tokenset == sealed
    assert (await scene.condition("Fresh"))["reason"] == "Expired"
    assert await delivered_names(scene) == []


async def test_one_that_is_admitted_again_goes_on_without_another_consent() -> None:
    scene = await open_consented_across()
    await label(scene, team="sales")
    await label(scene, team="reports")
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"
    assert scene.provider.sent == []
    await label(scene, team="sales")
    await scene.pass_time(timedelta(hours=2))
    await label(scene, team="reports")
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1, "it is refreshed, once"
    assert (await scene.status())["tokenState"] == "Active"


async def test_an_answer_waits_and_its_link_is_not_shown_while_the_grant_is_not_admitted() -> None:
    scene = await open_across(REPORTS, team="reports")
    asked = await scene.asked()
    await label(scene, team="sales")
    await scene.bring(asked, namespace=PLATFORM)
    await scene.settle()
    assert scene.provider.sent == []
    assert len(await scene.answers()) == 1
    assert "consentURL" not in await scene.status()
    assert (await scene.condition("Authorized"))["message"] == "No one is asked: see Accepted."
    await label(scene, team="reports")
    assert await scene.reason() == "Ready"
    assert await scene.answers() == {}


async def test_one_that_is_not_admitted_is_revoked_when_it_is_deleted() -> None:
    scene = await open_consented_across()
    await label(scene, team="sales")
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert {form.partition("&")[0] for form in scene.provider.revoked} == {"token=a-refresh-token", "token=an-access-token"}
    assert await scene.cluster.list(USERGRANTS) == []


async def test_after_a_restart_labels_are_known_before_anything_is_done() -> None:
    scene = await open_consented_across()
    await scene.restart()
    before = scene.cluster.version
    await scene.settle()
    assert scene.cluster.version == before


async def test_labels_that_are_not_known_yet_cut_nobody_off() -> None:
    scene = await open_consented_across()
    scene.controller.registry.namespaces.clear()
    await scene.settle()
    assert (await scene.condition("Accepted"))["status"] == "Unknown"
    assert await delivered_names(scene) == ["alice-token"]


async def test_the_code_is_sent_with_the_redirect_uri_of_the_connectors_namespace() -> None:
    scene = await open_across({"from": "All"})
    await scene.bring(await scene.asked())  # as if the connector were in the grant's namespace
    await scene.settle()
    assert scene.provider.sent == []
    await scene.bring(await scene.asked(), number=2, namespace=PLATFORM)
    await scene.settle()
    (sent,) = scene.provider.sent
    assert "callback%2Fplatform%2Fcalendar" in sent


# Listed namespaces


async def open_listed(*listed: str) -> Scene:
    """A consented grant, and a controller that now keeps these namespaces only."""
    scene = await Scene.open_consented()
    await scene.cluster.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
    await list_namespaces(scene, *listed)
    return scene


async def list_namespaces(scene: Scene, *listed: str) -> None:
    await scene.restart(settings=SETTINGS.model_copy(update={"watch_namespaces": listed}))
    await scene.settle()


async def test_a_listed_namespace_is_kept_as_before() -> None:
    scene = await open_listed("team-b")
    await list_namespaces(scene, NAMESPACE)
    before = scene.cluster.version
    await list_namespaces(scene, NAMESPACE)
    assert scene.cluster.version == before, "a restart with nothing to do writes nothing"
    assert await scene.reason() == "Ready"
    await scene.pass_time(timedelta(hours=2))
    assert len(scene.provider.sent) == 1


async def test_a_namespace_that_leaves_the_list_is_left_alone_and_said() -> None:
    scene = await open_listed("team-b")
    accepted = await scene.condition("Accepted")
    assert (accepted["status"], accepted["reason"]) == ("Unknown", "Pending")
    assert "watch.namespaces" in accepted["message"]
    await scene.pass_time(timedelta(hours=2))
    assert scene.provider.sent == []
    assert await delivered_names(scene) == ["alice-token"]
    assert (await scene.status())["tokenState"] == "Expired"
    await list_namespaces(scene, "team-b", NAMESPACE)
    assert await scene.reason() == "Ready"


async def test_a_grant_outside_the_list_is_released_when_it_is_deleted() -> None:
    scene = await open_listed("team-b")
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert await scene.cluster.list(USERGRANTS) == []
    assert len(scene.provider.revoked) == 2


async def test_a_grant_outside_the_list_gets_nothing() -> None:
    scene = await Scene.open()
    await list_namespaces(scene, "team-b")
    await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "bob"}})
    await scene.settle()
    bob = await scene.cluster.get(USERGRANTS, NAMESPACE, "bob")
    assert "consentRequests" not in bob["status"]
    assert "consentURL" not in await scene.status(), "nobody shall follow a link whose answer is not redeemed"


async def test_a_namespace_that_cannot_be_read_holds_up_no_other() -> None:
    scene = await open_listed(NAMESPACE, "team-b", "team-c")
    await scene.cluster.create(NAMESPACES, None, {"metadata": {"name": "team-b"}})
    await scene.cluster.create(NAMESPACES, None, {"metadata": {"name": "team-d"}})
    scene.tell_news()
    sweeper = scene.controller.sweeper
    scene.cluster.forbidden.add("team-b")
    assert await sweeper.sweep() == {NAMESPACE}
    assert not await sweeper.may_read_more(frozenset({NAMESPACE}))
    scene.cluster.forbidden.clear()
    assert await sweeper.may_read_more(frozenset({NAMESPACE}))
    assert await sweeper.sweep() == {NAMESPACE, "team-b"}
    assert await scene.reason() == "Ready"


async def test_a_client_secret_that_may_not_be_read_says_who_can_help() -> None:
    scene = await Scene.open(MemoryProvider())
    confidential = {**CONNECTOR_BODY["spec"], "clientAuthentication": "ClientSecretBasic", "clientSecretRef": {"name": "client"}}
    scene.cluster.troubles.append(Trouble("get", "secrets/client", failing(Forbidden("no")), times=99))
    await scene.cluster.create(OAUTHCONNECTORS, "team-b", {"metadata": {"name": "mail"}, "spec": confidential})
    await scene.settle()
    conditions = (await scene.cluster.get(OAUTHCONNECTORS, "team-b", "mail"))["status"]["conditions"]
    resolved = next(condition for condition in conditions if condition["type"] == "ResolvedRefs")
    assert resolved["reason"] == "SecretNotOffered"
    assert "watch.namespaces" in resolved["message"]


async def test_the_operators_own_namespace_needs_no_entry() -> None:
    scene = await open_listed("team-b")
    await scene.cluster.create(USERGRANTS, OPERATOR_NAMESPACE, {**GRANT_BODY, "metadata": {"name": "own"}})
    await scene.settle()
    conditions = (await scene.cluster.get(USERGRANTS, OPERATOR_NAMESPACE, "own"))["status"]["conditions"]
    assert next(c["reason"] for c in conditions if c["type"] == "Accepted") == "ConnectorNotFound"
