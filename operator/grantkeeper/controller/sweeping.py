"""Sweep: read everything anew. It fills the registry at the start, and heals every so often what an event that was missed left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Cluster
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.registry import Registry
from grantkeeper.core.answering import ANSWER_TYPE
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.core.times import from_text
from grantkeeper.errors import Conflict, Forbidden

log = structlog.get_logger()

ANSWERS_LIVE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Lists namespaces, grants, connectors and Secrets of ours, and clears away what nobody will ask for any more."""

    registry: Registry
    cluster: Cluster
    vault: Vault
    clock: Callable[[], datetime]
    scope: Scope

    async def sweep(self) -> frozenset[str]:
        """Bring the registry to what is in the cluster; the listed namespaces whose Secrets could be read.

        Secrets are read before grants: a sealed one without a grant then is an orphan.
        """
        known = self.registry.take_stock()
        namespaces = await self.cluster.list(NAMESPACES)
        _note_each(self.registry.note_namespace, namespaces)
        secrets, readable = await self._list_secrets()
        connectors = await self.cluster.list(OAUTHCONNECTORS)
        grants = await self.cluster.list(USERGRANTS)
        listed = Registry(self.registry.operator_namespace)
        for registry in (self.registry, listed):
            _note_each(registry.note_namespace, namespaces)
            _note_each(registry.note_secret, secrets)
            _note_each(registry.note_connector, connectors)
            _note_each(registry.note_grant, grants)
        self.registry.forget(known, listed)
        await self._clear_orphans()
        await self._clear_answers([body for body in secrets if body.get("type") == ANSWER_TYPE])
        return readable

    async def may_read_more(self, readable: frozenset[str]) -> bool:
        """Whether one of the listed namespaces can be read that is not among those that could."""
        return bool([name for name in self._find_tenants() - readable if await self._list_ours(name) is not None])

    def _find_tenants(self) -> frozenset[str]:
        """The listed namespaces that are there to stay: in one that is being deleted the right to read goes with the rest."""
        staying = {name for name, namespace in self.registry.namespaces.items() if not namespace.is_ending}
        return self.scope.tenants & staying

    async def _list_secrets(self) -> tuple[list[dict[str, Any]], frozenset[str]]:
        """The Secrets of ours, and the listed namespaces that they were read in. One that cannot be read must not stop the others."""
        if self.scope.is_everything:
            return await self.cluster.list(SECRETS, labels=KIND_LABEL), frozenset()
        secrets = await self.cluster.list(SECRETS, self.scope.operator_namespace, labels=KIND_LABEL)
        found = {name: await self._list_ours(name) for name in sorted(self._find_tenants())}
        readable = frozenset(name for name, bodies in found.items() if bodies is not None)
        for name in sorted(self.scope.tenants - readable):
            log.warning("a listed namespace cannot be read: it does not exist, is being deleted, or has no RoleBinding", namespace=name)
        return secrets + [body for bodies in found.values() for body in bodies or ()], readable

    async def _list_ours(self, namespace: str) -> list[dict[str, Any]] | None:
        try:
            return await self.cluster.list(SECRETS, namespace, labels=KIND_LABEL)
        except Forbidden:
            return None

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


def _note_each(note: Callable[[dict[str, Any]], object], bodies: list[dict[str, Any]]) -> None:
    """Note objects one by one; one that nobody can read must not stop the others."""
    for body in bodies:
        try:
            note(body)
        except Exception as error:  # noqa: BLE001  # its text could repeat what is in the object
            metadata = body["metadata"]
            log.error("an object cannot be read", name=f"{metadata.get('namespace')}/{metadata.get('name')}", error=type(error).__name__)  # noqa: TRY400
