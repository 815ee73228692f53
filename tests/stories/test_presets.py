"""Connectors that name a preset: dealt with as it says, and told where it names no server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NoReturn
from urllib.parse import parse_qs

import pytest

from fakes.provider import ISSUER, METADATA, MemoryProvider
from fakes.provider import answer as answering
from grantkeeper.adapters.cluster import OAUTHCONNECTORS
from grantkeeper.controller.assembling import assemble
from grantkeeper.core.catalogue import Preset
from grantkeeper.errors import ProviderUnsent
from stories.scene import CONNECTOR_BODY, NAMESPACE, SETTINGS, Scene

DUE = timedelta(minutes=45)
NEW_TOKEN_ENDPOINT = f"{ISSUER}/v2/token"


def preset(**more: Any) -> Preset:
    body = {
        "displayName": "Example",
        "endpoints": {"authorization": "https://{host}/authorize", "token": "https://{host}/token", "revocation": "https://{host}/revoke"},
        "parameters": {"host": {"description": "the host", "pattern": "[a-z.]+", "example": "login.example.com"}},
        "tokenParameters": {"audience": "calendar"},
        "sources": [{"title": "A page", "read": date(2026, 11, 21)}],
        **more,
    }
    return Preset.model_validate(body)


PRESETS = {"example": preset()}


async def open_scene(presets: Mapping[str, Preset] = PRESETS, server: MemoryProvider | None = None, **spec: Any) -> Scene:
    """The scene with a connector of the preset in the place of the one that every scene has."""
    scene = await Scene.open(server)
    await scene.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
    await scene.settle()
    await use(scene, presets)
    said = {name: value for name, value in CONNECTOR_BODY["spec"].items() if name != "issuer"}
    said |= {"provider": "example", "parameters": {"host": "login.example.com"}, **spec}
    await scene.cluster.create(OAUTHCONNECTORS, NAMESPACE, {**CONNECTOR_BODY, "spec": said})
    await scene.settle()
    return scene


async def use(scene: Scene, presets: Mapping[str, Preset]) -> None:
    """Another life of the controller, with this catalogue."""
    scene.controller = await assemble(SETTINGS, scene.cluster, scene.provider, clock=lambda: scene.hands[0], presets=presets)
    await scene.controller.sweeper.sweep()


async def consent(scene: Scene) -> None:
    await scene.bring(await scene.asked())
    await scene.settle()
    assert await scene.reason() == "Ready"


async def test_a_consent_is_asked_for_redeemed_and_refreshed_at_the_presets_endpoints() -> None:
    scene = await open_scene()
    assert (await scene.connector())["server"]["authorizationEndpoint"] == f"{ISSUER}/authorize"
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    await consent(scene)
    await scene.pass_time(DUE)
    forms = [parse_qs(form) for form in scene.provider.sent]
    assert [form["grant_type"] for form in forms] == [["authorization_code"], ["refresh_token"]]
    assert [form["audience"] for form in forms] == [["calendar"], ["calendar"]]


async def test_a_release_that_corrects_a_preset_ends_no_consent() -> None:
    scene = await open_scene()
    await consent(scene)
    scene.provider.sent.clear()
    scene.provider.metadata = {ISSUER: {**METADATA, "token_endpoint": NEW_TOKEN_ENDPOINT}}
    moved = {"authorization": "https://{host}/v2/authorize", "token": "https://{host}/v2/token"}
    await use(scene, {"example": preset(endpoints=moved, tokenParameters={"audience": "new"})})
    await scene.pass_time(DUE)
    assert await scene.reason() == "Ready"
    assert [parse_qs(form)["audience"] for form in scene.provider.sent] == [["new"]]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"provider": "exmaple"}, "there are example.", id="no such preset"),
        pytest.param({"parameters": {}}, "needs spec.parameters.host", id="a parameter is missing"),
        pytest.param({"parameters": {"host": "a/b"}}, "does not fit", id="a parameter that does not fit"),
    ],
)
async def test_a_connector_that_names_no_server_is_stalled_and_asks_nobody(spec: dict[str, Any], says: str) -> None:
    scene = await open_scene(**spec)
    connector = await scene.connector()
    assert connector["reasons"] == {
        "Accepted": "UnknownProvider",
        "ResolvedRefs": "ResolvedRefs",
        "Reachable": "Pending",
        "Ready": "UnknownProvider",
        "Stalled": "UnknownProvider",
    }
    (accepted,) = (c for c in connector["conditions"] if c["type"] == "Accepted")
    assert says in accepted["message"]
    assert "server" not in connector
    assert "consentURL" not in await scene.status()


async def test_a_preset_that_goes_ends_nothing_that_its_return_does_not_heal() -> None:
    scene = await open_scene()
    await consent(scene)
    scene.provider.sent.clear()
    await use(scene, {})
    await scene.pass_time(timedelta(minutes=1))
    assert (await scene.connector())["reasons"]["Ready"] == "UnknownProvider"
    assert await scene.reason() == "Ready", "the token that is held lives"
    await use(scene, PRESETS)
    await scene.pass_time(DUE)
    assert (await scene.connector())["reasons"]["Ready"] == "Ready"
    assert await scene.reason() == "Ready"
    assert len(scene.provider.sent) == 1


@pytest.mark.parametrize(("refusals", "reason"), [([], "Ready"), (["account_closed"], "ReauthorizationRequired")])
async def test_an_error_that_the_preset_calls_a_refusal_ends_the_consent(refusals: list[str], reason: str) -> None:
    scene = await open_scene()
    await use(scene, {"example": preset(refusals=refusals)})
    await consent(scene)
    scene.provider.next = [answering({"error": "account_closed"}, 403)]
    await scene.pass_time(DUE)
    assert await scene.reason() == reason


async def test_what_the_connector_says_itself_wins() -> None:
    scene = await open_scene(tokenParameters={"audience": "mail"})
    await consent(scene)
    assert [parse_qs(form)["audience"] for form in scene.provider.sent] == [["mail"]]


async def test_a_preset_with_an_issuer_is_discovered() -> None:
    found = preset(issuer="https://{host}", endpoints=None)
    scene = await open_scene({"example": found})
    assert (await scene.connector())["server"] == {
        "issuer": ISSUER,
        "authorizationEndpoint": f"{ISSUER}/authorize",
        "issParameterSupported": True,
        "features": ["Revocation"],
    }


class Away(MemoryProvider):
    """A server that accepts no connection."""

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> NoReturn:  # noqa: ARG002, ASYNC109
        """No connection."""
        raise ProviderUnsent("login.example.com accepted no connection")


@pytest.mark.parametrize(
    ("found", "accepted"),
    [
        pytest.param(preset(), "Accepted", id="its endpoints are known all the same"),
        pytest.param(preset(issuer="https://{host}", endpoints=None), "DiscoveryFailed", id="its endpoints are in its metadata"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_said(found: Preset, accepted: str) -> None:
    scene = await open_scene({"example": found}, Away())
    reasons = (await scene.connector())["reasons"]
    assert (reasons["Accepted"], reasons["Reachable"]) == (accepted, "Unreachable")
    assert "Stalled" not in reasons, "it may come back"
