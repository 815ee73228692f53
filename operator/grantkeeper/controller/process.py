"""The controller process: everything is put together here once, and taken down in order.

The order matters at both ends. Nothing acts before everything has been read; and what is in flight when the end comes is
finished and stored before the process goes.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters import observing
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, USERGRANTS, Cluster
from grantkeeper.adapters.keys import KEYRING_TYPE, KeyringSecret
from grantkeeper.adapters.login import Login
from grantkeeper.adapters.provider import Provider
from grantkeeper.adapters.serving import listen, serving
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.agenda import Agenda, Subject
from grantkeeper.controller.announcing import Announcer
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.delivering import Deliverer
from grantkeeper.controller.exchanging import Exchanger
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.gathering import Gatherer
from grantkeeper.controller.identifying import Identifier
from grantkeeper.controller.keeper import Keeper
from grantkeeper.controller.keysets import KeySets
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.presenting import Presenter
from grantkeeper.controller.pulse import Pulse
from grantkeeper.controller.redeeming import Redeemer
from grantkeeper.controller.refreshing import Refresher
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.controller.releasing import Releaser
from grantkeeper.controller.requesting import Asker
from grantkeeper.controller.revoking import Revoker
from grantkeeper.controller.seals import Seals
from grantkeeper.controller.sparing import Siblings
from grantkeeper.controller.sweeping import Sweeper
from grantkeeper.controller.watching import Watcher
from grantkeeper.core.records import Holder
from grantkeeper.errors import ClusterError, KeyringError
from grantkeeper.settings import ControllerSettings

log = structlog.get_logger()

SWEEP_EVERY = timedelta(minutes=5)
GRANT, CONNECTOR, ORPHAN, KEYRING = "grant", "connector", "orphan", "keyring"


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
                controller = await Controller.start(settings, cluster, provider, meter=meter, pulse=pulse)
                await controller.work(login)
        finally:
            await provider.aclose()
            await cluster.close()


async def _wait_for_kinds(cluster: Cluster) -> None:
    """Wait until discovery shows our kinds: kopf looks there once, and would watch nothing where they are missing."""
    for kind in (USERGRANTS, OAUTHCONNECTORS):
        while not await cluster.offers(kind):
            log.warning("waiting for a CRD: install it, or set crds.enabled in the chart", resource=kind.plural)
            await asyncio.sleep(1)


def clock() -> datetime:
    """The present."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Controller:
    """One controller: its memory, its agenda, and its keepers."""

    registry: Registry
    agenda: Agenda
    looks: Agenda
    """The agenda of connectors; theirs is a server that may not answer, and no grant shall wait for that."""
    keys: KeyringSecret
    connectors: Connectors
    keeper: Keeper
    sweeper: Sweeper
    pulse: Pulse
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(
        cls,
        settings: ControllerSettings,
        cluster: Cluster,
        provider: Provider,
        clock: Callable[[], datetime] = clock,
        *,
        meter: Meter | None = None,
        pulse: Pulse | None = None,
    ) -> Controller:
        """Read the keyring and who this cluster is, and put the parts together."""
        meter, pulse = meter or Meter(), pulse or Pulse()
        await _wait_for_kinds(cluster)
        registry = Registry(settings.namespace)
        agenda = Agenda(clock, group_of=registry.connector_of)
        looks = Agenda(clock)
        vault = Vault(cluster, settings.namespace, registry.note_secret, lambda body: registry.note_secret(body, gone=True))
        keys = KeyringSecret(cluster, settings.namespace, settings.keyring_secret, generate=settings.keyring_generate)
        await keys.reload()
        pulse.has_keyring = True
        kube_system = await cluster.get(NAMESPACES, None, "kube-system")
        seals = Seals(lambda: keys.keyring, kube_system["metadata"]["uid"])
        holder = Holder(pod=settings.pod_uid, boot=secrets.token_hex(8))

        def wake_users(name: Name) -> None:
            for grant in registry.grants_of(name):
                agenda.wake((GRANT, grant.metadata.uid))

        connectors = Connectors(
            registry,
            cluster,
            provider,
            settings.external_url,
            clock,
            changed=wake_users,
            look=lambda name: looks.wake((CONNECTOR, "/".join(name))),
            meter=meter,
            key_sets=KeySets(provider, clock, meter),
        )
        gatherer = Gatherer(registry, connectors, seals, holder)
        presenter = Presenter(vault, provider, connectors, holder, clock, lambda: agenda.is_draining, meter)
        announcer = Announcer(cluster, clock, settings.pod_name)
        finalizers = Finalizers(cluster, registry)
        revoker = Revoker(provider, clock, meter)
        identifier, siblings = Identifier(provider, connectors.key_sets, clock, meter), Siblings(registry, seals)
        keeper = Keeper(
            registry,
            cluster,
            gatherer,
            Asker(vault, seals, clock),
            Redeemer(presenter, seals, Exchanger(presenter, seals, finalizers, revoker, identifier, siblings)),
            Refresher(presenter, seals),
            Deliverer(cluster, vault, gatherer, clock, meter),
            Releaser(registry, cluster, vault, seals, connectors, finalizers, revoker, siblings, announcer),
            finalizers,
            announcer,
            settings.external_url,
            clock,
        )
        meter.grants = registry.grants.values
        pulse.longest_pass = lambda: max(agenda.longest_pass, looks.longest_pass)
        pulse.is_storing = lambda: registry.is_claimed_by(holder)
        return cls(registry, agenda, looks, keys, connectors, keeper, Sweeper(registry, cluster, vault, clock), pulse)

    async def work(self, login: Login) -> None:
        """Read everything, watch, and keep, until asked to end or until the watches end; then finish what is in flight."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        await self.sweeper.sweep()
        self.pulse.beat()
        self._wake_everything()
        watcher = Watcher(login, self.take_in, self._ended.set)
        watcher.start()
        log.info("keeping", grants=len(self.registry.grants), connectors=len(self.registry.connectors))
        chores = [asyncio.create_task(work) for work in (self.agenda.run(self.keep), self.looks.run(self.keep), self._sweep_again())]
        for chore in chores:
            chore.add_done_callback(lambda _: self._ended.set())  # none of them ends by itself; without one, nothing is kept
        await self._ended.wait()
        log.info("ending: what is in flight is finished")
        await asyncio.gather(self.agenda.drain(), self.looks.drain())
        for chore in chores:
            chore.cancel()
        watcher.stop()
        log.info("ended")

    def take_in(self, plural: str, event: str | None, body: dict[str, Any]) -> None:
        """Note what a watch brought, and wake whom it concerns. An object that nobody can read must not stop the others."""
        try:
            self._take_in(plural, body, gone=event == "DELETED")
        except Exception as error:  # noqa: BLE001  # its text could repeat what is in the object
            log.error("an object cannot be read", resource=plural, name=body["metadata"].get("name"), error=type(error).__name__)  # noqa: TRY400

    def _take_in(self, plural: str, body: dict[str, Any], *, gone: bool) -> None:
        match plural:
            case "usergrants":
                if (grant := self.registry.note_grant(body, gone=gone)) is not None:
                    self.agenda.wake((ORPHAN if gone else GRANT, grant.metadata.uid))
            case "oauthconnectors":
                if (connector := self.registry.note_connector(body, gone=gone)) is not None:
                    self.looks.wake((CONNECTOR, f"{connector.metadata.namespace}/{connector.metadata.name}"))
            case _ if body.get("type") == KEYRING_TYPE:
                self.looks.wake((KEYRING, ""))
            case _:
                for uid in self.registry.note_secret(body, gone=gone):
                    self.agenda.wake((GRANT, uid))

    async def keep(self, subject: Subject) -> datetime | None:
        """One pass over one subject of the agenda."""
        kind, key = subject
        match kind:
            case "grant":
                return await self.keeper.keep(key)
            case "connector":
                namespace, _, name = key.partition("/")
                return await self.connectors.keep((namespace, name))
            case "keyring":
                await self._follow_keyring()
                return None
            case _:
                self.keeper.gatherer.forget(key)
                await self.sweeper.clear_orphan(key)
                return None

    def _wake_everything(self) -> None:
        for namespace, name in self.registry.connectors:
            self.looks.wake((CONNECTOR, f"{namespace}/{name}"))
        for uid in self.registry.grants:
            self.agenda.wake((GRANT, uid))

    async def _sweep_again(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            try:
                await self.sweeper.sweep()
                await self._follow_keyring()
            except ClusterError as error:
                log.warning("a sweep failed; the next one follows", error=str(error))
            self.pulse.beat()
            self._wake_everything()

    async def _follow_keyring(self) -> None:
        before = self.keys.keyring
        try:
            await self.keys.reload()
        except KeyringError as error:
            log.error("the keyring cannot be used as it is now; the one read before stays in use", error=str(error))  # noqa: TRY400
        if self.keys.keyring != before:
            for uid in self.registry.grants:
                self.agenda.wake((GRANT, uid))
