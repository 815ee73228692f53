"""What a run leaves behind: fingerprints (SHA-256 in hex) in the place of tokens, and enough to judge the run without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,40}$")]
"""A client's id, an OAuth error; nothing that a token would fit into."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sight(_Part):
    """The consumer found a token that it had not found before."""

    time: AwareDatetime
    token: Fingerprint
    expires_at: AwareDatetime
    """As the file beside the token says."""


class Introspection(_Part):
    """What the server said about that token when it was asked (RFC 7662)."""

    time: AwareDatetime
    token: Fingerprint
    active: bool
    expires_at: AwareDatetime | None


class Entry(_Part):
    """A line of the server's ledger: one request to its token, introspection or revocation endpoint."""

    time: AwareDatetime
    endpoint: Literal["token", "introspection", "revocation"]
    grant_type: Literal["authorization_code", "refresh_token"] | None
    client_id: Word | None
    presented: Fingerprint | None
    status: int
    error: Word | None
    access_token: Fingerprint | None
    refresh_token: Fingerprint | None
    delivered: bool | None
    """Whether the answer reached the socket; None when that is not known."""


def entries_of(ledger: Iterable[Mapping[str, Any]], *clients: str) -> tuple[Entry, ...]:
    """What the ledger tells of these clients. People may try clients of their own meanwhile, and those are none of a report's."""
    return tuple(Entry(**{name: line[name] for name in Entry.model_fields}) for line in ledger if line["client_id"] in clients)


class Report(_Part):
    """One run of the demo, each list in the order of time."""

    client_id: Word
    seen: tuple[Sight, ...]
    introspected: tuple[Introspection, ...]
    ledger: tuple[Entry, ...]
