"""Status says what holds, and goes on saying it while something cannot be done."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from fakes.cluster import Object
from fakes.provider import TOKENS, answer
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.controller.running import GRANT
from grantkeeper.core.records import GRANT_ANNOTATION, KIND_LABEL
from grantkeeper.errors import Forbidden
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
SOON = timedelta(seconds=11)
FORBIDDEN = failing(Forbidden("an admission policy says no"))
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


@pytest.fixture
async def scene() -> Scene:
    return await Scene.open_consented()


async def test_a_token_that_cannot_be_refreshed_for_hours_is_said_to_have_expired(scene: Scene) -> None:
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", FORBIDDEN, times=999))
    for _ in range(20):
        await scene.pass_time(timedelta(minutes=10))
    assert await scene.reason() == "Expired"
    assert (await scene.status())["tokenState"] == "Expired"
    assert scene.provider.sent == []
    assert scene.wake_at is not None
    assert timedelta(0) < scene.wake_at - scene.now <= timedelta(seconds=5), "it is tried again, and not at once"
    scene.cluster.troubles.clear()
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1


async def test_a_restart_writes_nothing_about_a_dead_grant_though_it_is_looked_at_before_its_connector(scene: Scene) -> None:
    scene.provider.next.append(answer({"error": "invalid_grant"}, status=400))
    await scene.pass_time(timedelta(hours=2))
    assert await scene.reason() == "ReauthorizationRequired"
    uid = scene.uid
    await scene.restart()
    before = scene.cluster.version
    await scene.controller.keep((GRANT, uid))
    assert scene.cluster.version == before
    assert (await scene.condition("Fresh"))["reason"] == "Expired"


async def test_a_step_that_fails_keeps_no_other_from_being_taken(scene: Scene) -> None:
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", FORBIDDEN, times=999))
    await scene.pass_time(DUE)
    await scene.cluster.patch(SECRETS, NAMESPACE, "alice-token", {"data": {"access_token": base64.b64encode(b"edited").decode()}})
    await scene.settle()
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"


def of_another_version(secret: Object) -> None:
    record = b'{"attempt":"a","holder":{"pod":"p","boot":"b"},"spending":"device_code","hash":"h","generation":1}'
    secret["data"]["claim"] = base64.b64encode(record).decode()


def without_its_annotation(secret: Object) -> None:
    del secret["metadata"]["annotations"][GRANT_ANNOTATION]


def cut_short(secret: Object) -> None:
    secret["data"]["deliveries"] = base64.b64encode(b'{"alice-token":').decode()


def not_base64_of_text(secret: Object) -> None:
    secret["data"]["tokenset"] = base64.b64encode(b"\xff\xfe").decode()


@pytest.mark.parametrize("is_restarted", [pytest.param(False, id="while it runs"), pytest.param(True, id="before it starts")])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(of_another_version, id="holds a record of another version"),
        pytest.param(without_its_annotation, id="has lost its annotation"),
        pytest.param(cut_short, id="is cut short"),
        pytest.param(not_base64_of_text, id="holds bytes that are no text"),
    ],
)
async def test_a_sealed_secret_is_left_as_it_is_when_it(scene: Scene, spoil: object, is_restarted: bool) -> None:
    assert callable(spoil)
    before = await scene.sealed_secret()
    changed = await scene.sealed_secret()
    spoil(changed)
    spoiled = await scene.cluster.replace(SECRETS, changed)
    if is_restarted:
        await scene.restart()
    for _ in range(4):
        await scene.pass_time(DUE)
        assert await scene.reason() == "Unsealable"
        assert await scene.sealed_secret() == spoiled
    assert scene.provider.sent == []
    assert "consentURL" not in await scene.status()
    await scene.cluster.replace(
        SECRETS, {**before, "metadata": {**before["metadata"], "resourceVersion": spoiled["metadata"]["resourceVersion"]}}
    )
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1


async def test_a_sealed_secret_that_cannot_be_read_is_kept_when_its_grant_goes(scene: Scene) -> None:
    changed = await scene.sealed_secret()
    of_another_version(changed)
    spoiled = await scene.cluster.replace(SECRETS, changed)
    await scene.settle()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert await scene.cluster.list(USERGRANTS) == []
    await scene.controller.sweeper.sweep()
    assert await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, spoiled["metadata"]["name"]) == spoiled


async def test_a_sealed_secret_that_could_not_be_read_and_is_gone_is_asked_for_anew(scene: Scene) -> None:
    changed = await scene.sealed_secret()
    of_another_version(changed)
    await scene.cluster.replace(SECRETS, changed)
    await scene.restart()
    await scene.settle()
    assert await scene.reason() == "Unsealable"
    await scene.cluster.delete(SECRETS, OPERATOR_NAMESPACE, changed["metadata"]["name"])
    scene.cluster.take_news()  # the watch misses it
    await scene.controller.sweeper.sweep()
    await scene.settle()
    assert await scene.reason() == "AwaitingConsent"


@pytest.mark.parametrize("is_bound", [pytest.param(True, id="whose uid is recorded"), pytest.param(False, id="whose id alone is recorded")])
@pytest.mark.parametrize("is_writable", [pytest.param(True, id="repaired"), pytest.param(False, id="said not to be writable")])
async def test_a_delivered_secret_of_ours_that_lost_its_label_is_known(scene: Scene, is_bound: bool, is_writable: bool) -> None:
    if is_bound:
        scene.provider.answer = NEXT
        await scene.pass_time(DUE)
    deliveries = (await scene.sealed()).deliveries
    assert (deliveries["alice-token"].uid is not None) is is_bound
    if not is_writable:
        scene.cluster.troubles.append(Trouble("replace", "secrets/alice-token", FORBIDDEN, times=999))
    labelled = await scene.cluster.get(SECRETS, NAMESPACE, "alice-token")
    await scene.cluster.patch(SECRETS, NAMESPACE, "alice-token", {"metadata": {"labels": {KIND_LABEL: None}}})
    scene.cluster.take_news()  # a watch that selects by the label says that it went
    went = {**labelled["metadata"], "resourceVersion": str(scene.cluster.version)}
    scene.controller.take_in("secrets", "DELETED", {**labelled, "metadata": went})
    for _ in range(6):
        await scene.pass_time(SOON)
        assert (await scene.condition("Delivered"))["reason"] == ("Delivered" if is_writable else "WriteFailed")
        assert (await scene.sealed()).deliveries == deliveries
    now = await scene.cluster.get(SECRETS, NAMESPACE, "alice-token")
    assert now["metadata"]["uid"] == labelled["metadata"]["uid"]
    assert (KIND_LABEL in now["metadata"]["labels"]) is is_writable


@pytest.mark.parametrize(
    ("word", "sentence", "connector"),
    [
        pytest.param("invalid_client", "rejects the client; see the connector", "ClientRejected", id="the client"),
        pytest.param("invalid_scope", "rejects the request (invalid_scope)", "Ready", id="the request"),
    ],
)
async def test_a_grant_points_at_its_connector_only_where_that_has_something_to_say(
    scene: Scene, word: str, sentence: str, connector: str
) -> None:
    scene.provider.next.append(answer({"error": word}, status=400))
    await scene.pass_time(DUE)
    assert sentence in (await scene.condition("Fresh"))["message"]
    assert (await scene.connector())["reasons"]["Ready"] == connector
