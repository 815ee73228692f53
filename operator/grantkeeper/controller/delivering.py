"""Deliver: the Secrets in a grant's namespace that always hold its fresh access token.

No Secret is ever adopted. Before one is created its random id is recorded in the sealed Secret, the Secret carries that id, and
its uid is recorded with the next write; whatever else bears the name is somebody's own, and is not touched. One that is ours and
is not asked for any more is withdrawn; its record goes with the next write.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.comparing import Comparer, Draft, Obstacle
from grantkeeper.controller.gathering import Gathered
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.registry import Registry
from grantkeeper.core import rendering
from grantkeeper.core.facts import Copy
from grantkeeper.core.records import Delivery, Sealed
from grantkeeper.errors import ClusterError, Conflict, NotFound
from grantkeeper.failpoints import reach
from grantkeeper.resources import UserGrant

log = structlog.get_logger()

TRY_AGAIN_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Writes one delivered Secret at a time."""

    registry: Registry
    cluster: Cluster
    vault: Vault
    comparer: Comparer
    clock: Callable[[], datetime]
    meter: Meter

    async def deliver(self, gathered: Gathered, name: str) -> None:
        """Bring a Secret to what is held; what stands in the way is remembered as an obstacle for a while."""
        if gathered.sealed is None or gathered.opened is None:
            return
        try:
            await self._deliver(gathered, gathered.sealed, name)
        except Conflict:
            await self.vault.read(gathered.grant.metadata.uid)
        except ClusterError as error:
            self._stand_off(gathered, name, Copy.UNWRITABLE, str(error))

    async def withdraw(self, gathered: Gathered, name: str) -> None:
        """Delete a delivered Secret that the grant does not ask for any more; only while it is ours, and as we know it."""
        namespace = gathered.grant.metadata.namespace
        copy = self.registry.copies.get((namespace, name))
        if gathered.sealed is None or copy is None or not rendering.is_ours(copy, gathered.sealed.deliveries.get(name)):
            return
        try:
            await self.cluster.delete(SECRETS, namespace, name, uid=copy.uid, resource_version=copy.resource_version)
        except Conflict:
            await self._note_anew(copy)
            return
        except NotFound:
            pass
        self.registry.copies.pop((namespace, name), None)
        log.info("withdrawn", namespace=namespace, grant=gathered.grant.metadata.name, secret=name)

    async def _deliver(self, gathered: Gathered, sealed: Sealed, name: str) -> None:
        namespace = gathered.grant.metadata.namespace
        copy = self.registry.copies.get((namespace, name)) or await self._look(namespace, name)
        if copy is None:
            await self._create(gathered, await self._record(gathered.grant, sealed, name), name)
        elif rendering.is_ours(copy, sealed.deliveries.get(name)):
            await self._replace(gathered, sealed, copy)
        else:
            self._stand_off(gathered, name, Copy.FOREIGN, "")

    async def _look(self, namespace: str, name: str) -> rendering.DeliveredCopy | None:
        """What stands under the name, whatever its labels say: one that lost its label is not seen by the watch."""
        try:
            return rendering.read_copy(await self.cluster.get(SECRETS, namespace, name))
        except NotFound:
            return None

    async def _record(self, grant: UserGrant, sealed: Sealed, name: str) -> Sealed:
        """The sealed Secret with an id for this delivery that nothing bears yet."""
        delivery = sealed.deliveries.get(name)
        if delivery is not None and delivery.uid is None:
            return sealed
        recorded = self.registry.bring_up_to_date(grant, sealed)
        fresh = {**recorded, name: Delivery(id=secrets.token_hex(16))}
        return await self.vault.put(sealed.model_copy(update={"deliveries": fresh}))

    async def _create(self, gathered: Gathered, sealed: Sealed, name: str) -> None:
        namespace = gathered.grant.metadata.namespace
        reach("deliver.writing")
        self.registry.note_secret(await self.cluster.create(SECRETS, namespace, self._render(gathered, sealed, name)))
        reach("deliver.written")
        self.meter.count_delivery()
        log.info("delivered", namespace=namespace, grant=gathered.grant.metadata.name, secret=name, created=True)

    async def _replace(self, gathered: Gathered, sealed: Sealed, copy: rendering.DeliveredCopy) -> None:
        known = gathered.opened.generation if gathered.opened is not None else 0
        if copy.generation > known and not await self.vault.confirms(sealed.uid, sealed):
            return  # another leader has refreshed and delivered meanwhile
        reach("deliver.writing")
        body = rendering.replace_copy(copy, self._render(gathered, sealed, copy.name))
        try:
            self.registry.note_secret(await self.cluster.replace(SECRETS, body))
        except (Conflict, NotFound):
            await self._note_anew(copy)
            return
        reach("deliver.written")
        self.meter.count_delivery()
        log.debug("delivered", namespace=copy.namespace, grant=gathered.grant.metadata.name, secret=copy.name, created=False)

    async def _note_anew(self, copy: rendering.DeliveredCopy) -> None:
        try:
            self.registry.note_secret(await self.cluster.get(SECRETS, copy.namespace, copy.name))
        except NotFound:
            self.registry.copies.pop((copy.namespace, copy.name), None)

    def _render(self, gathered: Gathered, sealed: Sealed, name: str) -> dict[str, Any]:
        assert gathered.opened is not None  # noqa: S101  # deliver() has seen it
        grant, opened, delivery = gathered.grant, gathered.opened, sealed.deliveries[name]
        spec = next(spec for spec in grant.spec.secrets if spec.name == name)
        draft = gathered.drafts.get(name)
        if draft is None or not draft.is_of(grant, spec, opened, delivery):
            draft = Draft.write(grant, spec, opened, delivery)
        return draft.body

    def _stand_off(self, gathered: Gathered, name: str, copy: Copy, detail: str) -> None:
        self.comparer.stand_off(gathered.grant, name, Obstacle(copy, detail, self.clock() + TRY_AGAIN_AFTER))
        log.warning("not delivered", namespace=gathered.grant.metadata.namespace, secret=name, why=copy.name.lower(), error=detail)
