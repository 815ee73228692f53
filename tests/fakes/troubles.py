"""Trouble with the API server: what happens before a call is carried out, or after it was and before its answer arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from fakes.cluster import MemoryCluster, Object
from grantkeeper.adapters.cluster import SECRETS, Kind
from grantkeeper.errors import Forbidden

Happening = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Trouble:
    """What happens with the next calls of a verb on objects, named `<plural>/<name>`, whose names begin with `place`."""

    verb: str
    place: str
    happening: Happening
    is_late: bool = False
    """The call has been carried out by then, and only its answer can be lost."""
    concerns: Callable[[Object], bool] = lambda _: True
    """Which bodies it happens to."""
    times: float = 1


def failing(error: Exception) -> Happening:
    """The call fails so."""

    async def fail() -> None:
        raise error

    return fail


class TroubledCluster(MemoryCluster):
    """An API server that has every trouble in `troubles`, as often as each of them says."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.troubles: list[Trouble] = []
        self.forbidden: set[str] = set()
        """Namespaces in which Secrets may not be listed."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""
        async with self._through("get", f"{kind.plural}/{name}"):
            return await super().get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> list[Object]:
        """Read all objects of a kind."""
        if kind is SECRETS and namespace in self.forbidden:
            raise Forbidden(f"secrets: cannot list in {namespace}")
        async with self._through("list", kind.plural):
            return await super().list(kind, namespace, labels=labels)

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object."""
        async with self._through("create", f"{kind.plural}/{body['metadata']['name']}", body):
            return await super().create(kind, namespace, body)

    async def replace(self, kind: Kind, body: Object) -> Object:
        """Replace an object."""
        async with self._through("replace", f"{kind.plural}/{body['metadata']['name']}", body):
            return await super().replace(kind, body)

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Object, *, subresource: str | None = None) -> Object:
        """Patch an object."""
        async with self._through("patch", f"{kind.plural}/{name}", patch):
            return await super().patch(kind, namespace, name, patch, subresource=subresource)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Delete an object."""
        async with self._through("delete", f"{kind.plural}/{name}"):
            await super().delete(kind, namespace, name, uid=uid, resource_version=resource_version)

    @asynccontextmanager
    async def _through(self, verb: str, place: str, body: Object | None = None) -> AsyncIterator[None]:
        met = [
            trouble
            for trouble in self.troubles
            if trouble.verb == verb and place.startswith(trouble.place) and trouble.times > 0 and trouble.concerns(body or {})
        ]
        for trouble in met:
            trouble.times -= 1  # before it happens: what happens may call the same verb
        for trouble in met:
            if not trouble.is_late:
                await trouble.happening()
        yield
        for trouble in met:
            if trouble.is_late:
                await trouble.happening()
