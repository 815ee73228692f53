"""The session that a watcher is given: it watches, and where it would list, nothing is listed; of what is known, it hears but the version.

Each object costs a watcher many times what it costs to read it, and everything is read here anyway. So a list is asked for what nothing
is called. It tells from which version on the watch brings what changes; whoever reads everything after that misses nothing. And what a
watch brings that is known already, as the echoes of our own writes are, comes as a bookmark, which says how far the watch has come.

An echo is often here before the answer to the write that it repeats. So what comes is judged a moment later, and what has come
meanwhile with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

import aiohttp
import orjson

from grantkeeper.adapters.login import Credentials

NOTHING = "metadata.name=-"
"""A field selector that no object fits: none can have that name."""

MOMENT = 0.1
"""Seconds. Most answers are here by then, and nobody waits for an event."""
BACKLOG = 64 * 1024
"""Bytes: where so much has come at once, more waits to be read, and no moment is lost."""

Known = Callable[[str, dict[str, Any]], bool]
"""Tells, by the plural of its kind, whether an object is no news."""


def open_session(
    credentials: Credentials, on_list: Callable[[str], object], is_known: Known, on_life: Callable[[str], object] = lambda _: None
) -> aiohttp.ClientSession:
    """Open one for the running event loop. `on_list` takes the path of each list that was answered: what was before it is told by no watch.

    `on_life` takes the path whenever a list or a watch is asked for, and whenever a watch brings something. A list is what is asked for in
    chunks.
    """

    async def stand_between(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        is_list, is_watch = "limit" in request.url.query, "watch" in request.url.query
        if is_list or is_watch:
            on_life(request.url.path)
        if is_list:
            request.url = request.url.update_query(fieldSelector=NOTHING)
        response = await send(request)
        if is_list and response.ok:
            on_list(request.url.path)
        elif is_watch:
            life = partial(on_life, request.url.path)
            response.content = _Quieted(response.content, request.url.name, is_known, life)  # type: ignore[assignment]  # as far as it is used
        return response

    headers = {"Authorization": f"Bearer {credentials.token.get_secret_value()}"} if credentials.token is not None else {}
    connector = aiohttp.TCPConnector(limit=0, ssl=credentials.trust())
    return aiohttp.ClientSession(connector=connector, headers=headers, middlewares=(stand_between,))


class _Quieted:
    """What a watch brings, line by line, without what is known."""

    def __init__(self, content: aiohttp.StreamReader, plural: str, is_known: Known, on_life: Callable[[], object]) -> None:
        self._content, self._plural, self._is_known, self._on_life = content, plural, is_known, on_life

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a stream has
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as they come."""
        begun = b""
        async for data in self._content.iter_chunked(size):
            self._on_life()
            if len(data) < BACKLOG:
                await asyncio.sleep(MOMENT)
            whole, newline, begun = (begun + data).rpartition(b"\n")
            if newline:
                yield b"".join(line + newline for line in self._quieten(whole.split(b"\n")))
        if begun:
            yield begun

    def _quieten(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The news, and of what is known between them how far it goes.

        A deletion is always news, and what is no event is somebody else's to judge.
        """
        last: dict[str, Any] | None = None
        for line in lines:
            known = self._find_known(line)
            if known is None and last is not None:
                yield _write_bookmark(last)
            if known is None:
                yield line
            last = known
        if last is not None:
            yield _write_bookmark(last)

    def _find_known(self, line: bytes) -> dict[str, Any] | None:
        """The object of an event that is no news."""
        if not line.startswith((b'{"type":"ADDED"', b'{"type":"MODIFIED"')):
            return None
        body: dict[str, Any] = orjson.loads(line)["object"]
        return body if self._is_known(self._plural, body) else None


def _write_bookmark(body: dict[str, Any]) -> bytes:
    """A line that says no more of an object than that the watch has come so far."""
    reached = {"resourceVersion": body["metadata"]["resourceVersion"]}
    return orjson.dumps({"type": "BOOKMARK", "object": {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": reached}})
