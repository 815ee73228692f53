"""The session that a watcher is given: it watches, and where it would list, nothing is listed; of what is known, it hears but the version.

Each object costs a watcher many times what it costs to read it, and everything is read here anyway. So a list is asked for what nothing
is called. It tells from which version on the watch brings what changes; whoever reads everything after that misses nothing. And what a
watch brings that is known already, as the echoes of our own writes are, comes as a bookmark, which says how far the watch has come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import aiohttp
import orjson

from grantkeeper.adapters.login import Credentials

NOTHING = "metadata.name=-"
"""A field selector that no object fits: none can have that name."""

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
            whole, newline, begun = (begun + data).rpartition(b"\n")
            if newline:
                yield b"".join(self._quieten(line) + newline for line in whole.split(b"\n"))
        if begun:
            yield begun

    def _quieten(self, line: bytes) -> bytes:
        """The line, or a bookmark in its place. A deletion is always news, and what is no event is somebody else's to judge."""
        if not line.startswith((b'{"type":"ADDED"', b'{"type":"MODIFIED"')):
            return line
        body = orjson.loads(line)["object"]
        if not self._is_known(self._plural, body):
            return line
        reached = {"resourceVersion": body["metadata"]["resourceVersion"]}
        return orjson.dumps({"type": "BOOKMARK", "object": {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": reached}})
