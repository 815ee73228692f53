"""What a watch brings wakes nobody where it only repeats what is known, and always where it does not."""

from __future__ import annotations

from typing import Any

import pytest

from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.controller.echoes import Echoes
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

GRANT = (USERGRANTS, NAMESPACE, "alice")
COPY = (SECRETS, NAMESPACE, "alice-token")


@pytest.fixture
async def scene() -> Scene:
    return await Scene.open_consented()


async def test_our_own_writes_are_echoes_and_what_others_write_is_none(scene: Scene) -> None:
    echoes = Echoes(scene.controller.registry)
    for kind, namespace, name in (GRANT, COPY, (SECRETS, OPERATOR_NAMESPACE, f"grant-{scene.uid}")):
        body = await scene.cluster.get(kind, namespace, name)
        assert echoes.knows(kind.plural, body)
        assert echoes.knows(kind.plural, _at(body, int(body["metadata"]["resourceVersion"]) - 1)), "an older one comes late"
        changed = await scene.cluster.patch(kind, namespace, name, {"metadata": {"annotations": {"other": "wrote"}}})
        assert not echoes.knows(kind.plural, changed)


async def test_a_namesake_is_no_echo(scene: Scene) -> None:
    echoes = Echoes(scene.controller.registry)
    for kind, namespace, name in (GRANT, COPY):
        body = await scene.cluster.get(kind, namespace, name)
        assert not echoes.knows(kind.plural, {**body, "metadata": {**body["metadata"], "uid": "another"}})


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [
        pytest.param(OAUTHCONNECTORS, NAMESPACE, "calendar", id="a connector, whose look is asked for by it"),
        pytest.param(NAMESPACES, None, "kube-system", id="a namespace"),
        pytest.param(SECRETS, OPERATOR_NAMESPACE, "grantkeeper-keyring", id="the keyring, of which nothing is kept here"),
    ],
)
async def test_what_is_seldom_written_is_never_taken_for_one(scene: Scene, kind: Kind, namespace: str | None, name: str) -> None:
    assert not Echoes(scene.controller.registry).knows(kind.plural, await scene.cluster.get(kind, namespace, name))


async def test_a_grant_that_nobody_knows_yet_is_none(scene: Scene) -> None:
    body = await scene.cluster.get(*GRANT)
    scene.controller.registry.grants.clear()
    assert not Echoes(scene.controller.registry).knows("usergrants", body)


def _at(body: dict[str, Any], version: int) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}
