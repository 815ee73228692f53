"""Put one controller together: its memory, its agendas and its keepers, each given what it needs and nothing more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from grantkeeper.adapters.catalogue import load_presets
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, USERGRANTS, Cluster
from grantkeeper.adapters.journal import Journal
from grantkeeper.adapters.keys import KeyringSecret
from grantkeeper.adapters.provider import Provider
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.agenda import FIRST, Agenda
from grantkeeper.controller.announcing import Announcer
from grantkeeper.controller.clientsecrets import ClientSecrets
from grantkeeper.controller.committing import Committer
from grantkeeper.controller.comparing import Comparer
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.delivering import Deliverer
from grantkeeper.controller.discovering import Discoverer
from grantkeeper.controller.exchanging import Exchanger
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.gathering import Gatherer
from grantkeeper.controller.identifying import Identifier
from grantkeeper.controller.keeper import Keeper
from grantkeeper.controller.keysets import KeySets
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.pacing import Pacer
from grantkeeper.controller.presenting import Presenter
from grantkeeper.controller.pulse import Pulse
from grantkeeper.controller.redeeming import Redeemer
from grantkeeper.controller.refreshing import Refresher
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.controller.releasing import Releaser
from grantkeeper.controller.reporting import Reporter
from grantkeeper.controller.requesting import Asker
from grantkeeper.controller.respecting import Respect
from grantkeeper.controller.revoking import Revoker
from grantkeeper.controller.running import CONNECTOR, COUNT, COUNT_AFTER, GRANT, Controller
from grantkeeper.controller.seals import Seals
from grantkeeper.controller.sparing import Siblings
from grantkeeper.controller.sweeping import Sweeper
from grantkeeper.core.catalogue import Preset
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.records import Holder
from grantkeeper.settings import ControllerSettings

log = structlog.get_logger()


def clock() -> datetime:
    """The present."""
    return datetime.now(UTC)


def new_holder(settings: ControllerSettings) -> Holder:
    """One life of this process, as claims and the Lease know it."""
    return Holder(pod=settings.pod_uid, boot=secrets.token_hex(8), pod_name=settings.pod_name)


async def assemble(  # noqa: PLR0913  # what one life of the process is given
    settings: ControllerSettings,
    cluster: Cluster,
    provider: Provider,
    clock: Callable[[], datetime] = clock,
    *,
    meter: Meter | None = None,
    pulse: Pulse | None = None,
    presets: Mapping[str, Preset] | None = None,
    holder: Holder | None = None,
    leads: Callable[[], bool] = lambda: True,
) -> Controller:
    """Read the keyring and who this cluster is, and put the parts together. `presets` are those that are shipped, unless told.

    `holder` is who claims, a new one by default; `leads` is asked before anything is done whether that is still for us to do.
    """
    meter, pulse = meter or Meter(), pulse or Pulse()
    await _wait_for_kinds(cluster)
    registry = Registry(settings.namespace)
    scope = Scope(settings.namespace, frozenset(settings.watch_namespaces))
    agenda, looks = Agenda(clock), Agenda(clock)
    pacer = Pacer(
        clock,
        registry.limits_of,
        gate=lambda name: connectors.standing(name).gate,
        wake=lambda uid: agenda.wake((GRANT, uid), FIRST),
        aside=lambda uid: agenda.aside((GRANT, uid)),
    )

    def begin_anew() -> None:
        controller.begin_anew()

    vault = Vault(
        cluster,
        settings.namespace,
        registry.note_secret,
        lambda body: registry.note_secret(body, gone=True),
        begin_anew,
    )
    journal = Journal(settings.journal_directory)
    committer = Committer(vault, journal)
    meter.left = committer.left.values
    await committer.replay()  # needs neither a keyring nor room on the disk, and nothing may keep it waiting
    journal.open()
    keys = KeyringSecret(cluster, settings.namespace, settings.keyring_secret, generate=settings.keyring_generate)
    await keys.reload()
    pulse.has_keyring = True
    kube_system = await cluster.get(NAMESPACES, None, "kube-system")
    seals = Seals(lambda: keys.keyring, kube_system["metadata"]["uid"])
    holder = holder or new_holder(settings)

    def wake_users(name: Name) -> None:
        for grant in registry.grants_of(name):
            agenda.wake((GRANT, grant.metadata.uid))

    announcer = Announcer(cluster, clock, settings.pod_name)
    connectors = Connectors(
        registry,
        Discoverer(provider, meter, load_presets() if presets is None else presets),
        clock,
        changed=wake_users,
        look=lambda name: looks.wake((CONNECTOR, "/".join(name))),
        key_sets=KeySets(provider, clock, meter),
        pacer=pacer,
        reporter=Reporter(
            registry,
            cluster,
            announcer,
            settings.external_url,
            clock,
            count_later=lambda name: looks.wake((COUNT, "/".join(name)), clock() + COUNT_AFTER),
        ),
        secrets=ClientSecrets(cluster, clock),
    )
    comparer, respect = Comparer(registry), Respect(holder, cluster, settings.namespace)
    gatherer = Gatherer(registry, connectors, seals, respect, comparer, scope, pacer, committer)
    presenter = Presenter(vault, committer, provider, connectors, holder, clock, lambda: agenda.is_draining, meter, leads)
    finalizers = Finalizers(cluster, registry, begin_anew)
    revoker = Revoker(provider, clock, meter)
    identifier, siblings = Identifier(provider, connectors.key_sets, clock, meter), Siblings(registry, seals)
    keeper = Keeper(
        registry,
        cluster,
        gatherer,
        committer,
        Asker(vault, seals, clock),
        Redeemer(presenter, seals, Exchanger(presenter, seals, finalizers, revoker, identifier, siblings), pacer),
        Refresher(presenter, seals),
        Deliverer(registry, cluster, vault, comparer, clock, meter),
        Releaser(registry, cluster, vault, seals, connectors, finalizers, revoker, siblings, announcer),
        finalizers,
        announcer,
        pacer,
        settings.external_url,
        clock,
    )
    meter.grants, meter.leads = registry.grants.values, leads
    pulse.longest_pass = lambda: max(agenda.longest_pass, looks.longest_pass)
    pulse.is_storing = lambda: registry.is_claimed_by(holder)
    sweeper = Sweeper(registry, cluster, vault, clock, scope, finalizers)
    controller = Controller(registry, agenda, looks, keys, connectors, keeper, sweeper, pulse, scope, leads)
    return controller


async def _wait_for_kinds(cluster: Cluster) -> None:
    """Wait until discovery shows our kinds: kopf looks there once, and would watch nothing where they are missing."""
    for kind in (USERGRANTS, OAUTHCONNECTORS):
        while not await cluster.offers(kind):
            log.warning("waiting for a CRD: install it, or set crds.enabled in the chart", resource=kind.plural)
            await asyncio.sleep(1)
