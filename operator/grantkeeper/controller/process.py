"""The controller process: it logs in, serves what kubelet and Prometheus ask for, and stands by until it leads.

It works as long as it leads and its watches hold. Then it finishes what is in flight, forgets everything and stands by again:
restarted instead, it would be made to wait the longer the oftener that happens, and be missing just when the API server is back.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from grantkeeper.adapters import looping, observing
from grantkeeper.adapters.cluster import Cluster
from grantkeeper.adapters.login import Login
from grantkeeper.adapters.provider import Provider
from grantkeeper.adapters.serving import listen, serving
from grantkeeper.controller.assembling import assemble, clock, new_holder
from grantkeeper.controller.leading import PACE, Leadership
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.pulse import Pulse
from grantkeeper.controller.running import Controller
from grantkeeper.core.leadership import Replica
from grantkeeper.errors import ClusterError
from grantkeeper.settings import ControllerSettings

log = structlog.get_logger()

Coming = TypeVar("Coming")

BEGIN_AGAIN_AFTER = 1.0
"""Seconds, while the API server is away or gives us no rights yet, and between two terms."""


def run(settings: ControllerSettings) -> None:
    """Run until SIGTERM or SIGINT, or until the watches hang."""
    looping.run(_run(settings))


async def _run(settings: ControllerSettings) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    login = Login.find(settings.service_account_directory)
    meter, pulse = Meter(), Pulse()
    said = observing.build(meter.registry, health=pulse.illness, readiness=pulse.unreadiness)
    with listen(settings.metrics_listen, "GRANTKEEPER_METRICS_LISTEN") as listener:
        cluster, leases = Cluster.connect(settings), Cluster.connect(settings, PACE)
        provider = Provider(settings.provider_networks)
        replica = Replica(settings.pod_name, new_holder(settings))
        life = Life(settings, login, cluster, provider, Leadership(leases, settings.namespace, replica, clock), meter, pulse, asked)
        try:
            async with serving(said, listener):
                await life.live()
        finally:
            await provider.aclose()
            await leases.close()
            await cluster.close()


@dataclass(frozen=True, slots=True)
class Life:
    """The life of the process: one term after another."""

    settings: ControllerSettings
    login: Login
    cluster: Cluster
    provider: Provider
    leadership: Leadership
    meter: Meter
    pulse: Pulse
    asked: asyncio.Event
    """Set when the process is to end."""

    async def live(self) -> None:
        """Stand by and lead in turn, until asked to end, or until the watches hang: then only a new process can watch."""
        while not self.asked.is_set():
            try:
                controller = await self._unless_asked(self._begin())
                if controller is None or not await self._serve_term(controller):
                    return
            finally:
                await self.leadership.give_back()

    async def _begin(self) -> Controller:
        """A controller that knows nothing yet but the keyring, as soon as this replica leads."""
        self.pulse.stand_by(ready=False)
        controller = await self._assemble()
        self.pulse.stand_by()
        await self.leadership.win()
        self.pulse.lead()
        return controller

    async def _assemble(self) -> Controller:
        while True:
            try:
                return await assemble(
                    self.settings,
                    self.cluster,
                    self.provider,
                    meter=self.meter,
                    pulse=self.pulse,
                    holder=self.leadership.us.holder,
                    leads=self.leadership.holds,
                )
            except ClusterError as error:
                log.warning("the API server does not do what is needed to begin; it is asked again", error=str(error))
                await asyncio.sleep(BEGIN_AGAIN_AFTER)

    async def _serve_term(self, controller: Controller) -> bool:
        """Work until the lease is lost, the end is asked for or the watches end; whether there may be another term in this process."""
        keeping, asking = asyncio.create_task(self.leadership.keep()), asyncio.create_task(self.asked.wait())
        for task in (keeping, asking):
            task.add_done_callback(lambda _: controller.end())
        try:
            await controller.work(self.login)
            if self.asked.is_set():
                return False
            if keeping.done():
                keeping.result()
            await asyncio.sleep(BEGIN_AGAIN_AFTER)
            return await controller.has_ended()
        finally:
            keeping.cancel()
            asking.cancel()
            await asyncio.wait((keeping, asking))

    async def _unless_asked(self, coming: Coroutine[Any, Any, Coming]) -> Coming | None:
        """What comes; None where the end is asked for before it does."""
        task, asking = asyncio.create_task(coming), asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait((task, asking), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            asking.cancel()
            await asyncio.wait((task, asking))
