"""A connector's status: what is known of it is said there, and an Event tells of what has turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from grantkeeper.adapters.cluster import OAUTHCONNECTORS, Cluster
from grantkeeper.controller.announcing import Announcer
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.core.conditions import find_turn
from grantkeeper.core.reporting import describe_connector, patch_status
from grantkeeper.core.servers import show_server
from grantkeeper.core.standing import Standing, judge_connector
from grantkeeper.errors import Conflict, NotFound
from grantkeeper.resources import OAuthConnector

log = structlog.get_logger()


@dataclass(slots=True)
class Reporter:
    """Writes the statuses of connectors."""

    registry: Registry
    cluster: Cluster
    announcer: Announcer
    external_url: str
    clock: Callable[[], datetime]
    count_later: Callable[[Name], None]
    """Called to have a connector's grants counted in a while: grants come and go in crowds, and each write wakes whoever watches."""

    def redirect_uri(self, name: Name) -> str:
        """The redirect URI of a connector: distinct for each, so that answers cannot be mixed up (RFC 9700 section 4.4)."""
        return f"{self.external_url}/callback/{name[0]}/{name[1]}"

    async def report(self, connector: OAuthConnector, standing: Standing, *, is_counting: bool = False, is_again: bool = False) -> None:
        """Say what holds. How many grants there are is said with it, and by itself only where that is what is being done."""
        name = (connector.metadata.namespace, connector.metadata.name)
        verdicts, grants = judge_connector(standing), self.registry.count_grants(name)
        server = show_server(standing.endpoints) if standing.endpoints is not None else None
        desired = describe_connector(connector, verdicts, server, redirect_uri=self.redirect_uri(name), grants=grants, now=self.clock())
        patch = patch_status(connector.status, desired, connector.metadata.resource_version)
        if patch is None:
            return
        if patch["status"].keys() == {"grants"} and not is_counting:
            self.count_later(name)
            return
        try:
            body = await self.cluster.patch(OAUTHCONNECTORS, *name, patch, subresource="status")
        except NotFound:
            return
        except Conflict:
            if is_again:
                self.count_later(name)
            elif (latest := await self._reread(connector)) is not None:
                await self.report(latest, standing, is_counting=is_counting, is_again=True)
            return
        self.registry.note_connector(body)
        log.info("connector judged", namespace=name[0], connector=name[1], ready=standing.is_ready)
        if (ready := find_turn(connector.status.conditions, verdicts)) is not None:
            message = ready.message or "Grants can rely on it."
            await self.announcer.announce(connector, ready.reason, message, is_warning=not ready.holds)

    async def _reread(self, connector: OAuthConnector) -> OAuthConnector | None:
        """The connector after a conflict. The watch does not bring what we wrote ourselves, as when the grants were counted meanwhile.

        None where it asks for something else by now, or is another: that the watch does bring.
        """
        metadata = connector.metadata
        try:
            body = await self.cluster.get(OAUTHCONNECTORS, metadata.namespace, metadata.name)
        except NotFound:
            return None
        latest = OAuthConnector.read(body)
        if (latest.metadata.uid, latest.metadata.generation) != (metadata.uid, metadata.generation):
            return None
        self.registry.note_connector(body)
        return latest
