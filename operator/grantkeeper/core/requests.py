"""What people are asked: consent requests, opened, counted and closed as values.

The record here is the authority. Status shows the pages what they need to ask the question, and nothing that would let anybody
answer it: the verifier and, unless the link is shown in status, the id stay sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, SecretStr

from grantkeeper.core.records import Time
from grantkeeper.core.tokens import Sealable
from grantkeeper.resources import RequestState

LIFETIME_IN_STATUS = timedelta(days=7)
HISTORY = 8
"""So many requests are remembered for each grant."""


class ConsentRequest(BaseModel):
    """One question to one person, as it is sealed."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    hash: str
    id: Sealable | None = None
    verifier: Sealable | None = None
    nonce: str
    scopes: tuple[str, ...]
    expires_at: Time
    state: RequestState = RequestState.OPEN
    reason: str | None = None
    junk: int = 0


def hash_id(request_id: SecretStr) -> str:
    """SHA-256 of a request's id in lower-case hex, by which everybody else knows it."""
    return hashlib.sha256(request_id.get_secret_value().encode()).hexdigest()


def find(requests: Sequence[ConsentRequest], digest: str) -> ConsentRequest | None:
    """The request with this hash."""
    return next((request for request in requests if request.hash == digest), None)


def find_open(requests: Sequence[ConsentRequest], now: datetime) -> ConsentRequest | None:
    """The newest request that can still be answered."""
    return next((r for r in reversed(requests) if r.state is RequestState.OPEN and now < r.expires_at), None)


def close(request: ConsentRequest, state: RequestState, reason: str | None = None) -> ConsentRequest:
    """The request as history: what could answer it is forgotten."""
    return request.model_copy(update={"state": state, "reason": reason, "id": None, "verifier": None})


def replace(requests: Sequence[ConsentRequest], changed: ConsentRequest) -> tuple[ConsentRequest, ...]:
    """The requests with one of them changed."""
    return tuple(changed if request.hash == changed.hash else request for request in requests)


def expire(requests: Sequence[ConsentRequest], now: datetime) -> tuple[ConsentRequest, ...]:
    """The requests with those closed that nobody answered in time."""
    return tuple(
        close(request, RequestState.EXPIRED) if request.state is RequestState.OPEN and now >= request.expires_at else request
        for request in requests
    )


def add(requests: Sequence[ConsentRequest], opened: ConsentRequest) -> tuple[ConsentRequest, ...]:
    """The requests with one more; beyond `HISTORY` the oldest closed one goes."""
    kept = [*requests, opened]
    while len(kept) > HISTORY:
        oldest_closed = next((r for r in kept if r.state is not RequestState.OPEN), kept[0])
        kept.remove(oldest_closed)
    return tuple(kept)
