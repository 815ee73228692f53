"""A process that dies while the API server is away loses nothing: its next life stores what it had gained before it does anything else."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import NoReturn

import pytest

from fakes.provider import TOKENS
from fakes.troubles import Trouble, failing
from grantkeeper.adapters import journal as journals
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.adapters.journal import Journal
from grantkeeper.errors import KeyringError, Unreachable
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


def fill(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_disk_that_is_full_at_the_start_keeps_no_entry_from_being_stored(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_killed(by_code=False)
    for call in ("_write", "_try_out"):
        monkeypatch.setattr(Journal, call, fill)
    await scene.restart()
    await is_kept(scene, directory)


async def test_a_keyring_that_is_gone_keeps_no_entry_from_being_stored(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    keyring = await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, "grantkeeper-keyring")
    await scene.cluster.delete(SECRETS, OPERATOR_NAMESPACE, "grantkeeper-keyring")
    with pytest.raises(KeyringError):
        await scene.restart()
    assert entries(directory) == []
    await scene.cluster.create(SECRETS, OPERATOR_NAMESPACE, keyring)
    await scene.restart()
    await is_kept(scene, directory)


async def test_while_the_disk_is_full_a_refresh_waits_as_long_as_nothing_is_lost_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    monkeypatch.setattr(Journal, "_try_out", fill)
    await scene.pass_time(DUE)
    await scene.pass_time(timedelta(minutes=13))
    assert scene.provider.sent == []
    assert (await scene.sealed()).claim is None
    await scene.pass_time(timedelta(minutes=1))
    assert len(scene.provider.sent) == 1
    assert await scene.reason() == "Ready"


async def test_what_came_is_stored_though_no_thread_can_be_started(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await Scene.open_consented()
    scene.provider.answer = NEXT

    async def run_out() -> None:
        def refuse(*_: object) -> NoReturn:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)

    scene.provider.meanwhile = run_out
    await scene.pass_time(DUE)
    await is_kept(scene, directory)


async def test_a_disk_that_hangs_holds_up_no_commit_and_nothing_that_is_stored_stays_on_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await Scene.open_consented()
    scene.provider.answer = NEXT
    goes_on, has_written, write = Event(), asyncio.Event(), Journal._write  # noqa: SLF001
    loop = asyncio.get_running_loop()

    def hang(journal: Journal, name: str, content: bytes) -> None:
        goes_on.wait()
        write(journal, name, content)
        loop.call_soon_threadsafe(has_written.set)

    monkeypatch.setattr(Journal, "_write", hang)
    monkeypatch.setattr(journals, "WITHIN", 0.05)
    await scene.pass_time(DUE)
    await is_kept(scene, directory)
    goes_on.set()
    await asyncio.wait_for(has_written.wait(), 10)
    assert entries(directory) == []
