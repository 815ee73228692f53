"""Client secrets are read from where people keep them, whenever they are needed: those Secrets are not ours, and nobody watches them.

Many grants of one connector come due at once. Those that need its secrets while they are being read share that read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import SecretStr

from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.core.clientsecrets import judge_client_secret
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem
from grantkeeper.errors import Forbidden, NotFound
from grantkeeper.resources import OAuthConnector, SecretKeyRef

NO_RIGHT = (
    "Grantkeeper may not read Secret {name}: it has no right to read Secrets in this namespace. Whoever runs it can list the namespace in "
    "watch.namespaces of the chart."
)


KEPT_FOR = timedelta(seconds=1)
"""How long a client secret is used before it is read anew. One that was changed in that time is rejected, and then found at once."""

Found = SecretStr | Problem | None
"""A client secret; a Problem where it cannot be used, None where none is needed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of both secrets, under way or done."""

    connector: OAuthConnector
    begun_at: datetime
    task: asyncio.Task[tuple[Found, Found]]
    """In a task of its own: whoever shares it may be cancelled, and the others go on."""

    def is_of_use(self, connector: OAuthConnector, now: datetime) -> bool:
        """Whether it was begun a moment ago, for this very version of the connector, and has not failed."""
        if self.connector is not connector or not timedelta() <= now - self.begun_at < KEPT_FOR:
            return False
        if not self.task.done():
            return True
        return not self.task.cancelled() and self.task.exception() is None and not isinstance(self.task.result()[0], Problem)


@dataclass(slots=True)
class ClientSecrets:
    """Those of all connectors: the first, and the one to fall back on."""

    cluster: Cluster
    clock: Callable[[], datetime]
    _readings: dict[tuple[str, str], Reading] = field(default_factory=dict)
    """The last one of each connector, by its namespace and name."""

    async def read(self, connector: OAuthConnector) -> tuple[Found, Found]:
        """Read them anew. ClusterError where nothing is known."""
        reading = Reading(connector, self.clock(), asyncio.create_task(_read_both(self.cluster, connector)))
        self._readings[connector.metadata.namespace, connector.metadata.name] = reading
        return await asyncio.shield(reading.task)

    async def share(self, connector: OAuthConnector) -> tuple[Found, Found]:
        """The same, by a read that was begun a moment ago where there is one."""
        reading = self._readings.get((connector.metadata.namespace, connector.metadata.name))
        if reading is None or not reading.is_of_use(connector, self.clock()):
            return await self.read(connector)
        return await asyncio.shield(reading.task)

    def forget(self, namespace: str, name: str) -> None:
        """The connector is gone."""
        self._readings.pop((namespace, name), None)


async def _read_both(cluster: Cluster, connector: OAuthConnector) -> tuple[Found, Found]:
    first = await _read(cluster, connector, connector.spec.client_secret_ref)
    if isinstance(first, Problem):
        return first, None
    return first, await _read(cluster, connector, connector.spec.fallback_client_secret_ref, is_fallback=True)


async def _read(cluster: Cluster, connector: OAuthConnector, reference: SecretKeyRef | None, *, is_fallback: bool = False) -> Found:
    body = None
    if reference is not None:
        try:
            body = await cluster.get(SECRETS, connector.metadata.namespace, reference.name)
        except NotFound:
            pass
        except Forbidden:
            return Problem(Reason.SECRET_NOT_OFFERED, NO_RIGHT.format(name=reference.name))
    return judge_client_secret(connector, body, is_fallback=is_fallback)
