"""kopf against an API server that does as it is told: whatever becomes of one of its watches, the end of them all is told at once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import web

from grantkeeper.adapters.cluster import SECRETS, Kind
from grantkeeper.adapters.login import Credentials, Login
from grantkeeper.controller import watching
from grantkeeper.controller.watching import EVERYTHING, Watcher
from grantkeeper.errors import SettingsError

GROUP = "apis/grantkeeper.dev/v1alpha1"
ERROR = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":500}}\n'
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410}}\n'
CUT = b'{"type":"ADDED","obj'


def write_event(plural: str) -> bytes:
    metadata = {"name": "new", "namespace": "test", "uid": "1", "resourceVersion": "8"}
    return json.dumps({"type": "ADDED", "object": {"apiVersion": "v1", "kind": plural, "metadata": metadata}}).encode() + b"\n"


def describe(plural: str) -> dict[str, Any]:
    return {"name": plural, "singularName": plural, "kind": plural, "namespaced": plural != "namespaces", "verbs": ["list", "watch"]}


FOUND: dict[str, dict[str, Any]] = {
    "api": {"versions": ["v1"]},
    "apis": {"groups": [{"name": "grantkeeper.dev", "versions": [{"version": "v1alpha1"}], "preferredVersion": {"version": "v1alpha1"}}]},
    "api/v1": {"resources": [describe("namespaces"), describe("secrets")]},
    GROUP: {"resources": [describe("usergrants"), describe("oauthconnectors")]},
}


@dataclass(slots=True)
class ApiServer:
    """As much of one as kopf asks for."""

    server: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    """By plural: what is answered to whoever wants to watch."""
    watches: dict[str, asyncio.Queue[bytes]] = field(default_factory=dict)
    """By plural: what is sent over the watch of that kind; nothing at all ends it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer discovery, lists of nothing, and watches."""
        path = request.path.strip("/")
        plural = path.rpartition("/")[2]
        if "watch" in request.query:
            if plural in self.refused:
                return web.json_response({"kind": "Status", "code": self.refused[plural]}, status=self.refused[plural])
            return await self._stream(request, plural)
        return web.json_response(FOUND.get(path) or {"metadata": {"resourceVersion": "7"}, "items": []})

    async def _stream(self, request: web.Request, plural: str) -> web.StreamResponse:
        response, lines = web.StreamResponse(), asyncio.Queue[bytes]()
        await response.prepare(request)
        self.watches[plural] = lines
        with suppress(ConnectionError):
            while line := await lines.get():
                await response.write(line)
        return response

    def send(self, plural: str, *lines: bytes) -> None:
        """Send these over a watch."""
        for line in lines:
            self.watches[plural].put_nowait(line)


@pytest.fixture
async def api_server() -> AsyncIterator[ApiServer]:
    told = ApiServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", told.answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield told
    await runner.cleanup()


@dataclass(slots=True)
class Hearer:
    """A watcher on everything, and what it told."""

    api_server: ApiServer
    failing: int = 0
    """How often it cannot log in."""
    heard: list[str] = field(default_factory=list)
    """The plurals of the objects that it brought."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    watcher: Watcher = field(init=False)

    def __post_init__(self) -> None:
        self.watcher = Watcher(
            login=cast("Login", self),
            on_event=lambda plural, *_: self.heard.append(plural),
            is_known=lambda *_: False,
            on_list=lambda _: None,
            on_end=self.ended.set,
            on_over=self.over.set,
        )

    def read(self) -> Credentials:
        """Log in, as a Login does."""
        if self.failing:
            self.failing -= 1
            raise SettingsError("the files cannot be read")
        return Credentials(self.api_server.server)

    async def watch(self) -> None:
        """Return when everything is watched."""
        self.watcher.start()
        await wait_for(lambda: len(self.api_server.watches) == len(EVERYTHING))


@pytest.fixture
async def hearer(api_server: ApiServer) -> AsyncIterator[Hearer]:
    hearer = Hearer(api_server)
    yield hearer
    hearer.watcher.stop()
    async with asyncio.timeout(30):
        await hearer.over.wait()
    await wait_for(lambda: "watching" not in {thread.name for thread in threading.enumerate()})


async def wait_for(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # it is another thread's doing
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("lines", "refused"),
    [([b""], 410), ([b""], 404), ([b""], 422), ([ERROR], None), ([CUT, b""], None)],
    ids=["gone", "no such kind", "refused", "an error in its stream", "a line cut short"],
)
@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.plural)
async def test_one_watch_that_fails_ends_all_of_them_and_that_is_told_at_once(
    hearer: Hearer, kind: Kind, lines: list[bytes], refused: int | None
) -> None:
    await hearer.watch()
    if refused is not None:
        hearer.api_server.refused[kind.plural] = refused
    hearer.api_server.send(kind.plural, *lines)
    async with asyncio.timeout(20):
        await hearer.ended.wait()
    async with asyncio.timeout(30):
        await hearer.over.wait()


@pytest.mark.parametrize("line", [b"", EXPIRED], ids=["it ends", "it has lost its place"])
async def test_a_watch_that_ends_in_order_is_made_anew(hearer: Hearer, line: bytes) -> None:
    await hearer.watch()
    before = hearer.api_server.watches.pop(SECRETS.plural)
    before.put_nowait(line)
    await wait_for(lambda: SECRETS.plural in hearer.api_server.watches)
    hearer.api_server.send(SECRETS.plural, write_event(SECRETS.plural))
    await wait_for(lambda: hearer.heard == [SECRETS.plural])
    assert not hearer.ended.is_set()


async def test_watches_that_are_asked_to_stop_end_in_order(hearer: Hearer) -> None:
    await hearer.watch()
    hearer.watcher.stop()
    async with asyncio.timeout(20):
        await hearer.over.wait()
    assert hearer.ended.is_set()


async def test_the_end_is_told_even_where_kopf_never_comes_to_it(hearer: Hearer, monkeypatch: pytest.MonkeyPatch) -> None:
    comes_to_it, end = asyncio.Event(), watching._end  # noqa: SLF001  # nothing else hangs there any more
    loop = asyncio.get_running_loop()

    async def hang(*args: Any, **options: Any) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(comes_to_it.wait(), loop))
        await end(*args, **options)

    monkeypatch.setattr(watching, "_end", hang)
    await hearer.watch()
    hearer.api_server.send(SECRETS.plural, ERROR)
    try:
        async with asyncio.timeout(20):
            await hearer.ended.wait()
        assert not hearer.over.is_set()
    finally:
        comes_to_it.set()


async def test_a_watch_without_a_sign_of_life_ends_all_of_them(hearer: Hearer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LIVES_WITHIN", 4.0)
    await hearer.watch()
    for _ in range(25):
        for kind in EVERYTHING:
            hearer.api_server.send(kind.plural, b"\n")
        await asyncio.sleep(0.2)
    assert not hearer.ended.is_set()
    async with asyncio.timeout(30):
        while not hearer.ended.is_set():
            for kind in EVERYTHING[1:]:
                hearer.api_server.send(kind.plural, b"\n")
            await asyncio.sleep(0.2)


async def test_watches_that_never_begin_end(hearer: Hearer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LIVES_WITHIN", 0.6)
    hearer.failing = 100
    hearer.watcher.start()
    async with asyncio.timeout(30):
        await hearer.over.wait()


async def test_a_login_that_fails_is_tried_again_soon(hearer: Hearer) -> None:
    hearer.failing = 1
    async with asyncio.timeout(30):
        await hearer.watch()
