"""Serve an application on a socket, the same way at every door: nothing logged, nothing believed about who asks, ended in order."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from grantkeeper.errors import SettingsError

_LONGEST_HEAD = 32_768
"""Bytes after which an unfinished head is refused: room for a long code, and for the cookies of a host that others share."""


def listen(address: str, variable: str) -> socket.socket:
    """Listen on `host:port`; SettingsError, naming the variable that says so, where that cannot be."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except (OSError, OverflowError, ValueError) as failure:
        number = failure.errno if isinstance(failure, OSError) else None
        reason = os.strerror(number) if number and number > 0 else "no such port or host"
        raise SettingsError(f"{variable} is {address}, and that cannot be listened on: {reason}.") from None


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Answer as long as the block lasts, and finish then what is being answered.

    No access log is written, for query strings carry codes, and no header is believed about who is asking.
    """
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http="h11",
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=10,
        )
    )
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await answering


class _Server(uvicorn.Server):
    """Leaves signals to the process, which alone knows what has to end first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear none."""
        yield
