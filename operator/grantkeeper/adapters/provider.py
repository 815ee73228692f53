"""Carry one request to an authorization server, and say exactly how far it came.

What was presented may be good for one use only, so the one thing that must never be wrong is whether a byte of it left: the
library's trace tells that, not the kind of its exceptions. For the same reason nothing is ever repeated, and no connection is
kept: a server may close an idle one at the very moment of a request, whose fate is unknown then; a handshake is cheaper.
The transport is used without httpx's client, which would add cookies, redirects and headers of its own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from grantkeeper.adapters import bodies, egress, trust
from grantkeeper.core.oauth import Answer, Request
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderError, ProviderUnsent

CONNECT_BY = timedelta(seconds=5)
_ADDRESSES_TRIED = 3
_STALLED = 0.5
_READ_WITHIN = 1.0
"""Seconds: from how late a timer is on this process did not run, and what it has then for what waits to be read."""
_OUR_HEADERS = {"User-Agent": "grantkeeper", "Accept-Encoding": "identity", "Connection": "close"}


@dataclass(slots=True)
class _Course:
    """How far a request came, as the transport's trace tells it."""

    handshake_failure: BaseException | None = None
    sent: bool = False
    """Whether a first byte may have left."""
    whole: Callable[[], None] = lambda: None
    """Called when all of it is."""


class Provider:
    """Authorization servers, over https and within the egress rule; `networks` are allowed although they are not public."""

    def __init__(self, networks: Sequence[egress.Network], *, resolver: egress.Resolver | None = None) -> None:
        self._networks = tuple(networks)
        self._resolver = resolver or egress.Resolver()

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
        message = httpx.Request(request.method, _read_url(request.url), headers={**headers, **_OUR_HEADERS}, content=form)
        return await self._exchange(message, trust.context(ca_bundle), timeout, connect_by, sent)

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ASYNC109  # as above
        """Fetch a public document; failures as in `send`."""
        message = httpx.Request("GET", _read_url(url), headers={"Accept": "application/json", **_OUR_HEADERS})
        return await self._exchange(message, trust.context(ca_bundle), timeout, CONNECT_BY, lambda: None)

    async def aclose(self) -> None:
        """Let the resolver's threads go; there are no connections to close."""
        self._resolver.close()

    async def _exchange(
        self, message: httpx.Request, context: ssl.SSLContext, within: timedelta, connect_by: timedelta, sent: Callable[[], None]
    ) -> Answer:
        clock = asyncio.get_running_loop().time
        host, port = message.url.raw_host.decode("ascii"), message.url.port or 443
        answered_by = clock() + within.total_seconds()
        connected_by = min(answered_by, clock() + connect_by.total_seconds())
        try:
            async with asyncio.timeout_at(connected_by):
                addresses = await egress.admit(host, port, self._networks, self._resolver)
        except TimeoutError:
            raise ProviderUnsent(f"the host name {host} was not resolved in time") from None
        *others, last = addresses[:_ADDRESSES_TRIED]
        for waiting, address in enumerate(others, start=-len(others)):
            share = (connected_by - clock()) / (1 - waiting)
            with suppress(ProviderUnsent):
                return await _attempt(message, address, context, clock() + share, answered_by, _Course(whole=sent))
        return await _attempt(message, last, context, connected_by, answered_by, _Course(whole=sent))


async def _attempt(
    message: httpx.Request, address: str, context: ssl.SSLContext, connected_by: float, answered_by: float, course: _Course
) -> Answer:
    """Connect to this very address, as the host that was named, and send; the deadlines are moments of the event loop."""
    host = message.url.raw_host.decode("ascii")

    async def watch(event: str, details: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            # A handshake that is cancelled would leave its connection open.
            connections.push_async_callback(details["return_value"].aclose)
        elif event == "connection.start_tls.failed":
            course.handshake_failure = details["exception"].__cause__
        elif event == "http11.send_request_headers.started":
            course.sent = True
            deadline.reschedule(None)
            connections.callback(asyncio.get_running_loop().call_at(answered_by, _expire, deadline, answered_by).cancel)
        elif event == "http11.send_request_body.complete":
            course.whole()

    pinned = httpx.Request(
        message.method,
        message.url.copy_with(host=address),
        headers=message.headers,  # with the Host that was named
        stream=message.stream,
        extensions={"trace": watch, "sni_hostname": host.rstrip(".")},
    )
    try:
        async with (
            asyncio.timeout_at(connected_by) as deadline,
            AsyncExitStack() as connections,
            httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport,
            aclosing(await transport.handle_async_request(pinned)) as response,
        ):
            return Answer(
                status=response.status_code,
                content_type=response.headers.get("Content-Type", ""),
                retry_after=response.headers.get("Retry-After"),
                body=await bodies.read(response.aiter_raw(), response.headers.get("Content-Encoding", "")),
                date=response.headers.get("Date"),
            )
    except (httpx.TransportError, OSError) as failure:
        raise _explain(host, course, late=isinstance(failure, TimeoutError)) from None


def _expire(deadline: asyncio.Timeout, answered_by: float) -> None:
    """Give up; but where this process did not run for a while, read first what has come meanwhile: it may hold a new refresh token."""
    now = asyncio.get_running_loop().time()
    deadline.reschedule(now + _READ_WITHIN if now - answered_by > _STALLED else now)


def _read_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ProviderDistrusted("the server's address is not a URL") from None
    if url.scheme != "https" or not url.host or url.userinfo:
        raise ProviderDistrusted("the server's address is not an https URL, or holds a user name; nothing is sent to such")
    return url


def _explain(host: str, course: _Course, *, late: bool) -> ProviderError:
    """What a failure means for what was to be presented; no word of the server's is in it."""
    if course.sent:
        return AnswerLost(f"{host} was asked and {'did not answer in time' if late else 'broke off'}")
    match course.handshake_failure:
        case ssl.SSLCertVerificationError() as failure:
            return ProviderDistrusted(trust.explain(host, failure))
        case ssl.SSLError():
            return ProviderDistrusted(f"{host} does not speak TLS 1.2 or newer on that port")
    return ProviderUnsent(f"{host} accepted no connection{' in time' if late else ''}")
