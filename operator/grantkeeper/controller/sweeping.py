"""Sweep: list everything anew. It fills the registry at the start, and heals every so often what an event that was missed left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.cluster import Cluster
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.listing import Listing, find_tenants, read_tenant
from grantkeeper.controller.registry import Registry
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.times import from_text
from grantkeeper.errors import Conflict

log = structlog.get_logger()

ANSWERS_LIVE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Drops what is gone from the registry, and clears Secrets away that nobody will ask for any more."""

    registry: Registry
    cluster: Cluster
    vault: Vault
    clock: Callable[[], datetime]
    scope: Scope
    finalizers: Finalizers

    async def sweep(self, *, is_first: bool = False) -> frozenset[str]:
        """Bring the registry to what is in the cluster; the listed namespaces whose Secrets could be read."""
        listing = Listing(self.registry, self.cluster, self.scope)
        readable = await listing.read(is_first=is_first)
        self.registry.forget(listing.known, frozenset(listing.present))
        if listing.older is not None and (grant := self.registry.grants.get(listing.older)) is not None:
            await self.finalizers.reread(grant)  # it may have changed while the list was on its way; this shows
        await self._clear_orphans()
        await self._clear_answers(listing.answers)
        return readable

    async def may_read_more(self, readable: frozenset[str]) -> bool:
        """Whether one of the listed namespaces can be read that is not among those that could."""
        tenants = find_tenants(self.registry, self.scope)
        return bool([name for name in tenants - readable if await read_tenant(self.cluster, name, lambda _: None)])

    async def _clear_orphans(self) -> None:
        for sealed in list(self.registry.sealed.values()):
            if sealed.uid not in self.registry.grants:
                await self.clear_orphan(sealed.uid)

    async def clear_orphan(self, uid: str) -> None:
        """A sealed Secret whose grant is gone: without tokens it is deleted, with tokens it is kept and said."""
        sealed = self.registry.sealed.get(uid)
        if sealed is None or uid in self.registry.grants:
            return
        if sealed.tokenset is not None:
            log.warning(
                "sealed tokens outlived their grant; they are kept",
                grant=f"{sealed.namespace}/{sealed.name}",
                secret=sealed.secret_name,
            )
            return
        try:
            await self.vault.remove(sealed)
        except Conflict:
            await self.vault.read(uid)

    async def _clear_answers(self, answers: list[dict[str, Any]]) -> None:
        for body in answers:
            metadata = body["metadata"]
            if self.clock() - from_text(metadata["creationTimestamp"]) > ANSWERS_LIVE:
                log.warning("an answer that nobody redeemed is cleared away", secret=metadata["name"])
                await self.vault.remove_answer(metadata["name"], metadata["uid"])
