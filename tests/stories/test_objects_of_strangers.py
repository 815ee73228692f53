"""Whoever may write a Secret can write anything into it: no object of one tenant stops what is kept for the others."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.cluster import Object
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.core.records import KIND_LABEL, SEALED_TYPE
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene


def claiming_to_be_delivered(name: str, **metadata: Any) -> Object:
    """A Secret that says that it is a delivered one."""
    return {"type": "Opaque", "metadata": {"name": name, "labels": {KIND_LABEL: "delivered"}, **metadata}}


def of_generation(text: str) -> dict[str, Any]:
    return {"annotations": {"grantkeeper.dev/generation": text}}


SECRETS_OF_STRANGERS = [
    pytest.param(of_generation("9" * 5000), id="a generation of 5000 digits"),
    pytest.param(of_generation("²"), id="a generation in digits that are no decimals"),
    pytest.param(of_generation("٣"), id="a generation in other digits"),
    pytest.param(of_generation("-1"), id="a generation below zero"),
    pytest.param(of_generation(""), id="no generation"),
    pytest.param({"ownerReferences": [{"kind": "UserGrant", "name": "alice"}]}, id="an owner without uid"),
    pytest.param({"ownerReferences": [{"uid": "u"}]}, id="an owner without kind"),
    pytest.param({"annotations": None, "ownerReferences": None}, id="nothing at all"),
]
BY = pytest.mark.parametrize("by_sweep", [pytest.param(True, id="by a sweep"), pytest.param(False, id="by the watch")])


async def meet(scene: Scene, *, by_sweep: bool) -> None:
    """Let a controller that has just started read everything, or the one that runs hear of it."""
    if by_sweep:
        scene.cluster.take_news()
        await scene.restart()
    await scene.settle()


@BY
@pytest.mark.parametrize("metadata", SECRETS_OF_STRANGERS)
async def test_no_secret_of_a_stranger_stops_the_others(metadata: dict[str, Any], by_sweep: bool) -> None:
    scene = await Scene.open()
    await scene.cluster.create(SECRETS, "team-b", claiming_to_be_delivered("boom", **metadata))
    await scene.bring(await scene.asked())
    await meet(scene, by_sweep=by_sweep)
    assert await scene.reason() == "Ready"


@BY
@pytest.mark.parametrize("metadata", SECRETS_OF_STRANGERS)
async def test_a_strangers_secret_under_the_name_to_deliver_to_is_said_and_not_touched(metadata: dict[str, Any], by_sweep: bool) -> None:
    scene = await Scene.open()
    theirs = await scene.cluster.create(SECRETS, NAMESPACE, claiming_to_be_delivered("alice-token", **metadata))
    await scene.bring(await scene.asked())
    await meet(scene, by_sweep=by_sweep)
    assert await scene.reason() == "SecretConflict"
    assert await scene.cluster.get(SECRETS, NAMESPACE, "alice-token") == theirs


@BY
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param(USERGRANTS, {"connectorRef": None}, id="a grant that refers to nothing"),
        pytest.param(USERGRANTS, {"connectorRef": {"name": "calendar"}, "user": "b", "secrets": [{"format": "Newer"}]}, id="a newer grant"),
        pytest.param(OAUTHCONNECTORS, {"issuer": 5}, id="a connector whose issuer is a number"),
        pytest.param(OAUTHCONNECTORS, None, id="a connector without spec"),
    ],
)
async def test_nothing_that_cannot_be_read_stops_the_others(kind: Kind, spec: Object | None, by_sweep: bool) -> None:
    scene = await Scene.open()
    await scene.cluster.create(kind, "team-b", {"metadata": {"name": "boom"}, "spec": spec})
    await scene.bring(await scene.asked())
    await meet(scene, by_sweep=by_sweep)
    assert await scene.reason() == "Ready"


@BY
async def test_a_sealed_secret_in_a_tenants_namespace_is_nobodys(by_sweep: bool) -> None:
    scene = await Scene.open_consented()
    ours = await scene.sealed_secret()
    forged = {"type": SEALED_TYPE, "metadata": {"name": ours["metadata"]["name"], "labels": {KIND_LABEL: "sealed"}}, "data": {}}
    await scene.cluster.create(SECRETS, "team-b", forged)
    await meet(scene, by_sweep=by_sweep)
    await scene.cluster.delete(SECRETS, "team-b", ours["metadata"]["name"])
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, ours["metadata"]["name"]) == ours
