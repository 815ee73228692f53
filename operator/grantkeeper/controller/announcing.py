"""Events: what changed about a grant or a connector, said once, where `kubectl describe` shows it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from grantkeeper.adapters.cluster import EVENTS, Cluster
from grantkeeper.core.times import to_text
from grantkeeper.errors import ClusterError
from grantkeeper.resources import GROUP, VERSION, OAuthConnector, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Announcer:
    """Writes Events; one that cannot be written is logged instead, and never stops the work."""

    cluster: Cluster
    clock: Callable[[], datetime]
    reporter: str

    async def announce(self, about: UserGrant | OAuthConnector, reason: str, message: str, *, is_warning: bool) -> None:
        """Say something about a grant or a connector. Messages are sentences of ours and hold nothing that a server sent."""
        kind, metadata, now = type(about).__name__, about.metadata, to_text(self.clock())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name[:200]}.{secrets.token_hex(8)}", "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": kind,
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
            line = log.bind(namespace=metadata.namespace, kind=kind, name=metadata.name)
            line.info("an event could not be written", said=message, error=str(error))
