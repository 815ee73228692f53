"""What a connector says of rotation, and what refreshes show of it: how a lost answer is met then."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.provider import TOKENS
from fakes.provider import answer as answering
from grantkeeper.adapters.cluster import EVENTS, OAUTHCONNECTORS
from grantkeeper.core.records import Claim
from grantkeeper.errors import AnswerLost
from stories.scene import NAMESPACE, Scene

DUE = timedelta(minutes=45)
LAST_MINUTE = timedelta(minutes=14, seconds=30)
"""From then on until the access token is about to expire."""
LOST = AnswerLost("reset")
CONSENTED = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
STAYS = {name: value for name, value in TOKENS.items() if name != "refresh_token"}


async def open_with(refresh: dict[str, Any]) -> Scene:
    scene = await Scene.open_consented()
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"refresh": refresh}})
    await scene.settle()
    return scene


async def refresh_times(scene: Scene, times: int) -> None:
    for _ in range(times):
        await scene.pass_time(DUE)


@pytest.mark.parametrize("seen", [pytest.param(0, id="nothing seen yet"), pytest.param(1, id="kept once")])
async def test_while_it_is_not_known_to_stay_a_lost_answer_is_waited_with(seen: int) -> None:
    scene = await open_with({})
    scene.provider.answer = STAYS
    await refresh_times(scene, seen)
    scene.provider.next = [LOST]
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == seen + 1
    claim = (await scene.sealed()).claim
    assert claim is not None
    assert claim.lost


async def test_one_that_was_kept_twice_is_presented_without_a_claim_and_its_lost_answer_is_waited_with_all_the_same() -> None:
    """Some servers rotate only towards the end of a refresh token's life: this may have been the first time."""
    scene = await open_with({})
    scene.provider.answer = STAYS
    await refresh_times(scene, 2)
    claims: list[Claim | None] = []

    async def look() -> None:
        claims.append((await scene.sealed()).claim)

    scene.provider.meanwhile = look
    scene.provider.next = [LOST, answering({"error": "server_error"}, 500)]
    await scene.pass_time(DUE)
    assert claims == [None], "it is not presented again at once"
    await scene.pass_time(LAST_MINUTE)
    assert [claim and claim.presentations for claim in claims] == [None, 2]
    await scene.pass_time(timedelta(minutes=1))
    assert [claim and claim.presentations for claim in claims] == [None, 2, 2], "what the server reports does not count"
    assert await scene.reason() == "Ready"
    assert (await scene.sealed()).claim is None
    await scene.pass_time(DUE)
    assert claims[3:] == [None], "and then it goes on as before"


async def test_one_that_was_kept_twice_is_asked_about_after_two_lost_answers() -> None:
    scene = await open_with({})
    scene.provider.answer = STAYS
    await refresh_times(scene, 2)
    scene.provider.next = [LOST] * 99
    await scene.pass_time(DUE)
    for _ in range(10):
        await scene.pass_time(timedelta(minutes=2))
    assert len(scene.provider.sent) == 4
    assert await scene.reason() == "ReauthorizationRequired"


async def test_one_that_is_said_to_stay_is_presented_again_at_once() -> None:
    scene = await open_with({"rotation": "None"})
    scene.provider.next = [LOST, LOST, LOST]
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 2, "the first is asked for again at once"
    for _ in range(3):
        await scene.pass_time(timedelta(seconds=5))
    assert len(scene.provider.sent) == 4
    assert (await scene.sealed()).claim is None
    assert await scene.reason() == "Ready"
    assert (await scene.status()).get("failedRefreshes") is None


async def test_one_that_is_said_to_stay_needs_no_claim_from_the_first_refresh_on() -> None:
    scene = await open_with({"rotation": "None"})
    writes = scene.cluster.version
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 1
    assert scene.cluster.version - writes == 3, "sealed, delivered, status"


async def test_one_that_is_said_to_be_spent_is_claimed_whatever_was_seen() -> None:
    scene = await open_with({"rotation": "Strict"})
    scene.provider.answer = STAYS
    await refresh_times(scene, 5)
    writes = scene.cluster.version
    await scene.pass_time(DUE)
    assert scene.cluster.version - writes == 4, "claim, sealed, delivered, status"


async def test_a_server_that_begins_to_rotate_is_believed_at_once() -> None:
    scene = await open_with({})
    scene.provider.answer = STAYS
    await refresh_times(scene, 3)
    scene.provider.answer = TOKENS | {"refresh_token": "another"}
    await scene.pass_time(DUE)
    scene.provider.next = [LOST]
    await scene.pass_time(DUE)
    claim = (await scene.sealed()).claim
    assert claim is not None
    assert claim.lost


async def test_within_a_leeway_a_lost_answer_is_asked_for_again_at_once() -> None:
    scene = await open_with({"rotation": "Strict", "leewaySeconds": 30})
    scene.provider.next = [LOST, LOST]
    await scene.pass_time(DUE)
    assert len(scene.provider.sent) == 2
    await scene.pass_time(timedelta(seconds=4))
    assert len(scene.provider.sent) == 3
    assert await scene.reason() == "Ready"
    assert (await scene.sealed()).claim is None


async def test_after_the_leeway_it_is_risked_once_more_right_before_the_end_and_never_again() -> None:
    scene = await open_with({"rotation": "Strict", "leewaySeconds": 30})
    scene.provider.next = [LOST] * 99
    await scene.pass_time(DUE)
    for _ in range(7):
        await scene.pass_time(timedelta(seconds=4))
    within = len(scene.provider.sent)
    assert 3 <= within <= 6
    for _ in range(20):
        await scene.pass_time(timedelta(seconds=10))
    assert len(scene.provider.sent) == within, "the leeway is over"
    for _ in range(20):
        await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == within + 1
    assert await scene.reason() == "ReauthorizationRequired"


async def test_a_restart_within_the_leeway_goes_on_at_once() -> None:
    scene = await open_with({"rotation": "Strict", "leewaySeconds": 60})
    scene.provider.next = [LOST, LOST]
    await scene.pass_time(DUE)
    await scene.restart()
    await scene.pass_time(timedelta(seconds=5))
    assert len(scene.provider.sent) == 3
    assert await scene.reason() == "Ready"


async def test_a_refusal_of_one_that_stays_ends_the_consent_as_any_other() -> None:
    scene = await open_with({"rotation": "None"})
    scene.provider.next = [answering({"error": "invalid_grant"}, 400)]
    await scene.pass_time(DUE)
    await scene.pass_time(DUE)
    assert await scene.reason() == "ReauthorizationRequired"
    assert len(scene.provider.sent) == 1


async def test_the_end_of_a_refresh_token_that_is_renewed_is_not_waited_for() -> None:
    scene = await open_with({"refreshTokenLifetimeSeconds": 600})
    for number in range(4):
        scene.provider.answer = {**TOKENS, "refresh_token": f"rt-{number}", "expires_in": 3600}
        await scene.pass_time(DUE if number == 0 else timedelta(minutes=8))
        assert len(scene.provider.sent) == number + 1
    assert "refreshTokenExpirationTime" in await scene.status()
    assert (await scene.condition("Fresh"))["message"] == ""


async def test_a_refresh_token_that_stays_is_said_to_end_a_week_and_a_day_ahead() -> None:
    scene = await Scene.open()
    scene.provider.answer = {**TOKENS, "refresh_token_expires_in": 30 * 86400, "expires_in": 86400}
    await scene.bring(await scene.asked())
    await scene.settle()
    scene.provider.answer = {**STAYS, "expires_in": 86400}
    said: list[str] = []
    for _ in range(60):
        await scene.pass_time(timedelta(hours=12))
        events = await scene.cluster.list(EVENTS, NAMESPACE)
        said = [str(event["message"]) for event in events if event["reason"] == "RefreshTokenExpires"]
        if scene.now > CONSENTED + timedelta(days=30, hours=6):
            break
    assert [re.split(", | at ", message)[0] for message in said] == [
        "The refresh token expires within a week",
        "The refresh token expires within a day",
        "The refresh token expired",
    ]
    assert said[2] in (await scene.condition("Fresh"))["message"]
    assert await scene.reason() == "Ready"


async def test_zero_is_no_lifetime_of_a_refresh_token() -> None:
    scene = await Scene.open()
    scene.provider.answer = {**TOKENS, "refresh_expires_in": 0}
    await scene.bring(await scene.asked())
    await scene.settle()
    assert "refreshTokenExpirationTime" not in await scene.status()
