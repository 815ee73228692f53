"""Ask a person: requests are opened in the sealed Secret, which is their authority, and closed there when nobody answered."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import SecretStr

from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.gathering import Gathered
from grantkeeper.controller.seals import Seals
from grantkeeper.core.records import Sealed
from grantkeeper.core.requests import LIFETIME_IN_STATUS, ConsentRequest, add, expire, find_open, hash_id
from grantkeeper.errors import Conflict
from grantkeeper.resources import OAuthConnector, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asker:
    """Opens and closes requests."""

    vault: Vault
    seals: Seals
    clock: Callable[[], datetime]

    async def ask(self, gathered: Gathered, *, opening: bool) -> None:
        """Close what ran out and, where one is wanted and none is open, open a request. A conflict leaves it to the next pass."""
        grant, connector = gathered.grant, gathered.connector
        if connector is None:
            return
        now = self.clock()
        sealed = gathered.sealed or Sealed(uid=grant.metadata.uid, namespace=grant.metadata.namespace, name=grant.metadata.name)
        requests = expire(gathered.requests, now)
        if opening and find_open(requests, now) is None:
            requests = add(requests, open_request(grant, connector, now))
            log.info("consent requested", namespace=grant.metadata.namespace, grant=grant.metadata.name)
        texts = self.seals.seal_requests(requests, grant, connector.spec, generation=grant.metadata.generation)
        try:
            await self.vault.put(sealed.model_copy(update={"requests": texts}))
        except Conflict:
            await self.vault.read(grant.metadata.uid)


def open_request(grant: UserGrant, connector: OAuthConnector, now: datetime) -> ConsentRequest:
    """A new question, with a random id of 256 bits that only its link holds."""
    request_id = _random()
    return ConsentRequest(
        hash=hash_id(request_id),
        id=request_id,
        verifier=_random(),
        nonce=_random().get_secret_value(),
        scopes=asked_scopes(grant, connector),
        expires_at=now + LIFETIME_IN_STATUS,
    )


def asked_scopes(grant: UserGrant, connector: OAuthConnector) -> tuple[str, ...]:
    """The grant's scopes, by default the connector's."""
    return grant.spec.scopes or connector.spec.scopes


def _random() -> SecretStr:
    """256 bits as 43 characters, fit for a PKCE verifier (RFC 7636 section 4.1)."""
    return SecretStr(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
