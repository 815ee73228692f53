"""Events: what changed about a grant, said once, where `kubectl describe` shows it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from grantkeeper.adapters.cluster import EVENTS, Cluster
from grantkeeper.core.times import to_text
from grantkeeper.errors import ClusterError
from grantkeeper.resources import GROUP, VERSION, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Announcer:
    """Writes Events; one that cannot be written is logged instead, and never stops the work."""

    cluster: Cluster
    clock: Callable[[], datetime]
    reporter: str

    async def announce(self, grant: UserGrant, reason: str, message: str, *, is_warning: bool) -> None:
        """Say something about a grant. Messages are sentences of ours and hold nothing that a server sent."""
        metadata, now = grant.metadata, to_text(self.clock())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name[:200]}.{secrets.token_hex(8)}", "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "UserGrant",
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": "Warning" if is_warning else "Normal",
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "grantkeeper"},
            "reportingComponent": "grantkeeper",
            "reportingInstance": self.reporter,
        }
        try:
            await self.cluster.create(EVENTS, metadata.namespace, event)
        except ClusterError as error:
            log.info("an event could not be written", namespace=metadata.namespace, grant=metadata.name, said=message, error=str(error))
