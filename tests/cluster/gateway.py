"""A way to the API server that reads what passes: a test can answer in its place, keep a call waiting, or let watches fall silent.

It stands where the API server stands for one process, with its certificate; `relay` is the same without eyes.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from parts.controlplane import ControlPlane

Deed = float | int | None
"""What happens to a call: a status that is answered, seconds as a float that it is late, None for never any answer."""
Rule = Callable[[str, str], bool]
"""Takes the verb, `watch` for a watch, and the path."""

PER_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Gateway:
    """Passes calls on to the control plane's API server, as a context manager; what is in `faults` happens to calls that fit."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._to = control_plane
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.faults: list[tuple[Rule, Deed]] = []
        self.met = 0
        """How many calls something has happened to."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: object) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)  # type: ignore[arg-type]
        future.result(20)

    async def _start(self) -> None:
        trust = ssl.create_default_context(cafile=self._to.ca)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0), timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
        )
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(*self._to.certificate)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=shown)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def _deed(self, request: web.Request) -> tuple[bool, Deed]:
        verb = "watch" if "watch" in request.query else request.method.lower()
        for fits, deed in self.faults:
            if fits(verb, request.path):
                return True, deed
        return False, None

    async def _befall(self, request: web.Request) -> web.Response | None:
        """What happens to a call now, if anything."""
        befalls, deed = self._deed(request)
        if not befalls:
            return None
        self.met += 1
        match deed:
            case None:
                await self._fall_silent(request)
            case float():
                await asyncio.sleep(deed)
            case int():
                body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": deed, "message": "injected"}
                return web.json_response(body, status=deed, headers={"Retry-After": "1"} if deed in {429, 503} else {})
        return None

    async def _fall_silent(self, request: web.Request) -> None:
        """Wait until the caller has enough, where the call is one that nothing more comes of."""
        if self._deed(request) == (True, None):
            await asyncio.Event().wait()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        if (fault := await self._befall(request)) is not None:
            return fault
        headers = {name: value for name, value in request.headers.items() if name.lower() not in PER_HOP}
        content = await request.read()
        async with self._session.request(
            request.method, f"{self._to.url}{request.path_qs}", headers=headers, data=content or None, allow_redirects=False
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in PER_HOP}
            response = web.StreamResponse(status=answer.status, headers=passed)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await self._fall_silent(request)
                await response.write(chunk)
            await self._fall_silent(request)
            await response.write_eof()
            return response
