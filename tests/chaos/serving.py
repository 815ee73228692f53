"""What the matrix asks of an authorization server, so that a scripted and a certified one can play."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from chaos.families import Entry, Family, Manner


class Arrival(NamedTuple):
    """What a browser brings back (RFC 6749 section 4.1.2, RFC 9207)."""

    code: str
    iss: str | None


class Server(Protocol):
    """An authorization server that tests can look into."""

    def describe(self, manner: Manner) -> dict[str, Any]:
        """What a connector says of it: its address, the client, and how it treats refresh tokens."""

    def consent(self, family: Family, link: str) -> Arrival:
        """Somebody opens the link and consents; their browser comes back."""

    def let_live(self, family: Family) -> None:
        """Access tokens that follow live as long as the family's later ones."""

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """Somebody else presents a refresh token; the members of the answer."""

    def seen(self, account: str) -> list[Entry]:
        """What was presented in the name of an account, in order."""

    def is_ended(self, account: str) -> bool:
        """Whether the account's consent is over: revoked, or ended by a spent token."""

    def is_active(self, token: str) -> bool:
        """Whether a token would be accepted now (RFC 7662)."""
