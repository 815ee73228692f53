"""A process that dies while the API server is away loses nothing: its next life stores what it had gained before it does anything else."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn, cast

import pytest

from fakes.cluster import Object
from fakes.provider import TOKENS
from fakes.troubles import Trouble, failing
from grantkeeper.adapters import journal as journals
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS
from grantkeeper.adapters.entries import Entries
from grantkeeper.adapters.errands import Errands
from grantkeeper.adapters.journal import Journal
from grantkeeper.adapters.login import Login
from grantkeeper.controller import committing, running
from grantkeeper.errors import Forbidden, KeyringError, Unreachable
from stories import scene as scenes
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, Scene

DUE = timedelta(minutes=45)
RETRY = timedelta(minutes=14, seconds=30)
"""From then on until the token is about to expire, when one whose answer was lost is presented again."""
AWAY = failing(Unreachable("no answer"))
REFUSED = failing(Forbidden("a policy says no"))
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


def is_commit(body: Object) -> bool:
    return "claim" not in body["data"] and "tokenset" in body["data"]


async def open_killed(*, by_code: bool, is_late: bool = False) -> Scene:
    """The scene after a kill at the commit: before it is stored, or, late, after."""
    scene = await open_due(by_code=by_code)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", kill, is_late=is_late, concerns=is_commit))
    with pytest.raises(Killed):
        await scene.settle()
    return scene


async def open_due(*, by_code: bool) -> Scene:
    """The scene right before a code that has come is presented, or a refresh token that is due."""
    scene = await (Scene.open() if by_code else Scene.open_consented())
    if by_code:
        await scene.bring(await scene.asked())
    else:
        scene.hands[0] += DUE
    scene.provider.answer = NEXT
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


def fill(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_disk_that_is_full_at_the_start_keeps_no_entry_from_being_stored(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_killed(by_code=False)
    for call in ("write", "try_out"):
        monkeypatch.setattr(Entries, call, fill)
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
    monkeypatch.setattr(journals, "GOOD_FOR", 0.0)  # the consent was written in the very second in which this story is played
    scene = await Scene.open_consented()
    monkeypatch.setattr(Entries, "try_out", fill)
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

        scene.controller.keeper.committer.journal._errands = Errands("another")  # noqa: SLF001  # whose thread is not started yet
        monkeypatch.setattr(Thread, "start", refuse)

    scene.provider.meanwhile = run_out
    await scene.pass_time(DUE)
    await is_kept(scene, directory)


async def test_a_disk_that_hangs_holds_up_no_commit_and_nothing_that_is_stored_stays_on_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await Scene.open_consented()
    scene.provider.answer = NEXT
    goes_on, has_written, write = Event(), asyncio.Event(), Entries.write
    loop = asyncio.get_running_loop()

    def hang(entries: Entries, gains: list[tuple[str, bytes]]) -> None:
        goes_on.wait()
        write(entries, gains)
        loop.call_soon_threadsafe(has_written.set)

    monkeypatch.setattr(Entries, "write", hang)
    monkeypatch.setattr(journals, "WITHIN", 0.05)
    await scene.pass_time(DUE)
    await is_kept(scene, directory)
    goes_on.set()
    await asyncio.wait_for(has_written.wait(), 10)
    assert entries(directory) == []


def unstored(scene: Scene) -> int:
    """What the metric says."""
    return len(scene.controller.keeper.committer.left)


async def test_an_entry_that_is_refused_stops_no_start_and_is_stored_when_it_is_admitted(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", REFUSED, concerns=is_commit, times=4))
    await scene.restart()
    assert unstored(scene) == 1
    await scene.settle()
    assert "cannot be stored" in (await scene.condition("Fresh"))["message"]
    await scene.pass_time(RETRY)
    assert await scene.reason() == "Ready"
    await scene.pass_time(timedelta(minutes=1))
    await is_kept(scene, directory)
    assert unstored(scene) == 0


async def test_an_entry_that_may_not_be_kept_aside_waits_for_that(directory: Path) -> None:
    scene = await open_killed(by_code=False)
    await sibling(scene)
    scene.cluster.troubles.append(Trouble("create", "secrets/recovered-", failing(Forbidden("exceeded quota")), times=99))
    await scene.restart()
    assert len(entries(directory)) == 1
    await scene.settle()
    assert await scene.reason() == "Ready", "what stands there is refreshed meanwhile"
    assert len(entries(directory)) == 1
    scene.cluster.troubles.clear()
    await scene.settle()
    assert (await scene.cluster.get(SECRETS, OPERATOR_NAMESPACE, f"recovered-{scene.uid}-1"))["type"] == "grantkeeper.dev/recovered"
    assert unstored(scene) == 0


@pytest.mark.parametrize("by_code", [pytest.param(True, id="a code"), pytest.param(False, id="a refresh token")])
async def test_a_commit_that_is_refused_waits_in_the_journal_and_nothing_is_presented_meanwhile(directory: Path, by_code: bool) -> None:
    scene = await open_due(by_code=by_code)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", REFUSED, concerns=is_commit, times=6))
    await scene.settle()
    assert len(entries(directory)) == 1
    await scene.pass_time(RETRY)
    for _ in range(3):
        await scene.pass_time(timedelta(seconds=5))
    await is_kept(scene, directory)
    assert await scene.answers() == {}


async def test_what_no_disk_has_is_tried_as_long_as_the_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_due(by_code=False)
    monkeypatch.setattr(Entries, "write", fill)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", REFUSED, concerns=is_commit, times=20))
    committer = scene.controller.keeper.committer
    await scene.settle()
    assert (await scene.sealed()).claim is None
    assert committer.left == {}
    assert len(scene.provider.sent) == 1


@pytest.mark.parametrize("by_code", [pytest.param(True, id="a code"), pytest.param(False, id="a refresh token")])
async def test_a_commit_that_dies_of_something_nobody_knows_is_taken_up_before_anything_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch, by_code: bool
) -> None:
    scene = await open_due(by_code=by_code)

    def die(name: str) -> None:
        if name == "commit.journaled":
            raise ArithmeticError

    with monkeypatch.context() as broken:
        broken.setattr(committing, "reach", die)
        with pytest.raises(ArithmeticError):
            await scene.settle()
    assert len(entries(directory)) == 1
    await scene.pass_time(RETRY)
    await is_kept(scene, directory)


@pytest.mark.parametrize("error", [pytest.param(OSError(), id="OSError"), pytest.param(RuntimeError(), id="RuntimeError")])
async def test_a_commit_goes_on_whatever_it_meets(directory: Path, error: Exception) -> None:
    scene = await open_due(by_code=False)
    scene.cluster.troubles.append(Trouble("replace", "secrets/grant-", failing(error), concerns=is_commit, times=2))
    await scene.settle()
    await is_kept(scene, directory)


# What is stored, and lies there still


@pytest.fixture
def slow_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before what was stored is forgotten."""
    monkeypatch.setattr(Journal, "forget_soon", lambda *_: None)


@pytest.mark.usefixtures("slow_to_forget")
async def test_an_entry_that_was_stored_does_nothing(directory: Path) -> None:
    scene = await open_due(by_code=False)
    await scene.settle()
    assert len(entries(directory)) == 2, "of the code and of the refresh token"
    version = (await scene.sealed()).resource_version
    (directory / min(entries(directory), key=lambda name: (directory / name).stat().st_mtime_ns)).unlink()
    await scene.restart()
    assert (await scene.sealed()).resource_version == version
    await is_kept(scene, directory)


@pytest.mark.usefixtures("slow_to_forget")
async def test_of_one_grant_the_older_entry_is_looked_at_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_killed(by_code=False)
    assert len(entries(directory)) == 2
    read = Entries.read
    monkeypatch.setattr(Entries, "read", lambda entries: sorted(read(entries), key=lambda gain: -gain.meta.generation))
    await scene.restart()
    await is_kept(scene, directory)


class Watching:
    """Watches that bring nothing."""

    readable: frozenset[str] = frozenset()
    followed: asyncio.Event

    def __init__(self, *_: object, **__: object) -> None:
        self.begun = asyncio.Event()
        self.begun.set()

    def start(self) -> None:
        """Nothing begins."""

    def stop(self) -> None:
        """Nothing ends."""

    def follow(self, _: frozenset[str]) -> None:
        """Everything has been read."""
        self.followed.set()


async def test_a_clean_end_leaves_no_entry(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SOON", 3600.0)
    monkeypatch.setattr(running, "Watches", Watching)
    monkeypatch.setattr(running, "collect_less", lambda: None)
    Watching.followed = asyncio.Event()
    scene = await open_due(by_code=False)
    await scene.controller.keep((running.GRANT, scene.uid))
    assert len(entries(directory)) == 1
    working = asyncio.create_task(scene.controller.work(cast("Login", None)))
    await asyncio.wait_for(Watching.followed.wait(), 10)
    scene.controller.end()
    await asyncio.wait_for(working, 10)
    assert entries(directory) == []
