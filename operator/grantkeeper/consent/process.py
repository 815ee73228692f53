"""The process: a socket for people and one for kubelet and Prometheus, one connection to the API server, no key of any kind."""

from __future__ import annotations

import asyncio
import signal
import socket

import structlog
from starlette.types import ASGIApp

from grantkeeper.adapters import observing
from grantkeeper.adapters.catalogue import load_presets
from grantkeeper.adapters.cluster import Cluster
from grantkeeper.adapters.serving import listen, serving
from grantkeeper.consent.app import build
from grantkeeper.consent.lookout import Lookout
from grantkeeper.consent.measuring import Meter
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.texts import Texts
from grantkeeper.settings import ConsentSettings

_log = structlog.get_logger(__name__)

_LANGUAGE = "en"


def run(settings: ConsentSettings) -> None:
    """Serve the pages until SIGTERM or SIGINT; SettingsError where they cannot be served at all."""
    asyncio.run(_run(settings))


async def _run(settings: ConsentSettings) -> None:
    with (
        listen(settings.listen, "GRANTKEEPER_LISTEN") as people,
        listen(settings.metrics_listen, "GRANTKEEPER_METRICS_LISTEN") as observers,
    ):
        cluster = Cluster.connect(settings)
        meter, lookout = Meter(), Lookout(cluster)
        said = observing.build(meter.registry, health=lambda: None, readiness=lookout.unreadiness)
        pages = Pages(Texts.load(_LANGUAGE), meter.count_page)
        app = build(
            cluster,
            pages,
            meter,
            external_url=settings.external_url,
            operator_namespace=settings.namespace,
            presets=load_presets(),
        )
        _log.info("The pages are open", listen=settings.listen, external_url=settings.external_url)
        looking = asyncio.create_task(lookout.run())
        try:
            async with serving(said, observers):
                await serve(app, people)
        finally:
            looking.cancel()
            await cluster.close()


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, and finish what is being answered."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with serving(app, listener):
        await asked.wait()
