"""Let a deleted grant go: revoke, clean up, and only then take the finalizer away."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import structlog

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
from grantkeeper.core.records import Sealed
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
        ending = await self._revoke(grant, sealed, tokens, remembered, why)
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
