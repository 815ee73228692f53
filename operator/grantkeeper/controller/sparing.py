"""Find the grants that revoking somebody's tokens could hurt: those of the same connector that hold tokens themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grantkeeper.controller.registry import Name, Registry
from grantkeeper.controller.seals import Seals
from grantkeeper.core.sparing import Sibling
from grantkeeper.core.tokens import TokenSet
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnectorSpec


@dataclass(frozen=True, slots=True)
class Siblings:
    """Reads them from memory."""

    registry: Registry
    seals: Seals

    def of(self, connector: Name, spec: OAuthConnectorSpec, *, but: str | None = None) -> list[Sibling]:
        """The grants that hold tokens of this client, without the one that has the uid `but`."""
        return list(self._find(connector, spec, but))

    def _find(self, connector: Name, spec: OAuthConnectorSpec, but: str | None) -> Iterator[Sibling]:
        for grant in self.registry.grants_of(connector):
            sealed = self.registry.sealed.get(grant.metadata.uid)
            if grant.metadata.uid == but or grant.metadata.is_deleting or sealed is None or sealed.tokenset is None:
                continue
            try:
                opened = self.seals.open_tokens(sealed, spec)
            except Unsealable:
                opened = None
            yield Sibling(account_of(opened.tokens) if opened is not None else None)


def account_of(tokens: TokenSet) -> str | None:
    """The provider's own identifier of the account, where it is known."""
    return tokens.id_claims.sub if tokens.id_claims else None
