"""Whose account it is: told by the ID token, by userinfo, or not at all; and what becomes of tokens that are somebody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fakes.provider import ISSUER, METADATA, TOKENS, MemoryProvider
from fakes.signing import Signer, make_key
from grantkeeper.adapters.cluster import SECRETS
from stories.scene import NAMESPACE, Scene

FIRST = Signer(make_key("EC"))
SECOND = Signer(make_key("EC", number=2), kid="second")
OPENID = {
    **METADATA,
    "jwks_uri": f"{ISSUER}/keys",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "id_token_signing_alg_values_supported": ["ES256"],
}
VERIFIED: dict[str, Any] = {"email": "alice@example.com", "email_verified": True}


def openid() -> MemoryProvider:
    """An OpenID provider with one key."""
    provider = MemoryProvider()
    provider.metadata, provider.keys = {ISSUER: OPENID}, [FIRST.publish()]
    return provider


async def nonce_of(scene: Scene) -> str:
    return str((await scene.status())["consentRequests"][-1]["nonce"])


async def consent(scene: Scene, signer: Signer = FIRST, *, scope: str = "openid calendar.read", **claims: Any) -> None:
    """Somebody consents, and the server says who it was."""
    now = int(scene.now.timestamp())
    said = {"iss": ISSUER, "sub": "alice", "aud": "planner", "exp": now + 300, "iat": now, "nonce": await nonce_of(scene), **claims}
    scene.provider.answer = {**TOKENS, "scope": scope, "id_token": signer.sign(said).get_secret_value()}
    await scene.bring(await scene.asked())
    await scene.settle()


def asked(scene: Scene, path: str) -> int:
    return scene.provider.asked.count(f"{ISSUER}/{path}")


async def test_an_id_token_names_the_account() -> None:
    scene = await Scene.open(openid(), expectedAccount={"subject": "alice"})
    await consent(scene, preferred_username="al", **VERIFIED)
    assert await scene.reason() == "Ready"
    assert (await scene.status())["account"] == {"subject": "alice", "username": "al", "email": "alice@example.com"}
    assert asked(scene, "userinfo") == 0, "userinfo was asked what the ID token had said"


@pytest.mark.parametrize(
    ("claims", "signer"),
    [
        pytest.param({"aud": "another"}, FIRST, id="for another client"),
        pytest.param({"nonce": "of-another-request"}, FIRST, id="in answer to another request"),
        pytest.param({"at_hash": "AAAA"}, FIRST, id="with another access token"),
        pytest.param({}, Signer(make_key("EC", number=9)), id="signed with another key of that name"),
        pytest.param({}, Signer(make_key("oct"), algorithm="HS256"), id="signed with a shared secret"),
    ],
)
async def test_an_id_token_that_does_not_hold_gives_everything_back(claims: dict[str, str], signer: Signer) -> None:
    scene = await Scene.open(openid())
    await consent(scene, signer, **claims)
    assert await scene.reason() == "ExchangeFailed"
    assert asked(scene, "revoke") == 2, "the refresh token and the access token"
    assert await scene.request_states() == ["Refused", "Open"]


async def test_an_unknown_key_is_looked_up_once_and_not_at_every_token() -> None:
    scene = await Scene.open(openid())
    before = asked(scene, "keys")
    scene.provider.keys = [SECOND.publish()]
    await consent(scene, SECOND)
    assert await scene.reason() == "Ready"
    assert asked(scene, "keys") == before + 1


async def test_a_key_that_nobody_publishes_is_not_asked_for_again_and_again() -> None:
    scene = await Scene.open(openid())
    before = asked(scene, "keys")
    for _ in range(3):
        await consent(scene, SECOND)
    assert asked(scene, "keys") == before + 1
    scene.hands[0] += timedelta(seconds=10)
    await consent(scene, SECOND)
    assert asked(scene, "keys") == before + 2


async def test_a_key_that_was_given_up_is_not_believed_for_long() -> None:
    scene = await Scene.open(openid())
    scene.provider.keys = [SECOND.publish()]
    await scene.pass_time(timedelta(minutes=10))
    await consent(scene, FIRST)
    assert await scene.reason() == "ExchangeFailed"


@pytest.mark.parametrize("expected", [{"email": "alice@example.com"}, {"domain": "example.com"}])
async def test_userinfo_is_asked_for_what_the_id_token_leaves_open(expected: dict[str, str]) -> None:
    scene = await Scene.open(openid(), expectedAccount=expected)
    scene.provider.userinfo = {"sub": "alice", **VERIFIED}
    await consent(scene)
    assert await scene.reason() == "Ready"
    assert asked(scene, "userinfo") == 1


async def test_userinfo_of_another_subject_is_not_believed() -> None:
    scene = await Scene.open(openid(), expectedAccount={"email": "alice@example.com"})
    scene.provider.userinfo = {"sub": "mallory", **VERIFIED}
    await consent(scene)
    assert await scene.reason() == "ExchangeFailed"
    assert asked(scene, "revoke") == 2


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        pytest.param({"expectedAccount": {"email": "alice@example.com"}}, "ExchangeFailed", id="something hangs on it"),
        pytest.param({}, "Ready", id="it would only have been shown"),
    ],
)
async def test_userinfo_that_cannot_be_had(expected: dict[str, Any], reason: str) -> None:
    scene = await Scene.open(openid(), **expected)
    await consent(scene, scope="openid email")
    assert asked(scene, "userinfo") == 1
    assert await scene.reason() == reason


async def test_another_account_is_refused_and_given_back() -> None:
    scene = await Scene.open(openid(), expectedAccount={"email": "alice@example.com"})
    await consent(scene, sub="mallory", email="mallory@example.com", email_verified=True)
    assert await scene.reason() == "AccountMismatch"
    assert asked(scene, "revoke") == 2
    status = await scene.status()
    assert status["consentRequests"][0]["reason"] == "AccountMismatch"
    assert "mallory" not in str(status)
    assert "email alice@example.com" in str(status["conditions"])
    await consent(scene, **VERIFIED)
    assert await scene.reason() == "Ready"


async def test_a_refresh_that_brings_another_account_delivers_nothing_of_it() -> None:
    scene = await Scene.open(openid())
    await consent(scene)
    now = int(scene.now.timestamp())
    another = FIRST.sign({"iss": ISSUER, "sub": "mallory", "aud": "planner", "exp": now + 9999, "iat": now})
    scene.provider.answer = {
        **TOKENS,
        "access_token": "mallorys-token",
        "refresh_token": "rotated",
        "id_token": another.get_secret_value(),
    }
    delivered = (await scene.cluster.get(SECRETS, NAMESPACE, "alice-token"))["data"]["access_token"]
    await scene.pass_time(timedelta(minutes=50))
    assert await scene.reason() == "AccountMismatch"
    assert (await scene.status())["account"] == {"subject": "alice"}
    assert (await scene.cluster.get(SECRETS, NAMESPACE, "alice-token"))["data"]["access_token"] == delivered
    presented = len(scene.provider.sent)
    await scene.pass_time(timedelta(minutes=50))
    assert len(scene.provider.sent) == presented, "what is in doubt is not presented again"
    (sealed,) = scene.controller.registry.sealed.values()
    (connector,) = scene.controller.registry.connectors.values()
    opened = scene.controller.keeper.refresher.seals.open_tokens(sealed, connector.spec)
    assert opened is not None
    assert opened.tokens.refresh_token is not None
    assert opened.tokens.refresh_token.get_secret_value() == "rotated", "the server has spent the other one"
    await consent(scene)
    assert await scene.reason() == "Ready"


@pytest.mark.parametrize(
    ("account", "is_kept"), [pytest.param("alice", True, id="the same account"), pytest.param("bob", False, id="another")]
)
async def test_a_new_consent_without_a_refresh_token_goes_on_with_the_old_one(account: str, is_kept: bool) -> None:
    scene, request_id = await Scene.open(openid()), "A" * 43
    await consent(scene)
    await scene.ask_for_link(request_id)
    await scene.settle()
    now = int(scene.now.timestamp())
    said = {"iss": ISSUER, "sub": account, "aud": "planner", "exp": now + 300, "iat": now, "nonce": await nonce_of(scene)}
    answer = {**TOKENS, "access_token": "of the new consent", "id_token": FIRST.sign(said).get_secret_value()}
    del answer["refresh_token"]
    scene.provider.answer = answer
    await scene.bring(request_id, code="anew")
    await scene.settle()
    assert (await scene.delivered())["data"]["access_token"] == "of the new consent"
    assert ("nextRefreshTime" in await scene.status()) is is_kept
    scene.provider.answer = TOKENS
    await scene.pass_time(timedelta(minutes=50))
    assert bool([form for form in scene.provider.sent if "refresh_token=a-refresh-token" in form]) is is_kept


async def test_an_id_token_that_does_not_hold_costs_nothing_of_what_is_held() -> None:
    scene, request_id = await Scene.open(openid()), "A" * 43
    await consent(scene)
    held = (await scene.delivered())["data"]
    await scene.ask_for_link(request_id)
    await scene.settle()
    said = {"iss": ISSUER, "sub": "alice", "aud": "planner", "exp": 0, "iat": 0, "nonce": "of-another-request"}
    scene.provider.answer = {**TOKENS, "refresh_token": "of the new consent", "id_token": FIRST.sign(said).get_secret_value()}
    await scene.bring(request_id, code="anew")
    await scene.settle()
    assert (await scene.request_states())[-1] == "Refused"
    assert (await scene.reason(), (await scene.delivered())["data"]) == ("Ready", held)
    assert asked(scene, "revoke") == 0, "many servers end the whole consent with any of its tokens"
