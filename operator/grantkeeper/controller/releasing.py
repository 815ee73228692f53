"""Let a deleted grant go: revoke, clean up, and only then take the finalizer away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from structlog.typing import FilteringBoundLogger

from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.adapters.vault import Vault
from grantkeeper.choices import RevocationPolicy
from grantkeeper.controller.announcing import Announcer
from grantkeeper.controller.connecting import Connectors, Remembered
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.gathering import Gathered
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.controller.revoking import Revoker
from grantkeeper.controller.seals import Seals
from grantkeeper.controller.sparing import Siblings, account_of
from grantkeeper.core import rendering
from grantkeeper.core.records import Recovered, Sealed
from grantkeeper.core.sparing import may_revoke
from grantkeeper.core.tokens import TokenSet
from grantkeeper.errors import ClusterError, Conflict, Unsealable
from grantkeeper.failpoints import reach
from grantkeeper.resources import FINALIZER, OAuthConnectorSpec, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a grant's tokens at their server."""

    sentence: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class Releaser:
    """Releases one grant at a time."""

    registry: Registry
    cluster: Cluster
    vault: Vault
    seals: Seals
    connectors: Connectors
    finalizers: Finalizers
    revoker: Revoker
    siblings: Siblings
    announcer: Announcer

    async def release(self, gathered: Gathered) -> None:
        """Revoke where the policy and the siblings allow, delete what was delivered and what is sealed, let go."""
        grant = gathered.grant
        if FINALIZER not in grant.metadata.finalizers:
            return
        name = grant.connector_name
        try:
            sealed = await self.vault.read(grant.metadata.uid)
        except Unsealable:
            sealed = None
            log.warning("a sealed Secret that cannot be read is kept", grant=f"{grant.metadata.namespace}/{grant.metadata.name}")
        remembered = await self.connectors.recall(name)
        tokens, why = self._open(sealed, remembered.spec if remembered is not None else None, name)
        if tokens is None and (connector := self.registry.connectors.get(name)) is not None:
            # What opens is not kept for want of a server to revoke it at; and it is shown to no server but its own.
            (tokens, why), remembered = self._open(sealed, connector.spec, name), None
        ending, aside = await asyncio.gather(
            self._revoke(grant, sealed, tokens, remembered, why), self._end_aside(grant, remembered or await self.connectors.recall(name))
        )
        if aside:
            ending = Ending(f"{ending.sentence} {aside.sentence}", ending.revoked and aside.revoked) if ending else aside
        reach("release.revoked")
        await self._withdraw(grant, sealed)
        reach("release.withdrawn")
        if sealed is not None and (sealed.tokenset is None or tokens is not None):
            try:
                await self.vault.remove(sealed)
            except Conflict:
                return  # somebody wrote: look again
        reach("release.removed")
        if ending is not None:
            await self.announcer.announce(grant, "Released", ending.sentence, is_warning=not ending.revoked)
        if await self.finalizers.release(grant) and ending is not None:
            log.info("released", namespace=grant.metadata.namespace, grant=grant.metadata.name, revocation=ending.sentence)

    async def end_late(self, uid: str) -> None:
        """Revoke what came for a grant that is gone by now and had been released before; what does not open is kept."""
        for recovered in self.registry.aside.of(uid):
            if not recovered.is_released:
                continue
            line = log.bind(grant=f"{recovered.namespace}/{recovered.name}", secret=recovered.secret_name)
            for name, connector in self.registry.connectors.items():
                tokens, _ = self._open(recovered.sealed, connector.spec, name)
                if tokens is not None:
                    await self._end_late(recovered, tokens, name, line)
                    break
            else:
                line.warning("tokens that came too late do not open; they are kept")

    async def _end_late(self, recovered: Recovered, tokens: TokenSet, name: Name, line: FilteringBoundLogger) -> None:
        remembered = await self.connectors.recall(name)
        if remembered is None:
            line.info("tokens that came too late wait for their connector, to be revoked")
            return
        if not may_revoke(account_of(tokens), self.siblings.of(name, remembered.spec, but=recovered.uid)):
            line.warning("tokens that came too late are not revoked: another grant may hold the same account")
        elif await self.revoker.revoke(tokens, remembered.client, remembered.ca_bundle, connector=name):
            line.info("tokens that came too late were revoked")
        else:
            line.warning("tokens that came too late could not be revoked; revoke the access at the authorization server by hand")
        await self.vault.remove_recovered(recovered)
        self.registry.aside.drop(recovered)

    async def _revoke(
        self, grant: UserGrant, sealed: Sealed | None, tokens: TokenSet | None, remembered: Remembered | None, why: str
    ) -> Ending | None:
        """What became of the tokens at the server; None where none were held. `why` says why they cannot be used, where that is so."""
        if sealed is None or sealed.tokenset is None:
            return None
        revoked = False
        if tokens is None:
            sentence = (
                f"The tokens were not revoked: {why}. They are kept in Secret {sealed.secret_name} of the operator's namespace; revoke "
                "the access at the authorization server."
            )
        elif grant.spec.revocation_policy is RevocationPolicy.RETAIN:
            sentence = "The tokens were not revoked: spec.revocationPolicy is Retain."
        elif remembered is None:
            sentence = (
                "The tokens could not be revoked: the connector was not ready. Revoke the access at the authorization server by hand."
            )
        elif not may_revoke(account_of(tokens), self.siblings.of(grant.connector_name, remembered.spec, but=grant.metadata.uid)):
            sentence = "The tokens were not revoked: another grant may hold the same account, and would lose its consent too."
        elif remembered.client.endpoints.revocation is None:
            sentence = "The tokens were not revoked: the server has no revocation endpoint. Revoke the access there by hand."
        elif revoked := await self.revoker.revoke(tokens, remembered.client, remembered.ca_bundle, connector=grant.connector_name):
            sentence = "The tokens were revoked at the authorization server."
        else:
            sentence = "The tokens could not be revoked: the authorization server did not take it. Revoke the access there by hand."
        return Ending(sentence, revoked)

    async def _end_aside(self, grant: UserGrant, remembered: Remembered | None) -> Ending | None:
        """What became of the sets that came second; None where there were none. One that does not open is kept, as ever."""
        found = self.registry.aside.of(grant.metadata.uid)
        if not found:
            return None
        endings = await asyncio.gather(*(self._end_one_aside(grant, recovered, remembered) for recovered in found))
        kept = [recovered.secret_name for recovered, ending in zip(found, endings, strict=True) if ending is None]
        if kept:
            sentence = (
                "Tokens that had come second were not revoked: they do not open any more, or their client cannot be used. They are kept in "
                f"{', '.join(kept)} (Secrets of the operator's namespace); revoke the access at the authorization server."
            )
        elif all(endings):
            sentence = "Tokens that had come second were revoked, too."
        else:
            sentence = "Tokens that had come second were not revoked."
        return Ending(sentence, all(endings))

    async def _end_one_aside(self, grant: UserGrant, recovered: Recovered, remembered: Remembered | None) -> bool | None:
        """Whether a set that came second was revoked; None where it does not open. By the same rules as the one that is held."""
        if remembered is None:
            return None
        tokens, _ = self._open(recovered.sealed, remembered.spec, grant.connector_name)
        if tokens is None:
            return None
        siblings = self.siblings.of(grant.connector_name, remembered.spec, but=grant.metadata.uid)
        may = grant.spec.revocation_policy is not RevocationPolicy.RETAIN and may_revoke(account_of(tokens), siblings)
        revoked = may and await self.revoker.revoke(tokens, remembered.client, remembered.ca_bundle, connector=grant.connector_name)
        await self.vault.remove_recovered(recovered)
        self.registry.aside.drop(recovered)
        return revoked

    def _open(self, sealed: Sealed | None, spec: OAuthConnectorSpec | None, name: Name) -> tuple[TokenSet | None, str]:
        """The tokens that are held, or why they cannot be used: the middle of a sentence."""
        if sealed is None:
            return None, ""
        if spec is None:
            return None, f"they do not open without OAuthConnector {name[1]}, which is not there any more"
        try:
            opened = self.seals.open_tokens(sealed, spec)
        except Unsealable as error:
            is_replaced = error.reason == "connector"
            return None, f"OAuthConnector {name[1]} is not the client that they belong to" if is_replaced else f"the sealed set {error}"
        return (opened.tokens, "") if opened is not None else (None, "")

    async def _withdraw(self, grant: UserGrant, sealed: Sealed | None) -> None:
        """Delete the delivered Secrets that are ours; where that is refused, the garbage collector follows."""
        namespace = grant.metadata.namespace
        for name, delivery in (sealed.deliveries if sealed else {}).items():
            copy = self.registry.copies.get((namespace, name))
            if copy is None or not rendering.is_ours(copy, delivery):
                continue
            with suppress(ClusterError):
                await self.cluster.delete(SECRETS, namespace, name, uid=copy.uid)
