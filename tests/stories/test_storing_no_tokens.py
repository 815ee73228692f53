"""A connector that keeps no tokens: an account is connected, nothing that could be used stays, and nothing that is held is lost."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from fakes.provider import ISSUER, MemoryProvider
from fakes.provider import answer as answering
from fakes.troubles import Trouble
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.core.records import Sealed
from grantkeeper.errors import NotFound
from stories.scene import GRANT_BODY, NAMESPACE, OPERATOR_NAMESPACE, Scene
from stories.test_accounts import FIRST, consent, openid
from stories.test_claims import Killed, kill


async def store(scene: Scene, storage: str) -> None:
    """Switch the connector."""
    await scene.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": {"tokenStorage": storage}})
    await scene.settle()


async def open_unkept(provider: MemoryProvider | None = None, **spec: Any) -> Scene:
    """A grant of a connector that keeps no tokens, which somebody has been asked for."""
    scene = await Scene.open(provider or openid(), **spec)
    await store(scene, "Disabled")
    assert (await scene.status())["tokenState"] == "NotApplicable"
    assert await scene.reason() == "AwaitingConsent"
    return scene


def tokens_of(sealed: Sealed) -> tuple[str | None, object]:
    return sealed.tokenset, sealed.meta


async def see_nothing_delivered(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await scene.delivered()


def revoked(scene: Scene) -> set[str]:
    return {form.partition("&")[0] for form in scene.provider.revoked}


async def test_the_account_is_recorded_and_the_tokens_are_revoked() -> None:
    scene = await open_unkept(expectedAccount={"subject": "alice"})
    await consent(scene, preferred_username="al", email="alice@example.com")
    status = await scene.status()
    assert await scene.reason() == "TokensNotKept"
    assert "revoked at once" in (await scene.condition("Authorized"))["message"]
    assert status["tokenState"] == "NotApplicable"
    assert status["account"] == {"subject": "alice", "username": "al", "email": "alice@example.com"}
    assert set(status["grantedScopes"]) == {"openid", "calendar.read"}
    assert await scene.request_states() == ["Granted"]
    assert revoked(scene) == {"token=a-refresh-token", "token=an-access-token"}
    await see_nothing_delivered(scene)
    sealed = await scene.sealed()
    assert tokens_of(sealed) == (None, None)
    assert sealed.profile is not None
    kept = str([base64.b64decode(text) for text in (await scene.sealed_secret())["data"].values()])
    for secret in ("al", "alice@example.com", "a-refresh-token", "an-access-token"):
        assert f'"{secret}"' not in kept, "in clear"
    header = base64.urlsafe_b64decode(sealed.profile.partition(".")[0] + "==")
    assert b'"typ":"gk-profile+jwe"' in header


async def test_nobody_is_asked_again_and_a_restart_changes_nothing() -> None:
    scene = await open_unkept()
    await consent(scene)
    before = scene.cluster.version
    await scene.restart()
    await scene.pass_time(timedelta(days=30))
    assert scene.cluster.version == before
    assert (await scene.status())["account"] == {"subject": "alice"}
    assert await scene.request_states() == ["Granted"]
    assert len(scene.provider.sent) == 1


async def test_somebody_else_is_refused_and_not_recorded() -> None:
    scene = await open_unkept(expectedAccount={"subject": "alice"})
    await consent(scene, sub="mallory")
    assert await scene.reason() == "AccountMismatch"
    assert (await scene.sealed()).profile is None
    assert "mallory" not in str(await scene.status())
    assert len(scene.provider.revoked) == 2
    await consent(scene)
    assert await scene.reason() == "TokensNotKept"


async def test_an_account_that_nobody_tells_is_connected_all_the_same() -> None:
    scene = await open_unkept(MemoryProvider())
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "TokensNotKept"
    assert "account" not in await scene.status()
    await scene.pass_time(timedelta(days=8))
    assert await scene.request_states() == ["Granted"]


async def test_a_server_that_revokes_nothing_is_told() -> None:
    provider = MemoryProvider()
    provider.metadata = {ISSUER: {name: value for name, value in provider.metadata[ISSUER].items() if name != "revocation_endpoint"}}
    scene = await open_unkept(provider)
    await scene.bring(await scene.asked())
    await scene.settle()
    assert "not revoked" in (await scene.condition("Authorized"))["message"]
    assert tokens_of(await scene.sealed()) == (None, None)


async def test_a_grant_that_holds_the_same_account_is_spared() -> None:
    scene = await Scene.open(openid())
    await consent(scene)
    await scene.cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "metadata": {"name": "second"}})
    await scene.settle()
    await store(scene, "Disabled")
    asked = (await scene.cluster.get(USERGRANTS, NAMESPACE, "second"))["status"]
    now = int(scene.now.timestamp())
    said = {"iss": ISSUER, "sub": "alice", "aud": "planner", "exp": now + 300, "iat": now, "nonce": asked["consentRequests"][-1]["nonce"]}
    scene.provider.answer = {**scene.provider.answer, "id_token": FIRST.sign(said).get_secret_value()}
    await scene.bring(asked["consentURL"].rpartition("/")[2], grant="second")
    await scene.settle()
    second = (await scene.cluster.get(USERGRANTS, NAMESPACE, "second"))["status"]
    assert second["account"] == {"subject": "alice"}
    (authorized,) = (c for c in second["conditions"] if c["type"] == "Authorized")
    assert authorized["reason"] == "TokensNotKept"
    assert "not revoked" in authorized["message"]
    assert scene.provider.revoked == []


async def test_tokens_that_are_held_are_withdrawn_kept_and_go_on() -> None:
    scene = await Scene.open_consented()
    sealed = (await scene.sealed()).tokenset
    await store(scene, "Disabled")
    await see_nothing_delivered(scene)
    assert await scene.reason() == "TokensNotKept"
    assert "stay sealed" in (await scene.condition("Authorized"))["message"]
    await scene.pass_time(timedelta(days=2))
    assert scene.provider.sent == []
    assert scene.provider.revoked == []
    assert await scene.request_states() == ["Granted"]
    assert (await scene.sealed()).tokenset == sealed
    scene.provider.answer = {**scene.provider.answer, "access_token": "the-next"}
    await store(scene, "Enabled")
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1
    assert (await scene.delivered())["data"]["access_token"] == "the-next"


async def test_a_grant_that_has_only_a_profile_is_asked_when_tokens_are_kept() -> None:
    scene = await open_unkept()
    await consent(scene)
    await store(scene, "Enabled")
    assert await scene.reason() == "AwaitingConsent"
    assert await scene.request_states() == ["Granted", "Open"]
    await consent(scene)
    assert await scene.reason() == "Ready"
    assert (await scene.sealed()).profile is None, "the set tells it now"
    assert (await scene.delivered())["data"]["access_token"] == "an-access-token"


async def test_tokens_that_are_held_are_revoked_when_the_grant_is_deleted() -> None:
    scene = await Scene.open_consented()
    await store(scene, "Disabled")
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert revoked(scene) == {"token=a-refresh-token", "token=an-access-token"}
    assert scene.controller.registry.sealed == {}


async def test_a_profile_goes_with_its_grant() -> None:
    scene = await open_unkept()
    await consent(scene)
    scene.provider.revoked.clear()
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.settle()
    assert scene.provider.revoked == []
    assert await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels="grantkeeper.dev/kind=sealed") == []
    assert scene.controller.registry.grants == {}


@pytest.mark.parametrize("is_late", [pytest.param(False, id="before the record"), pytest.param(True, id="right after it")])
async def test_a_kill_presents_no_code_twice(is_late: bool) -> None:
    scene = await open_unkept()
    dying = Trouble("replace", "secrets/grant-", kill, is_late=is_late, concerns=lambda body: "profile" in body["data"])
    scene.cluster.troubles.append(dying)
    with pytest.raises(Killed):
        await consent(scene)
    await scene.restart()
    await scene.settle()
    assert len(scene.provider.sent) == 1
    assert await scene.answers() == {}
    if is_late:
        assert await scene.reason() == "TokensNotKept"
        assert await scene.request_states() == ["Granted"]
    else:
        assert await scene.reason() == "ExchangeFailed"
        assert await scene.request_states() == ["Refused", "Open"]
        await consent(scene)
        assert await scene.reason() == "TokensNotKept"


async def test_a_profile_does_not_open_for_another_client() -> None:
    scene = await open_unkept()
    await consent(scene)
    await scene.disconnect()
    await scene.connect(clientID="another", tokenStorage="Disabled")
    assert await scene.reason() == "ConnectorReplaced"
    assert "account" not in await scene.status()
    assert await scene.asked()


async def test_another_client_that_keeps_none_is_connected_beside_a_set_of_the_old() -> None:
    scene = await Scene.open_consented()
    tokenset = (await scene.sealed()).tokenset
    await scene.disconnect()
    await scene.connect(clientID="another", tokenStorage="Disabled")
    assert await scene.reason() == "ConnectorReplaced"
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "TokensNotKept"
    assert (await scene.sealed()).tokenset == tokenset, "nobody could open it, and it is not thrown away"
    assert "a-refresh-token" not in scene.provider.sent[-1]


async def test_a_set_that_is_held_and_a_profile_are_told_apart() -> None:
    scene = await Scene.open(openid())
    await consent(scene)
    scene.provider.next = [answering({"error": "invalid_grant"}, 400)]
    await scene.pass_time(timedelta(minutes=50))
    assert await scene.reason() == "ReauthorizationRequired"
    held = await scene.sealed()
    await store(scene, "Disabled")
    assert (await scene.status())["account"] == {"subject": "alice"}
    await consent(scene, sub="bob")
    assert (await scene.status())["account"] == {"subject": "bob"}
    now = await scene.sealed()
    assert (now.tokenset, now.meta, now.outcome, now.claim) == (held.tokenset, held.meta, held.outcome, held.claim)
    await store(scene, "Enabled")
    assert (await scene.status())["account"] == {"subject": "alice"}
    assert await scene.reason() == "ReauthorizationRequired", "it is as dead as it was"
    assert len(scene.provider.sent) == 3


async def test_a_profile_is_no_token_set() -> None:
    scene = await open_unkept()
    await consent(scene)
    secret = await scene.sealed_secret()
    secret["data"]["tokenset"] = secret["data"]["profile"]
    await scene.cluster.replace(SECRETS, secret)
    await store(scene, "Enabled")
    assert await scene.reason() == "Unsealable"
