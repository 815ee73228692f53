"""A stand-in for the Kubernetes API server: the three calls that the pages make, in memory, and what they called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.errors import Conflict, NotFound

Object = dict[str, Any]
Key = tuple[str, str, str]


class ApiServer:
    """Holds objects by kind, namespace and name. `fail` may raise before a call is served; `delay_found` slows down what exists."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.fail: Callable[[str], None] = lambda _: None
        self.delay_found = 0.0
        self.is_closed = False

    def put(self, kind: Kind, body: Object) -> Object:
        """Let an object exist, whatever was there."""
        metadata = body["metadata"]
        self.objects[(kind.plural, metadata["namespace"], metadata["name"])] = body
        return body

    def grant(self, name: str = "calendar-alice", namespace: str = "team-a") -> Object:
        """A grant as it is stored, to be changed in place."""
        return self.objects[(USERGRANTS.plural, namespace, name)]

    def connector(self, name: str = "calendar", namespace: str = "team-a") -> Object:
        """A connector as it is stored, to be changed in place."""
        return self.objects[(OAUTHCONNECTORS.plural, namespace, name)]

    @property
    def answers(self) -> list[Object]:
        """The Secrets that were made."""
        return [body for (plural, _, _), body in self.objects.items() if plural == SECRETS.plural]

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """A copy of what is stored."""
        self.calls.append(("get", kind.plural, f"{namespace}/{name}"))
        self.fail("get")
        body = self.objects.get((kind.plural, namespace or "", name))
        if body is None:
            raise NotFound(f"there is no {kind.plural} {namespace}/{name}")
        await asyncio.sleep(self.delay_found)
        return deepcopy(body)

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Store a copy, once."""
        name = body["metadata"]["name"]
        self.calls.append(("create", kind.plural, f"{namespace}/{name}"))
        self.fail("create")
        key = (kind.plural, namespace or "", name)
        if key in self.objects:
            raise Conflict(f"{kind.plural} {namespace}/{name} exists")
        self.objects[key] = deepcopy(body)
        return body

    async def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True
