"""The finalizer: a grant that may hold tokens is not let go before they have been dealt with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grantkeeper.adapters.cluster import USERGRANTS, Cluster
from grantkeeper.controller.registry import Registry
from grantkeeper.core.versions import went_back
from grantkeeper.errors import Conflict, NotFound
from grantkeeper.resources import FINALIZER, UserGrant


@dataclass(frozen=True, slots=True)
class Finalizers:
    """Sets and removes `grantkeeper.dev/keeper`."""

    cluster: Cluster
    registry: Registry
    restored: Callable[[], None] = lambda: None
    """Called when a grant turns out to be older than it was known to be."""

    async def hold(self, grant: UserGrant) -> bool:
        """See that the grant carries the finalizer before it gets tokens; False where it is going, or has just changed."""
        if grant.metadata.is_deleting:
            return False
        if FINALIZER in grant.metadata.finalizers:
            return True
        return await self._set(grant, (*grant.metadata.finalizers, FINALIZER))

    async def release(self, grant: UserGrant) -> bool:
        """Let the grant go; False where it has just changed."""
        return await self._set(grant, tuple(name for name in grant.metadata.finalizers if name != FINALIZER))

    async def reread(self, grant: UserGrant) -> None:
        """Note a grant as it is now, after a conflict. A namesake that has taken its place is left for the watch to bring."""
        try:
            body = await self.cluster.get(USERGRANTS, grant.metadata.namespace, grant.metadata.name)
        except NotFound:
            body = None
        if body is not None and body["metadata"]["uid"] == grant.metadata.uid:
            if went_back(grant.metadata.resource_version, body["metadata"]["resourceVersion"]):
                self.restored()
            self.registry.note_grant(body)
        else:
            self.registry.drop_grant(grant)

    async def _set(self, grant: UserGrant, finalizers: tuple[str, ...]) -> bool:
        metadata = grant.metadata
        patch = {"metadata": {"resourceVersion": metadata.resource_version, "finalizers": list(finalizers)}}
        try:
            body = await self.cluster.patch(USERGRANTS, metadata.namespace, metadata.name, patch)
        except Conflict:
            await self.reread(grant)
            return False
        except NotFound:
            return FINALIZER not in finalizers
        self.registry.note_grant(body, gone=not finalizers and metadata.is_deleting)
        return True
