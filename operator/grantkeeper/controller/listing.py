"""Listing: all that is ours, read from lists into the registry, and which of what was known is still there. One for each sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Cluster
from grantkeeper.controller.registry import Name, Objects, Registry
from grantkeeper.core.answering import ANSWER_TYPE
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.core.versions import went_back
from grantkeeper.errors import Forbidden

log = structlog.get_logger()


@dataclass(slots=True)
class Listing:
    """The lists of one sweep. Chunk by chunk, so that what is kept of the objects is in memory and never all of them as they came."""

    registry: Registry
    cluster: Cluster
    scope: Scope
    known: frozenset[Name] = field(init=False)
    """Before the first list was asked for."""
    present: set[Name] = field(default_factory=set)
    """What of that was in a list."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """The Secrets with answers to consents."""
    older: str | None = None
    """The uid of a grant that a list shows at an older version than is known."""
    _grants: list[asyncio.Task[None]] = field(default_factory=list)
    """Readings of grants that were begun while Secrets still come. The last one counts."""

    def __post_init__(self) -> None:
        self.known = self.registry.take_stock()

    async def read(self, *, is_first: bool) -> frozenset[str]:
        """Read every list; the listed namespaces whose Secrets could be read.

        Secrets are read before grants, as of an earlier moment: a sealed one without a grant then is an orphan. `is_first`: nobody acts
        by what is known before all of it is, so the API server may list grants while Secrets still come. Else one that is new here
        would be taken for one without a consent until its Secret has come.
        """
        namespaces = await self.cluster.list(NAMESPACES)
        _note_each(self.registry.note_namespace, namespaces)
        self._find_known(namespaces=namespaces)
        try:
            readable = await self._read_secrets(self._begin_grants if is_first else lambda: None)
            async for connectors in self.cluster.pages(OAUTHCONNECTORS):
                _note_each(self.registry.note_connector, connectors)
                self._find_known(connectors=connectors)
            await (self._grants[-1] if self._grants else self._read_grants())
        finally:
            for reading in self._grants:
                reading.cancel()
            await asyncio.gather(*self._grants, return_exceptions=True)
        return readable

    def _begin_grants(self) -> None:
        """The Secrets are listed as of now, perhaps anew: only a list of grants that is asked for from now on counts."""
        for reading in self._grants:
            reading.cancel()
        self._grants.append(asyncio.create_task(self._read_grants()))

    async def _read_grants(self) -> None:
        async for grants in self.cluster.pages(USERGRANTS):
            self.older = self.older or self._find_older(grants)
            _note_each(self.registry.note_grant, grants)
            self._find_known(grants=grants)
            grants.clear()

    async def _read_secrets(self, begun: Callable[[], object]) -> frozenset[str]:
        """Read the Secrets of ours; the listed namespaces that they were read in. One that cannot be read must not stop the others.

        `begun` is told whenever the list begins that the sealed ones are in.
        """
        home = None if self.scope.is_everything else self.scope.operator_namespace
        async for secrets in self.cluster.pages(SECRETS, home, labels=KIND_LABEL, begun=begun):
            self._take_in(secrets)
        tenants = find_tenants(self.registry, self.scope)
        readable = frozenset([name for name in sorted(tenants) if await read_tenant(self.cluster, name, self._take_in)])
        for name in sorted(self.scope.tenants - readable):
            log.warning("a listed namespace cannot be read: it does not exist, is being deleted, or has no RoleBinding", namespace=name)
        return readable

    def _take_in(self, secrets: list[dict[str, Any]]) -> None:
        _note_each(self.registry.note_secret, secrets)
        self._find_known(secrets=secrets)
        self.answers += [body for body in secrets if body.get("type") == ANSWER_TYPE]
        secrets.clear()

    def _find_known(self, **listed: Objects) -> None:
        """Note what of the known is in lists. At a start nothing is known, and no name is looked at."""
        if self.known:
            self.present |= self.known & self.registry.stock_of(**listed)

    def _find_older(self, grants: list[dict[str, Any]]) -> str | None:
        known = self.registry.grants
        metadatas = [body["metadata"] for body in grants]
        older = (
            m["uid"] for m in metadatas if m["uid"] in known and went_back(known[m["uid"]].metadata.resource_version, m["resourceVersion"])
        )
        return next(older, None)


def find_tenants(registry: Registry, scope: Scope) -> frozenset[str]:
    """The listed namespaces that are there to stay: in one that is being deleted the right to read goes with the rest."""
    staying = {name for name, namespace in registry.namespaces.items() if not namespace.is_ending}
    return scope.tenants & staying


async def read_tenant(cluster: Cluster, namespace: str, take_in: Callable[[list[dict[str, Any]]], object]) -> bool:
    """Read the Secrets of ours in one namespace; whether that is allowed."""
    try:
        async for secrets in cluster.pages(SECRETS, namespace, labels=KIND_LABEL):
            take_in(secrets)
    except Forbidden:
        return False
    return True


def _note_each(note: Callable[[dict[str, Any]], object], bodies: list[dict[str, Any]]) -> None:
    """Note objects one by one; one that nobody can read must not stop the others."""
    for body in bodies:
        try:
            note(body)
        except Exception as error:  # noqa: BLE001  # its text could repeat what is in the object
            metadata = body["metadata"]
            log.error("an object cannot be read", name=f"{metadata.get('namespace')}/{metadata.get('name')}", error=type(error).__name__)  # noqa: TRY400
