"""Somebody asks for a refresh: it is made once, in one flight with every other, and never at the price of a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from fakes.provider import TOKENS
from fakes.provider import answer as answering
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.core.records import Handled, write_sealed
from grantkeeper.core.refreshing import LONGEST_WISH, REFRESH_ANNOTATION, WISHES_APART
from grantkeeper.core.schedule import SHORTEST
from grantkeeper.errors import AnswerLost, ProviderUnsent, Unreachable
from stories import scene as scenes
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
MOMENT = timedelta(seconds=1)
RETRY = timedelta(minutes=59) - SHORTEST
"""When nothing of use can be lost by presenting a token again whose answer was lost."""
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}
REFUSED = answering({"error": "invalid_grant"}, 400)
REJECTED = answering({"error": "invalid_client"}, 401)
LATER = answering({"error": "temporarily_unavailable"}, 503)
FAILED = answering({"error": "server_error"}, 500)


class Killed(BaseException):
    """SIGKILL: nothing below may catch it."""


async def kill() -> None:
    raise Killed


@pytest.fixture
async def scene() -> Scene:
    scene = await Scene.open_consented()
    await scene.pass_time(SHORTEST)
    scene.provider.answer = NEXT
    return scene


async def wish(scene: Scene, value: str | None) -> None:
    """Set the annotation, as somebody who may change the grant, and let the controller work."""
    await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: value}})
    await scene.settle()


async def handled(scene: Scene) -> str | None:
    return (await scene.status()).get("lastHandledRefresh")


async def said(scene: Scene) -> str:
    return str((await scene.condition("Fresh"))["message"])


async def test_a_wish_is_one_refresh_whatever_happens_afterwards(scene: Scene) -> None:
    generation = (await scene.status())["tokenGeneration"]
    await wish(scene, "now")
    assert await handled(scene) == "now"
    assert (await scene.status())["tokenGeneration"] == generation + 1
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert not await said(scene)
    before = scene.cluster.version
    for pod in ("a-pod", "b-pod"):
        await scene.restart(pod=pod)
        await scene.settle()
        await scene.pass_time(WISHES_APART)
    assert scene.cluster.version == before, "a restart with nothing to do writes nothing"
    assert len(scene.provider.sent) == 1
    await wish(scene, "again")
    assert await handled(scene) == "again"
    assert len(scene.provider.sent) == 2
    await wish(scene, None)
    await scene.pass_time(WISHES_APART)
    assert len(scene.provider.sent) == 2


async def test_a_wish_that_was_made_while_nobody_watched_is_fulfilled(scene: Scene) -> None:
    await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: "now"}})
    scene.cluster.take_news()
    await scene.restart()
    await scene.settle()
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


async def test_the_next_refresh_is_due_as_if_nobody_had_wished(scene: Scene) -> None:
    await wish(scene, "now")
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 2
    assert parse_qs(scene.provider.sent[1])["refresh_token"] == ["the-next-refresh-token"]
    assert await handled(scene) == "now"


async def test_a_status_that_was_lost_is_told_again_and_nothing_is_refreshed_for_it(scene: Scene) -> None:
    await wish(scene, "now")
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"status": None}, subresource="status")
    await scene.settle()
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


@pytest.mark.parametrize("begun_by", ["a due time", "a wish", "a code"])
async def test_a_wish_during_a_flight_is_answered_by_it(begun_by: str) -> None:
    scene = await (Scene.open() if begun_by == "a code" else Scene.open_consented())

    async def ask() -> None:
        scene.provider.meanwhile = None
        await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: "meanwhile"}})
        scene.tell_news()

    scene.provider.meanwhile = ask
    match begun_by:
        case "a code":
            await scene.bring(await scene.asked())
            await scene.settle()
        case "a wish":
            await scene.pass_time(SHORTEST)
            await wish(scene, "before")
        case _:
            await scene.pass_time(DUE)
    await scene.pass_time(2 * WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "meanwhile")


async def test_who_wishes_again_and_again_is_heard_once_a_minute(scene: Scene) -> None:
    for second in range(180):
        await wish(scene, str(second))
        if second == 1:
            assert await handled(scene) == "0"
            assert await said(scene) == "The refresh that is asked for is due at 2026-11-21T06:31:02Z."
            assert (await scene.status())["nextRefreshTime"] == "2026-11-21T06:31:02Z"
            assert scene.wake_at == (scene.now - MOMENT).replace(microsecond=0) + WISHES_APART
            await scene.restart()
        await scene.pass_time(MOMENT)
    assert len(scene.provider.sent) == 4
    await scene.pass_time(WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (4, "179")


async def test_a_routine_refresh_does_not_wait_for_the_minute_of_a_wish(scene: Scene) -> None:
    scene.provider.answer = {**NEXT, "expires_in": 20}
    await wish(scene, "now")
    await wish(scene, "again")
    await scene.pass_time(timedelta(seconds=15))
    assert (len(scene.provider.sent), await handled(scene)) == (2, "again"), "what is due answers it"


# When it does not go well


@pytest.mark.parametrize(
    "failure", [pytest.param(REFUSED, id="refused"), pytest.param(AnswerLost("reset"), id="lost"), pytest.param(FAILED, id="failed")]
)
async def test_what_became_of_the_one_presentation_answers_a_wish(scene: Scene, failure: object) -> None:
    scene.provider.next = [failure]  # type: ignore[list-item]
    await wish(scene, "now")
    assert await handled(scene) == "now"
    for _ in range(3):
        await scene.pass_time(WISHES_APART)
        await scene.restart()
        await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == ("ReauthorizationRequired" if failure is REFUSED else "Ready")


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        pytest.param(ProviderUnsent("refused"), "cannot be reached", id="not sent"),
        pytest.param(LATER, "asks to try again later", id="asked to come back"),
        pytest.param(REJECTED, "rejects the client", id="the client is rejected: the circuit is open"),
    ],
)
async def test_a_wish_that_could_not_be_tried_waits_as_others_do(scene: Scene, failure: object, word: str) -> None:
    scene.provider.next = [failure]  # type: ignore[list-item]
    await wish(scene, "now")
    assert await handled(scene) is None
    assert word in await said(scene)
    assert await scene.reason() == "Ready"
    tried = len(scene.provider.sent)
    await wish(scene, "at once!")
    await scene.restart() if failure is not REJECTED else None  # what was shown of the client is in memory alone
    await scene.settle()
    assert len(scene.provider.sent) == tried, "a new wish does not shorten the wait"
    await scene.pass_time(timedelta(minutes=2))
    assert len(scene.provider.sent) == tried + 1
    assert await handled(scene) == "at once!"
    assert not await said(scene)


async def test_a_wish_while_the_circuit_is_open_makes_no_probe_sooner(scene: Scene) -> None:
    scene.provider.next = [REJECTED] * 9
    for minute in range(8):
        await wish(scene, str(minute))
        await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == 4, "at once, and after 1, 3 and 7 minutes"
    assert await handled(scene) is None


async def test_a_wish_does_not_bring_forward_the_retry_of_a_lost_answer(scene: Scene) -> None:
    scene.provider.next = [AnswerLost("reset")]
    await wish(scene, "now")
    await wish(scene, "at once!")
    await scene.pass_time(RETRY - MOMENT)
    assert len(scene.provider.sent) == 1
    assert "due at 2026-11-21T07:29:00Z" in await said(scene)
    await scene.pass_time(MOMENT)
    assert (len(scene.provider.sent), await handled(scene)) == (2, "at once!")


@pytest.mark.parametrize("is_withdrawn", [pytest.param(False, id="and stays"), pytest.param(True, id="and is taken back")])
@pytest.mark.parametrize("ends", [AnswerLost("reset"), Killed()], ids=["lost", "killed"])
async def test_what_a_wish_has_begun_is_finished_within_the_leeway(scene: Scene, ends: BaseException, is_withdrawn: bool) -> None:
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"refresh": {"leewaySeconds": 60, "rotation": "Strict"}}})
    await scene.settle()

    async def end() -> None:
        scene.provider.meanwhile = None
        raise ends

    scene.provider.meanwhile = end
    try:
        await wish(scene, "now")
    except Killed:
        if is_withdrawn:
            await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: None}})
        await scene.restart()
        await scene.settle()
    await scene.pass_time(timedelta(seconds=5))
    assert len(scene.provider.sent) == 1, "the second presentation, which is the first that arrives here"
    assert await scene.reason() == "Ready"
    assert (await scene.sealed()).claim is None


async def test_a_kill_before_anything_was_known_asks_for_it_once_more(scene: Scene) -> None:
    scene.provider.meanwhile = kill
    with pytest.raises(Killed):
        await wish(scene, "now")
    scene.provider.meanwhile = None
    await scene.restart()
    await scene.settle()
    assert scene.provider.sent == [], "it may be spent"
    assert await handled(scene) is None
    await scene.pass_time(RETRY)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


async def test_a_kill_at_the_commit_makes_no_second_refresh(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SETTINGS", scenes.SETTINGS.model_copy(update={"journal_directory": tmp_path}))
    await scene.restart()
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", kill, concerns=lambda body: "claim" not in body["data"]))
    with pytest.raises(Killed):
        await wish(scene, "now")
    await scene.restart()
    await scene.settle()
    await scene.pass_time(WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


async def test_an_api_server_that_is_away_at_the_commit_makes_no_second_refresh(scene: Scene) -> None:
    lost = Trouble("replace", "secrets/grant-", failing(Unreachable("no answer")), is_late=True, times=2)
    scene.cluster.troubles.append(lost)
    await wish(scene, "now")
    await scene.pass_time(WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


# Refused before


async def refuse(scene: Scene) -> None:
    scene.provider.next = [REFUSED]
    await scene.pass_time(DUE)
    assert await scene.reason() == "ReauthorizationRequired"
    assert len(scene.provider.sent) == 1
    await scene.pass_time(timedelta(seconds=2))  # as after every failure


async def test_a_token_that_was_refused_by_mistake_is_presented_once_more(scene: Scene) -> None:
    await refuse(scene)
    await wish(scene, "now")
    assert (len(scene.provider.sent), await handled(scene)) == (2, "now")
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"


async def test_a_token_that_is_refused_again_is_presented_once_for_each_wish(scene: Scene) -> None:
    await refuse(scene)
    for count in (2, 3):
        scene.provider.next = [REFUSED]
        await wish(scene, str(count))
        for _ in range(3):
            await scene.restart()
            await scene.pass_time(WISHES_APART)
        assert (len(scene.provider.sent), await handled(scene)) == (count, str(count))
        assert await scene.reason() == "ReauthorizationRequired"


@pytest.mark.parametrize("failure", [pytest.param(ProviderUnsent("refused"), id="not sent"), pytest.param(AnswerLost("reset"), id="lost")])
async def test_a_refused_grant_stays_refused_until_it_is_shown_otherwise(scene: Scene, failure: Exception) -> None:
    await refuse(scene)
    scene.provider.next = [failure]
    await wish(scene, "now")
    tried = len(scene.provider.sent)
    assert await scene.reason() == "ReauthorizationRequired"
    assert "consentURL" in await scene.status()
    await wish(scene, None)
    for _ in range(3):
        await scene.restart()
        await scene.pass_time(timedelta(minutes=10))
    assert await scene.reason() == "ReauthorizationRequired"
    assert len(scene.provider.sent) == tried, "nobody asks any more"
    await wish(scene, "again")
    assert (len(scene.provider.sent), await handled(scene)) == (tried + 1, "again")
    assert await scene.reason() == "Ready"


async def test_a_token_that_may_be_spent_is_presented_for_nobody(scene: Scene) -> None:
    scene.provider.next = [AnswerLost("reset"), REFUSED]
    await scene.pass_time(DUE)
    await scene.pass_time(RETRY - DUE)
    assert len(scene.provider.sent) == 2
    await wish(scene, "now")
    await scene.pass_time(WISHES_APART)
    assert len(scene.provider.sent) == 2
    assert "must not be presented again; see Authorized" in await said(scene)
    assert await handled(scene) is None
    await scene.bring(await scene.asked())
    await scene.settle()
    await scene.pass_time(WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (3, "now"), "the consent answers it"


async def test_a_wish_that_another_leader_has_just_answered_is_not_answered_again(scene: Scene) -> None:
    await refuse(scene)

    async def answer_elsewhere() -> None:
        sealed = await scene.sealed()
        await scene.cluster.replace(
            SECRETS, write_sealed(sealed.model_copy(update={"handled": Handled(refresh="now")}), OPERATOR_NAMESPACE)
        )

    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", answer_elsewhere))
    await wish(scene, "now")
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")
    assert await scene.reason() == "ReauthorizationRequired"


# Where nothing can be refreshed


async def test_a_wish_on_what_is_suspended_waits(scene: Scene) -> None:
    await scene.patch(spec={"suspend": True})
    await wish(scene, "now")
    await scene.pass_time(WISHES_APART)
    assert (scene.provider.sent, await handled(scene)) == ([], None)
    assert (await said(scene)).endswith("The refresh that is asked for waits: spec.suspend is true.")
    await scene.patch(spec={"suspend": False})
    await scene.settle()
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


async def close(scene: Scene) -> None:
    await scene.patch_connector(tokenStorage="Disabled")


async def disconnect(scene: Scene) -> None:
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")


async def hide_the_secret(scene: Scene) -> None:
    await scene.patch_connector(clientAuthentication="ClientSecretBasic", clientSecretRef={"name": "not-there"})


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        pytest.param(close, "the connector keeps no tokens.", id="tokens are not kept"),
        pytest.param(disconnect, "see Accepted.", id="the connector is gone"),
        pytest.param(hide_the_secret, "the connector is not ready; see its own status.", id="the client secret is gone"),
    ],
)
async def test_a_wish_waits_and_says_for_what_where(scene: Scene, happens: Callable[[Scene], Awaitable[None]], why: str) -> None:
    await happens(scene)
    await scene.settle()
    await wish(scene, "now")
    await scene.pass_time(WISHES_APART)
    assert (scene.provider.sent, await handled(scene)) == ([], None)
    assert (await said(scene)).endswith(f"The refresh that is asked for waits: {why}")


async def test_a_wish_before_anybody_has_consented_is_answered_by_the_consent() -> None:
    scene = await Scene.open()
    await wish(scene, "now")
    assert "see Authorized" in await said(scene)
    assert await scene.reason() == "AwaitingConsent"
    await scene.bring(await scene.asked())
    await scene.settle()
    await scene.pass_time(WISHES_APART)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "now")


async def test_a_token_that_never_expires_is_refreshed_for_who_asks() -> None:
    scene = await Scene.open()
    scene.provider.answer = {name: value for name, value in TOKENS.items() if name != "expires_in"}
    await scene.bring(await scene.asked())
    await scene.settle()
    await wish(scene, "now")
    assert len(scene.provider.sent) == 1, "it has just come"
    await scene.pass_time(SHORTEST)
    assert (len(scene.provider.sent), await handled(scene)) == (2, "now")
    assert "nextRefreshTime" not in await scene.status()


async def test_a_value_that_status_cannot_show_asks_for_nothing(scene: Scene) -> None:
    await wish(scene, "x" * (LONGEST_WISH + 1))
    assert (scene.provider.sent, await handled(scene)) == ([], None)
    assert (
        await said(scene)
        == "The annotation grantkeeper.dev/refresh asks for nothing: it is longer than 256 characters; set a shorter value."
    )
    await wish(scene, "ü" * LONGEST_WISH)
    assert (len(scene.provider.sent), await handled(scene)) == (1, "ü" * LONGEST_WISH)
    await wish(scene, "")
    await scene.pass_time(WISHES_APART)
    assert len(scene.provider.sent) == 1


async def test_a_grant_that_is_on_its_way_out_is_not_refreshed(scene: Scene) -> None:
    await scene.patch(metadata={"annotations": {REFRESH_ANNOTATION: "now"}})
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert scene.provider.sent == []
    assert scene.controller.registry.grants == {}
