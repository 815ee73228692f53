"""Carry one request to an authorization server, and say exactly how far it came.

What was presented may be good for one use only, so the one thing that must never be wrong is whether a byte of it left: it is
written by one call here, and what fails before that has sent nothing. For the same reason nothing is ever repeated.
There are no cookies, redirects, proxies, nor any headers but those named here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import httpx
from pydantic import SecretStr

from grantkeeper.adapters import bodies, egress, trust
from grantkeeper.adapters.connection import Connection, Message, Unspeakable
from grantkeeper.adapters.connections import Connections
from grantkeeper.core.oauth import Answer, Request
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderError, ProviderUnsent

CONNECT_BY = timedelta(seconds=5)
_ADDRESSES_TRIED = 3
_STALLED = 0.5
_READ_WITHIN = 1.0
"""Seconds: from how late a timer is on this process did not run, and what it has then for what waits to be read."""
_OUR_HEADERS = {"User-Agent": "grantkeeper", "Accept-Encoding": "identity"}


class Provider:
    """Authorization servers, over https and within the egress rule; `networks` are allowed although they are not public."""

    def __init__(self, networks: Sequence[egress.Network], *, resolver: egress.Resolver | None = None) -> None:
        self._networks = tuple(networks)
        self._resolver = resolver or egress.Resolver()
        self._connections = Connections()

    async def send(
        self,
        request: Request,
        *,
        ca_bundle: bytes | None,
        timeout: timedelta,  # noqa: ASYNC109  # how long a lost answer is waited for is the protocol's decision
        connect_by: timedelta = CONNECT_BY,
        sent: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send once; `timeout` is for everything, `connect_by` for the part in which nothing has been sent yet.

        `sent` is called when the last byte of the request has been handed to the kernel, and before the answer is awaited.
        ProviderUnsent and ProviderDistrusted: not one byte of the request left. AnswerLost: some may have, and no usable
        answer came.
        """
        headers = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in request.headers.items()}
        form = request.form.get_secret_value().encode()
        return await self._exchange(request.method, request.url, headers, form, trust.context(ca_bundle), timeout, connect_by, sent)

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ASYNC109  # as above
        """Fetch a public document; failures as in `send`."""
        accept = {"Accept": "application/json"}
        return await self._exchange("GET", url, accept, b"", trust.context(ca_bundle), timeout, CONNECT_BY, lambda: None)

    async def aclose(self) -> None:
        """Let go of what is held: connections, and the resolver's threads."""
        self._connections.close()
        self._resolver.close()

    async def _exchange(  # a request and how it is to be sent
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        content: bytes,
        context: ssl.SSLContext,
        within: timedelta,
        connect_by: timedelta,
        sent: Callable[[], None],
    ) -> Answer:
        clock = asyncio.get_running_loop().time
        place = _read_url(address)
        answered_by = clock() + within.total_seconds()
        connected_by = min(answered_by, clock() + connect_by.total_seconds())

        def write() -> Message:
            try:
                return Message.write(method, place.target, {"Host": place.authority, **headers, **_OUR_HEADERS}, content)
            except ValueError:
                raise ProviderUnsent(f"what is to be sent to {place.host} holds letters that HTTP has no place for") from None

        def attempt(at: str, by: float) -> Coroutine[Any, Any, Answer]:
            lent = self._connections.lend(at, place.port, place.host.rstrip("."), context, place.target)
            return _attempt(write(), place.host, lent, by, answered_by, sent)

        try:
            async with asyncio.timeout_at(connected_by):
                addresses = await egress.admit(place.host, place.port, self._networks, self._resolver)
        except TimeoutError:
            raise ProviderUnsent(f"the host name {place.host} was not resolved in time") from None
        *others, last = addresses[:_ADDRESSES_TRIED]
        for waiting, other in enumerate(others, start=-len(others)):
            share = (connected_by - clock()) / (1 - waiting)
            with suppress(ProviderUnsent):
                return await attempt(other, clock() + share)
        return await attempt(last, connected_by)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request goes: what its URL says."""

    host: str
    """In ASCII, without brackets."""
    port: int
    authority: str
    target: bytes


async def _attempt(  # one of several, each with its share of the time
    message: Message,
    host: str,
    lent: AbstractAsyncContextManager[Connection],
    connected_by: float,
    answered_by: float,
    sent: Callable[[], None],
) -> Answer:
    """Send over a connection, which is had by the first deadline, and read the answer by the second: moments of the event loop."""
    timer: asyncio.TimerHandle | None = None
    may_have_left = False
    try:
        async with asyncio.timeout_at(connected_by) as deadline, lent as connection:
            deadline.reschedule(None)
            may_have_left = True
            timer = asyncio.get_running_loop().call_at(answered_by, _expire, deadline, answered_by)
            await connection.send(message)
            sent()
            head = await connection.read_head(message)
            async with aclosing(connection.read_body(message)) as parts:
                body = await bodies.read(parts, head.headers.get("content-encoding", ""))
            return Answer(
                status=head.status,
                content_type=head.headers.get("content-type", ""),
                retry_after=head.headers.get("retry-after"),
                body=body,
                date=head.headers.get("date"),
            )
    except (Unspeakable, OSError, RuntimeError) as failure:  # RuntimeError is uvloop's word for a connection that has gone meanwhile
        raise _explain(host, failure, may_have_left=may_have_left) from None
    finally:
        if timer is not None:
            timer.cancel()


def _expire(deadline: asyncio.Timeout, answered_by: float) -> None:
    """Give up; but where this process did not run for a while, read first what has come meanwhile: it may hold a new refresh token."""
    now = asyncio.get_running_loop().time()
    deadline.reschedule(now + _READ_WITHIN if now - answered_by > _STALLED else now)


@lru_cache(maxsize=256)
def _read_url(text: str) -> _Place:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ProviderDistrusted("the server's address is not a URL") from None
    if url.scheme != "https" or not url.host or url.userinfo:
        raise ProviderDistrusted("the server's address is not an https URL, or holds a user name; nothing is sent to such")
    return _Place(url.raw_host.decode("ascii"), url.port or 443, url.netloc.decode("ascii"), url.raw_path)


def _explain(host: str, failure: Exception, *, may_have_left: bool) -> ProviderError:
    """What a failure means for what was to be presented; no word of the server's is in it."""
    late = isinstance(failure, TimeoutError)
    if may_have_left:
        return AnswerLost(f"{host} was asked and {'did not answer in time' if late else 'broke off'}")
    match failure:
        case ssl.SSLCertVerificationError():
            return ProviderDistrusted(trust.explain(host, failure))
        case ssl.SSLError():
            return ProviderDistrusted(f"{host} does not speak TLS 1.2 or newer on that port")
    return ProviderUnsent(f"{host} accepted no connection{' in time' if late else ''}")
