"""What a token endpoint, or what stands before it, answers to a refresh: what is made of it, and what is said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.provider import TOKENS
from fakes.provider import answer as answering
from grantkeeper.adapters.cluster import SECRETS
from grantkeeper.core.messages import Answer
from stories.crowd import client_secret
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=45)
LAST_MINUTE = timedelta(minutes=14, seconds=30)
"""From then on until the access token is about to expire."""
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


def page(status: int) -> Answer:
    """A page for people."""
    return Answer(status=status, content_type="text/html", retry_after=None, body=b"<html>This was blocked.</html>", date=None)


@pytest.mark.parametrize("status", [302, 403, 404])
async def test_the_page_of_a_firewall_or_a_gateway_ends_no_consent(status: int) -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [page(status)] * 5
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1, "as long as the access token lives, nothing is risked"
    await scene.pass_time(LAST_MINUTE)
    for _ in range(6):
        await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == 5, "more than a lost answer would be presented again, and less and less often"
    assert "or something in front of it, reports an error" in (await scene.condition("Fresh"))["message"]
    assert (await scene.condition("Authorized"))["reason"] == "Consented"
    scene.provider.answer = NEXT
    await scene.pass_time(timedelta(minutes=10))
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param({"token_type": "DPoP"}, id="a type of token that is not ours to use"),
        pytest.param({"access_token": "two\nlines"}, id="an access token that is none"),
        pytest.param({"access_token": None}, id="no access token"),
        pytest.param({"access_token": "a" * 45_000}, id="an access token that fits into no sealed set"),
    ],
)
async def test_a_refresh_token_that_comes_with_nothing_of_use_is_presented_next(rest: dict[str, object]) -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({**NEXT, **rest})]
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1, "what just failed is not repeated at once"
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"
    assert "without an access token that could be used" in (await scene.condition("Fresh"))["message"]
    assert (await scene.sealed()).claim is None
    scene.provider.answer = {**TOKENS, "access_token": "the-third", "refresh_token": "the-third-refresh-token"}
    await scene.pass_time(timedelta(minutes=1))
    assert "refresh_token=the-next-refresh-token" in scene.provider.sent[1]
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-third"
    assert (await scene.status()).get("failedRefreshes") is None


async def test_answers_that_are_never_of_use_are_asked_for_less_and_less_often() -> None:
    scene = await Scene.open_consented()
    for number in range(24 * 12):
        scene.provider.answer = {**TOKENS, "refresh_token": f"rt-{number}", "token_type": "DPoP"}
        await scene.pass_time(timedelta(minutes=5))
    assert 24 <= len(scene.provider.sent) < 100
    assert len(set(scene.provider.sent)) == len(scene.provider.sent), "none of them is presented twice"


@pytest.mark.parametrize(
    ("word", "said", "logged"),
    [
        pytest.param("invalid_scope", "rejects the request (invalid_scope).", "invalid_scope", id="a word of ours"),
        pytest.param("tenant_paused", "rejects the request; the controller's log names its error.", "tenant_paused", id="a word of theirs"),
        pytest.param("a-refresh-token-1", "the controller's log names its error.", "not shown: 17 characters", id="no word"),
    ],
)
async def test_a_request_that_is_rejected_is_made_less_and_less_often_and_the_error_is_named(
    word: str, said: str, logged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({"error": word, "error_description": "Refresh token expired"}, 400)] * 1000
    await scene.pass_time(DUE)
    assert said in (await scene.condition("Fresh"))["message"]
    assert f"error={logged}" in capsys.readouterr().out.replace("'", "")
    for _ in range(24 * 12):
        await scene.pass_time(timedelta(minutes=5))
    assert 24 <= len(scene.provider.sent) < 100
    assert await scene.reason() == "RefreshFailing"
    assert word not in capsys.readouterr().out or word == logged


async def test_a_restart_brings_forward_no_request_that_was_rejected() -> None:
    scene = await Scene.open_consented()
    await scene.cluster.create(SECRETS, NAMESPACE, client_secret("client", "calendar", "secret"))
    await scene.patch_connector(clientAuthentication="ClientSecretPost", clientSecretRef={"name": "client"})
    await scene.settle()
    scene.provider.next = [answering({"error": "invalid_scope"}, 400)] * 9
    await scene.pass_time(DUE)
    while len(scene.provider.sent) < 5:
        await scene.pass_time(timedelta(minutes=1))
    await scene.restart()
    await scene.settle()
    assert len(scene.provider.sent) == 5, "that its client secret is read for the first time is no change"


@pytest.mark.parametrize(
    ("error", "mends"), [("invalid_scope", "the connector"), ("invalid_scope", "the grant"), ("server_error", "the connector")]
)
async def test_a_request_that_was_rejected_is_made_again_at_once_when_a_spec_changes(error: str, mends: str) -> None:
    scene = await Scene.open_consented()
    scene.provider.next = [answering({"error": error}, 400)] * 9
    await scene.pass_time(DUE)
    while len(scene.provider.sent) < 9:
        await scene.pass_time(timedelta(minutes=5))
    object.__setattr__(scene.controller.keeper.refresher.presenter, "chance", lambda: 0.99)
    await (scene.patch_connector(tokenParameters={"audience": "x"}) if mends == "the connector" else scene.patch(spec={"purpose": "x"}))
    await scene.settle()
    assert len(scene.provider.sent) == 10
    assert await scene.reason() == "Ready"
