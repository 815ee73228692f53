"""One call to the API server: sent once, unless it surely was not carried out; what goes wrong is a ClusterError.

When the answer to a write is lost, nobody here knows whether it happened. That is `Unreachable`, and the caller, who knows what was to
be written, reads and compares. Sent again is only what cannot do anything twice: reads, what found no connection, and what the API
server turned away before it looked at it (429, and 401 to a token that was just replaced).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import orjson

from grantkeeper.adapters.login import Login
from grantkeeper.errors import ClusterError, Conflict, Forbidden, Invalid, NotFound, SettingsError, Unreachable

Object = dict[str, Any]
"""An object as the API server has it."""

CONNECTIONS = 32
JSON = "application/json"
_LONGEST_MESSAGE = 300
_TOO_MANY = 429
_BACKOFF = (0.1, 1.6)
"""Seconds: the first pause before a call is sent again, and the longest."""


class Expired(ClusterError):
    """The snapshot that a list was being read from is gone; begin again."""


class _Unrecognized(Forbidden):
    """The API server does not know who is asking, and did not look further."""


class _Unsent(Unreachable):
    """No connection: not a byte of the call left."""


class _Lost(Unreachable):
    """The call may have been carried out."""


class _Later(Unreachable):
    """The API server answered that it cannot now."""

    def __init__(self, message: str, *, looked_at: bool, after: float) -> None:
        super().__init__(message)
        self.looked_at = looked_at
        self.after = after


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take."""

    timeout: timedelta = timedelta(seconds=10)
    """For one call, from asking for a connection to the last byte of the answer; half of it for connecting."""
    patience: timedelta = timedelta(seconds=10)
    """For trying one call again."""
    reread: timedelta = timedelta(minutes=1)
    """For using credentials before they are read anew."""


USUAL = Pace()


class Calls:
    """One API server, as one account. It belongs to the event loop that first uses it; close it there."""

    def __init__(self, login: Login, pace: Pace) -> None:
        self._login = login
        self._pace = pace
        self._session: aiohttp.ClientSession | None = None
        self._credentials = login.read()
        self._trust = self._credentials.trust()
        self._read_at = time.monotonic()

    async def call(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: Object | None = None, content_type: str = JSON
    ) -> Object:
        """Call, and return the object that was answered; a ClusterError otherwise."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self._pace.patience.total_seconds()
        content = None if body is None else orjson.dumps(body)
        backoff = _BACKOFF[0]
        while True:
            shown = self._credentials
            try:
                return (await self._send(method, path, query, content, content_type)).read(path)
            except _Unrecognized:
                self._read_credentials()
                if self._credentials == shown:
                    raise
            except Unreachable as failure:
                pause = max(backoff, failure.after) if isinstance(failure, _Later) else backoff
                if not _may_repeat(method, failure) or clock() + pause > give_up_at:
                    raise
                await asyncio.sleep(pause)
                backoff = min(2 * backoff, _BACKOFF[1])

    async def _send(self, method: str, path: str, query: dict[str, str] | None, content: bytes | None, content_type: str) -> _Reply:
        if self._session is None:
            timeout = self._pace.timeout.total_seconds()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=timeout / 2),
                middlewares=(_send_once,),
                # Only long lists would be compressed: what is sealed hardly becomes shorter, and it takes both sides longer to do so.
                headers={"User-Agent": "grantkeeper", "Accept": JSON, "Accept-Encoding": "identity"},
            )
        if time.monotonic() - self._read_at >= self._pace.reread.total_seconds():
            self._read_credentials()
        headers = {"Content-Type": content_type} if content is not None else {}
        if self._credentials.token is not None:
            headers["Authorization"] = f"Bearer {self._credentials.token.get_secret_value()}"
        url = f"{self._credentials.server}/{path}"
        try:
            async with self._session.request(
                method, url, params=query, data=content, headers=headers, ssl=self._trust, allow_redirects=False
            ) as response:
                return _Reply(response.status, response.headers.get("Retry-After", ""), await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failure:
            raise _Unsent(f"{path}: no connection to {self._credentials.server} ({type(failure).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise _Lost(f"{path}: no answer to {method} ({type(failure).__name__})") from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _read_credentials(self) -> None:
        """While the files are being replaced, those from before serve."""
        self._read_at = time.monotonic()
        with suppress(SettingsError):
            credentials = self._login.read()
            if credentials != self._credentials:
                self._trust = credentials.trust()
                self._credentials = credentials


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending again by itself what HTTP calls idempotent: PUT and DELETE, when a kept connection breaks."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
        raise _Lost(f"{request.url.path.lstrip('/')}: no answer to {request.method} ({type(failure).__name__})") from None


def _may_repeat(method: str, failure: Unreachable) -> bool:
    """Whether the call cannot do anything twice."""
    return method == "GET" or isinstance(failure, _Unsent) or (isinstance(failure, _Later) and not failure.looked_at)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    retry_after: str
    body: bytes = field(repr=False)

    def read(self, path: str) -> Object:
        """The object that was sent, or what the status means. The server's own words only where they say what a person must change."""
        match self.status:
            case status if status < 300:  # noqa: PLR2004
                if (held := self._parse()) is None:
                    raise _Lost(f"{path}: the answer cannot be read")
                return held
            case 401:
                raise _Unrecognized(f"{path}: the API server does not know who is asking")
            case 403:
                raise Forbidden(f"{path}: {self._message()}")
            case 404:
                raise NotFound(f"{path}: there is no such object")
            case 409:
                raise Conflict(f"{path}: changed since it was read, or there already")
            case 410:
                raise Expired(f"{path}: the list expired while it was read")
            case 422:
                raise Invalid(f"{path}: {self._message()}")
            case status if status == _TOO_MANY or status >= 500:  # noqa: PLR2004
                after = float(self.retry_after) if self.retry_after.isdecimal() else 0.0
                raise _Later(f"{path}: the API server answered {status}", looked_at=status != _TOO_MANY, after=after)
            case status:
                raise Invalid(f"{path}: the API server answered {status}")

    def _message(self) -> str:
        message = (self._parse() or {}).get("message")
        return " ".join(message.split())[:_LONGEST_MESSAGE] if isinstance(message, str) else f"the API server answered {self.status}"

    def _parse(self) -> Object | None:
        try:
            held = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return held if isinstance(held, dict) else None
