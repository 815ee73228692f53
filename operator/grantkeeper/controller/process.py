"""The controller process: it logs in, serves what kubelet and Prometheus ask for, and works until it is told to end."""

from __future__ import annotations

import asyncio

from grantkeeper.adapters import observing
from grantkeeper.adapters.cluster import Cluster
from grantkeeper.adapters.login import Login
from grantkeeper.adapters.provider import Provider
from grantkeeper.adapters.serving import listen, serving
from grantkeeper.controller.assembling import assemble
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.pulse import Pulse
from grantkeeper.settings import ControllerSettings


def run(settings: ControllerSettings) -> None:
    """Run until SIGTERM, SIGINT, or the end of the watches."""
    asyncio.run(_run(settings))


async def _run(settings: ControllerSettings) -> None:
    login = Login.find(settings.service_account_directory)
    meter, pulse = Meter(), Pulse()
    said = observing.build(meter.registry, health=pulse.illness, readiness=pulse.unreadiness)
    with listen(settings.metrics_listen, "GRANTKEEPER_METRICS_LISTEN") as listener:
        cluster = Cluster.connect(settings)
        provider = Provider(settings.provider_networks)
        try:
            async with serving(said, listener):
                controller = await assemble(settings, cluster, provider, meter=meter, pulse=pulse)
                await controller.work(login)
        finally:
            await provider.aclose()
            await cluster.close()
