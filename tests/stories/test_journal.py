"""A process that dies while the API server is away loses nothing: its next life stores what it had gained before it does anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.provider import TOKENS
from fakes.troubles import Trouble, failing
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.errors import Unreachable
from stories import scene as scenes
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
AWAY = failing(Unreachable("no answer"))
NEXT = {**TOKENS, "access_token": "the-next", "refresh_token": "the-next-refresh-token"}


class Killed(BaseException):
    """SIGKILL: nothing below may catch it."""


async def kill() -> None:
    raise Killed


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every life of the controller has the journal of the one Pod."""
    monkeypatch.setattr(scenes, "SETTINGS", scenes.SETTINGS.model_copy(update={"journal_directory": tmp_path}))
    return tmp_path


def entries(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def open_killed(*, by_code: bool, is_late: bool = False) -> Scene:
    """The scene after a kill at the commit: before it is stored, or, late, after."""
    scene = await (Scene.open() if by_code else Scene.open_consented())
    if by_code:
        await scene.bring(await scene.asked())
    else:
        scene.hands[0] += DUE
    scene.provider.answer = NEXT
    is_commit = lambda body: "claim" not in body["data"] and "tokenset" in body["data"]  # noqa: E731  # one line says it
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", kill, is_late=is_late, concerns=is_commit))
    with pytest.raises(Killed):
        await scene.settle()
    return scene


async def is_kept(scene: Scene, directory: Path) -> None:
    await scene.settle()
    assert await scene.reason() == "Ready"
    assert (await scene.delivered())["data"]["access_token"] == "the-next"
    assert len(scene.provider.sent) == 1, "nothing is presented twice"
    assert entries(directory) == []
    names = [secret["metadata"]["name"] for secret in await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE)]
    assert sorted(names) == [f"grant-{scene.uid}", "grantkeeper-keyring"]


@pytest.mark.parametrize("by_code", [pytest.param(True, id="a code"), pytest.param(False, id="a refresh token")])
@pytest.mark.parametrize("is_late", [pytest.param(False, id="before it was stored"), pytest.param(True, id="after it was stored")])
async def test_a_kill_at_the_commit_loses_nothing(directory: Path, by_code: bool, is_late: bool) -> None:
    scene = await open_killed(by_code=by_code, is_late=is_late)
    assert len(entries(directory)) == 1
    await scene.restart()
    await is_kept(scene, directory)


async def test_nothing_else_is_done_before_it_is_stored(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    order: list[str] = []

    def note(what: str) -> Callable[[], Awaitable[None]]:
        async def happen() -> None:
            order.append(what)

        return happen

    scene.cluster.troubles += [Trouble("replace", "secrets/grant-", note("stored")), Trouble("list", "", note("listed"), times=9)]
    await scene.restart()
    assert order[0] == "stored"
    await is_kept(scene, directory)


async def sibling(scene: Scene) -> None:
    """Somebody stored another successor meanwhile."""
    seals, connector = scene.controller.keeper.refresher.seals, scene.controller.registry.connectors[NAMESPACE, "calendar"]
    sealed, grant = await scene.sealed(), scene.controller.registry.grants[scene.uid]
    held = seals.open_tokens(sealed, connector.spec)
    assert held is not None
    text = seals.seal_tokens(held.tokens, grant, connector.spec, generation=held.generation + 1, key=seals.prepare())
    await scene.controller.sweeper.vault.put(sealed.model_copy(update={"tokenset": text, "claim": None}))


async def test_what_came_second_is_kept_aside(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    await sibling(scene)
    await scene.restart()
    aside = await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, f"recovered-{scene.uid}-1")
    assert aside["type"] == "grantkeeper.dev/recovered"
    assert entries(directory) == []


async def test_tokens_of_a_grant_that_is_gone_are_kept(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    uid = scene.uid
    await scene.cluster.patch(USERGRANTS, NAMESPACE, "alice", {"metadata": {"finalizers": None}})
    await scene.cluster.delete(USERGRANTS, NAMESPACE, "alice")
    await scene.restart()
    await scene.settle()
    assert "tokenset" in (await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, f"grant-{uid}"))["data"]
    assert entries(directory) == []


async def test_a_start_waits_for_an_api_server_that_is_away(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", AWAY, times=2))
    await asyncio.wait_for(scene.restart(), 30)
    await is_kept(scene, directory)


async def test_a_consent_that_came_second_is_given_up_and_not_stored_by_the_next_life(directory: Path) -> None:
    scene = await Scene.open_consented()
    await scene.ask_for_link("A" * 43)
    await scene.settle()
    scene.provider.answer, scene.provider.meanwhile = NEXT, lambda: sibling(scene)
    await scene.bring("A" * 43)
    await scene.settle()
    assert (await scene.delivered())["data"]["access_token"] == TOKENS["access_token"]
    assert entries(directory) == []
    await scene.restart()
    names = [secret["metadata"]["name"] for secret in await scene.cluster.list(SECRETS, OPERATOR_NAMESPACE)]
    assert sorted(names) == [f"grant-{scene.uid}", "grantkeeper-keyring"]
