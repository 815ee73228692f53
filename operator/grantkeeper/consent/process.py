"""The process: one listening socket, one connection to the API server, no key of any kind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from grantkeeper.adapters.cluster import Cluster
from grantkeeper.consent.app import build
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.texts import Texts
from grantkeeper.errors import SettingsError
from grantkeeper.settings import ConsentSettings

_log = structlog.get_logger(__name__)

_LANGUAGE = "en"
_LONGEST_HEAD = 32_768
"""Bytes after which an unfinished head is refused: room for a long code, and for the cookies of a host that others share."""


def run(settings: ConsentSettings) -> None:
    """Serve the pages until SIGTERM or SIGINT; SettingsError where they cannot be served at all."""
    asyncio.run(_serve(settings))


async def _serve(settings: ConsentSettings) -> None:
    with _listen(settings.listen) as listener:
        cluster = Cluster.connect(settings)
        pages = Pages(Texts.load(_LANGUAGE))
        app = build(cluster, pages, external_url=settings.external_url, operator_namespace=settings.namespace)
        _log.info("The pages are open", listen=settings.listen, external_url=settings.external_url)
        try:
            await serve(app, listener)
        finally:
            await cluster.close()


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, and finish what is being answered.

    No access log is written, for query strings carry codes, and no header is believed about who is asking.
    """
    server = uvicorn.Server(
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

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # When uvicorn is done it raises the signal that ended it once more, which would end the process before its time.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    await server.serve(sockets=[listener])


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except (OSError, OverflowError, ValueError) as failure:
        number = failure.errno if isinstance(failure, OSError) else None
        reason = os.strerror(number) if number and number > 0 else "no such port or host"
        raise SettingsError(f"GRANTKEEPER_LISTEN is {address}, and that cannot be listened on: {reason}.") from None
