"""Ask a person: requests are opened in the sealed Secret, which is their authority, and closed there when nobody answered.

What somebody asked for by an annotation is remembered with the write that opens it, so nothing ever opens it again.
"""

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
from grantkeeper.core.planning import must_ask, must_heed
from grantkeeper.core.records import Handled, Sealed
from grantkeeper.core.requests import (
    LIFETIME_IN_STATUS,
    LIFETIME_ON_REQUEST,
    WISHES,
    ConsentRequest,
    add,
    expire,
    find,
    give_up,
    hash_id,
    supersede,
)
from grantkeeper.errors import Conflict

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asker:
    """Opens and closes requests."""

    vault: Vault
    seals: Seals
    clock: Callable[[], datetime]

    async def ask(self, gathered: Gathered) -> None:
        """Close what ran out, and open what is wanted: a request for the link in the status, and one for whoever asked for a link.

        A conflict leaves it to the next pass.
        """
        grant, connector, facts = gathered.grant, gathered.connector, gathered.facts
        if connector is None:
            return
        now = self.clock()
        sealed = gathered.sealed or Sealed(uid=grant.metadata.uid, namespace=grant.metadata.namespace, name=grant.metadata.name)
        requests = expire(gathered.requests, now, wanted=facts.wanted, shows_links=facts.connector.shows_links)
        requests = give_up(requests, sealed.claim.request if sealed.claim else None)
        opened = [open_for_status(facts.wanted, now)] if must_ask(facts) else []
        if must_heed(facts):
            sealed = sealed.model_copy(update={"handled": remember(sealed.handled, facts.wish)})
            if find(requests, facts.wish) is None:
                opened.append(open_for_asker(facts.wish, facts.wanted, now))
        for request in opened:
            requests = add(supersede(requests, request.scopes), request)
            log.info("consent requested", namespace=grant.metadata.namespace, grant=grant.metadata.name, in_status=request.id is not None)
        texts = self.seals.seal_requests(requests, grant, connector.spec, generation=grant.metadata.generation)
        try:
            await self.vault.put(sealed.model_copy(update={"requests": texts}))
        except Conflict:
            await self.vault.read(grant.metadata.uid)


def open_for_status(scopes: tuple[str, ...], now: datetime) -> ConsentRequest:
    """A new question, with a random id of 256 bits that the record keeps, so that the link can be shown."""
    request_id = _random()
    return _open(hash_id(request_id), scopes, now + LIFETIME_IN_STATUS, request_id)


def open_for_asker(digest: str, scopes: tuple[str, ...], now: datetime) -> ConsentRequest:
    """A new question whose id somebody else made and keeps: nobody here has the link."""
    return _open(digest, scopes, now + LIFETIME_ON_REQUEST)


def _open(digest: str, scopes: tuple[str, ...], expires_at: datetime, request_id: SecretStr | None = None) -> ConsentRequest:
    nonce = _random().get_secret_value()
    return ConsentRequest(hash=digest, id=request_id, verifier=_random(), nonce=nonce, scopes=scopes, expires_at=expires_at)


def remember(handled: Handled | None, wish: str) -> Handled:
    """What was acted on, with one more; the oldest go."""
    return (handled or Handled()).model_copy(update={"connect": (*(handled.connect if handled else ()), wish)[-WISHES:]})


def _random() -> SecretStr:
    """256 bits as 43 characters, fit for a PKCE verifier (RFC 7636 section 4.1)."""
    return SecretStr(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
