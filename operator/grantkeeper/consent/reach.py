"""All that this process can reach: two kinds of objects to look at, one kind of Secret to make, in one API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.consent.callback import Answer, write_answer
from grantkeeper.errors import Conflict, NotFound
from grantkeeper.resources import OAuthConnector, UserGrant

_TRIES = (1, 2, 3)


class Cluster(Protocol):
    """What is needed of the Kubernetes API: the part of `adapters.cluster.Cluster` that this account has rights to."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any]:
        """Read one object; NotFound where there is none."""
        ...

    async def create(self, kind: Kind, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """Create one object; Conflict where the name is taken."""
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """Grants and connectors as the pages need them, and the way that answers take."""

    cluster: Cluster
    operator_namespace: str

    async def grant(self, namespace: str, name: str) -> UserGrant | None:
        """The grant as it is now; None where there is none."""
        try:
            return UserGrant.read(await self.cluster.get(USERGRANTS, namespace, name))
        except NotFound:
            return None

    async def connector(self, grant: UserGrant) -> OAuthConnector | None:
        """The connector that a grant names, as it is now; None where there is none."""
        try:
            body = await self.cluster.get(OAUTHCONNECTORS, *grant.connector_name)
        except NotFound:
            return None
        return OAuthConnector.read(body)

    async def leave(self, answer: Answer) -> int | None:
        """Leave an answer for the controller; which of a request's answers it is, or None where it has had all it may have."""
        for number in _TRIES:
            try:
                await self.cluster.create(SECRETS, self.operator_namespace, write_answer(answer, number, self.operator_namespace))
            except Conflict:
                continue
            return number
        return None
