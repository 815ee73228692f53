"""Sweep: read everything anew. It fills the registry at the start, and heals every so often what an event that was missed left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Cluster
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.registry import Name, Objects, Registry
from grantkeeper.core.answering import ANSWER_TYPE
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.core.times import from_text
from grantkeeper.core.versions import went_back
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
    finalizers: Finalizers

    async def sweep(self, *, is_first: bool = False) -> frozenset[str]:
        """Bring the registry to what is in the cluster; the listed namespaces whose Secrets could be read.

        Secrets are read before grants, as of an earlier moment: a sealed one without a grant then is an orphan. `is_first`: nobody acts
        by what is known before all of it is, so the API server may list grants while Secrets still come. Else one that is new here
        would be taken for one without a consent until its Secret has come.
        """
        known = self.registry.take_stock()
        present: set[Name] = set()
        answers: list[dict[str, Any]] = []
        namespaces = await self.cluster.list(NAMESPACES)
        _note_each(self.registry.note_namespace, namespaces)
        present |= self._find_known(known, namespaces=namespaces)

        def take_in(secrets: list[dict[str, Any]]) -> None:
            nonlocal present, answers
            _note_each(self.registry.note_secret, secrets)
            present |= self._find_known(known, secrets=secrets)
            answers += [body for body in secrets if body.get("type") == ANSWER_TYPE]
            secrets.clear()

        async def read_grants() -> str | None:
            """Take them in; the uid of one that the list shows at an older version than is known."""
            nonlocal present
            suspect: str | None = None
            async for grants in self.cluster.pages(USERGRANTS):
                suspect = suspect or self._find_older(grants)
                _note_each(self.registry.note_grant, grants)
                present |= self._find_known(known, grants=grants)
                grants.clear()
            return suspect

        beside: list[asyncio.Task[str | None]] = []

        def begin_beside() -> None:
            """The Secrets are listed as of now, perhaps anew: only a list of grants that is asked for from now on counts."""
            for reading in beside:
                reading.cancel()
            if is_first:
                beside.append(asyncio.create_task(read_grants()))

        # Chunk by chunk, so that what is kept of the objects is in memory and never all of them as they came.
        try:
            readable = await self._read_secrets(take_in, begin_beside)
            async for connectors in self.cluster.pages(OAUTHCONNECTORS):
                _note_each(self.registry.note_connector, connectors)
                present |= self._find_known(known, connectors=connectors)
            suspect = await (beside[-1] if beside else read_grants())
        finally:
            for reading in beside:
                reading.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        self.registry.forget(known, frozenset(present))
        if suspect is not None and (grant := self.registry.grants.get(suspect)) is not None:
            await self.finalizers.reread(grant)  # it may have changed while the list was on its way; this shows
        await self._clear_orphans()
        await self._clear_answers(answers)
        return readable

    def _find_known(self, known: frozenset[Name], **listed: Objects) -> frozenset[Name]:
        """What of the known is in lists. At a start nothing is known, and no name is looked at."""
        return known & self.registry.stock_of(**listed) if known else known

    def _find_older(self, grants: list[dict[str, Any]]) -> str | None:
        """The uid of a grant that a list shows at an older version than is known."""
        known = self.registry.grants
        metadatas = [body["metadata"] for body in grants]
        older = (
            m["uid"] for m in metadatas if m["uid"] in known and went_back(known[m["uid"]].metadata.resource_version, m["resourceVersion"])
        )
        return next(older, None)

    async def may_read_more(self, readable: frozenset[str]) -> bool:
        """Whether one of the listed namespaces can be read that is not among those that could."""
        return bool([name for name in self._find_tenants() - readable if await self._read_ours(name, lambda _: None)])

    def _find_tenants(self) -> frozenset[str]:
        """The listed namespaces that are there to stay: in one that is being deleted the right to read goes with the rest."""
        staying = {name for name, namespace in self.registry.namespaces.items() if not namespace.is_ending}
        return self.scope.tenants & staying

    async def _read_secrets(self, take_in: Callable[[list[dict[str, Any]]], None], begun: Callable[[], object]) -> frozenset[str]:
        """Read the Secrets of ours; the listed namespaces that they were read in. One that cannot be read must not stop the others.

        `begun` is told whenever the list begins that the sealed ones are in.
        """
        home = None if self.scope.is_everything else self.scope.operator_namespace
        async for secrets in self.cluster.pages(SECRETS, home, labels=KIND_LABEL, begun=begun):
            take_in(secrets)
        readable = frozenset([name for name in sorted(self._find_tenants()) if await self._read_ours(name, take_in)])
        for name in sorted(self.scope.tenants - readable):
            log.warning("a listed namespace cannot be read: it does not exist, is being deleted, or has no RoleBinding", namespace=name)
        return readable

    async def _read_ours(self, namespace: str, take_in: Callable[[list[dict[str, Any]]], None]) -> bool:
        try:
            async for secrets in self.cluster.pages(SECRETS, namespace, labels=KIND_LABEL):
                take_in(secrets)
        except Forbidden:
            return False
        return True

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
