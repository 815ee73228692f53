"""The cookie that ties an answer to the browser that asked (RFC 9700 section 4.7, RFC 6749 section 10.12).

Each start of a flow has a cookie of its own, named after its `state`, so tabs do not disturb each other. It needs no signature: it
only repeats what this browser brought itself, and `__Host-` keeps other hosts from planting one. Over http, which is allowed on a
loopback host for development, browsers accept neither `Secure` nor the prefix.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr
from starlette.responses import Response

from grantkeeper.consent.addresses import Link, is_random

LIFETIME = timedelta(minutes=30)
"""How long a person may take at the authorization server."""
_SEPARATOR = ":"
_PARTS = 4


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a browser holds while its person is at the authorization server."""

    link: Link
    state: SecretStr


@dataclass(frozen=True, slots=True)
class Tickets:
    """Hands tickets to browsers and takes them back; `secure` is False only over http on a loopback host."""

    secure: bool

    def name(self, state: SecretStr) -> str:
        """The cookie's name; it does not tell the state."""
        digest = hashlib.sha256(state.get_secret_value().encode()).hexdigest()[:32]
        return f"{'__Host-' if self.secure else ''}consent-{digest}"

    def hand_out(self, ticket: Ticket, response: Response) -> None:
        """Let the browser keep the ticket."""
        link = ticket.link
        parts = (link.namespace, link.grant, link.id.get_secret_value(), ticket.state.get_secret_value())
        self._set(response, ticket.state, _SEPARATOR.join(parts), int(LIFETIME.total_seconds()))

    def take_back(self, state: SecretStr, response: Response) -> None:
        """Let the browser forget the ticket of this state."""
        self._set(response, state, "", 0)

    def read(self, cookies: Mapping[str, str], state: SecretStr) -> Ticket | None:
        """The ticket that belongs to this state, or None where this browser holds none."""
        parts = cookies.get(self.name(state), "").split(_SEPARATOR)
        if len(parts) != _PARTS:
            return None
        *address, held = parts
        link = Link.read(*address)
        if link is None or not is_random(held) or not hmac.compare_digest(held, state.get_secret_value()):
            return None
        return Ticket(link, state)

    def _set(self, response: Response, state: SecretStr, value: str, max_age: int) -> None:
        response.set_cookie(self.name(state), value, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="lax")
