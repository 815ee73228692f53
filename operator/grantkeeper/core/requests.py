"""What people are asked: consent requests, opened, counted and closed as values.

The record here is the authority. Status shows the pages what they need to ask the question, and nothing that would let anybody
answer it: the verifier and, unless the link is shown in status, the id stay sealed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, SecretStr

from grantkeeper.choices import RequestState
from grantkeeper.core.records import Time
from grantkeeper.core.tokens import Sealable
from grantkeeper.resources import OAuthConnector, UserGrant

CONNECT_ANNOTATION = "grantkeeper.dev/connect"
"""On a grant: the hash of an id that somebody made, who has the link with it and wants a request opened."""
LIFETIME_IN_STATUS = timedelta(days=7)
LIFETIME_ON_REQUEST = timedelta(minutes=15)
HISTORY = 8
"""So many requests are remembered for each grant."""
WISHES = 32
"""So many hashes are remembered that links were asked for with: an older one could come back only by a hand that set it anew."""
SUPERSEDED = "Superseded"
"""Why a request was closed before its time: another set of scopes is wanted, or its link is to be in no status any more."""

_HASH = re.compile(r"[0-9a-f]{64}")


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


def read_wish(annotations: Mapping[str, str]) -> str | None:
    """The hash of the id that a link is asked for with; None where there is none, or nothing that could be one."""
    stated = annotations.get(CONNECT_ANNOTATION, "")
    return stated if _HASH.fullmatch(stated) else None


def wanted_scopes(grant: UserGrant, connector: OAuthConnector) -> tuple[str, ...]:
    """What a person is to be asked for: the grant's scopes, by default the connector's."""
    return grant.spec.scopes or connector.spec.scopes


def find(requests: Sequence[ConsentRequest], digest: str) -> ConsentRequest | None:
    """The request with this hash."""
    return next((request for request in requests if request.hash == digest), None)


def find_open(requests: Sequence[ConsentRequest], now: datetime) -> ConsentRequest | None:
    """The newest request that can still be answered."""
    return next((r for r in reversed(requests) if r.state is RequestState.OPEN and now < r.expires_at), None)


def find_shown(requests: Sequence[ConsentRequest], now: datetime) -> ConsentRequest | None:
    """The newest request that can still be answered and whose link the record holds."""
    return find_open([request for request in requests if request.id is not None], now)


def close(request: ConsentRequest, state: RequestState, reason: str | None = None) -> ConsentRequest:
    """The request as history: what could answer it is forgotten."""
    return request.model_copy(update={"state": state, "reason": reason, "id": None, "verifier": None})


def replace(requests: Sequence[ConsentRequest], changed: ConsentRequest) -> tuple[ConsentRequest, ...]:
    """The requests with one of them changed."""
    return tuple(changed if request.hash == changed.hash else request for request in requests)


def expire(requests: Sequence[ConsentRequest], now: datetime, *, wanted: Collection[str], shows_links: bool) -> tuple[ConsentRequest, ...]:
    """The requests with those closed that nobody answered in time, and those that must not be answered any more.

    Nobody is to consent to more than is wanted, and a link that was in a status does not count where links are kept out of it.
    """
    return tuple(_expire(request, now, wanted, shows_links=shows_links) for request in requests)


def _expire(request: ConsentRequest, now: datetime, wanted: Collection[str], *, shows_links: bool) -> ConsentRequest:
    if request.state is not RequestState.OPEN:
        return request
    if now >= request.expires_at:
        return close(request, RequestState.EXPIRED)
    if not set(request.scopes) <= set(wanted) or (request.id is not None and not shows_links):
        return close(request, RequestState.EXPIRED, SUPERSEDED)
    return request


def give_up(requests: Sequence[ConsentRequest], redeemed: str | None) -> tuple[ConsentRequest, ...]:
    """The requests with those closed whose code was presented, and whose claim was lost to another's set: nothing more comes of them.

    `redeemed` is the hash of the one that a claim stands for.
    """
    return tuple(
        close(request, RequestState.REFUSED, "ExchangeFailed")
        if request.state is RequestState.ANSWERED and request.hash != redeemed
        else request
        for request in requests
    )


def supersede(requests: Sequence[ConsentRequest], wanted: Collection[str]) -> tuple[ConsentRequest, ...]:
    """The requests with those closed that ask for fewer scopes than are wanted: one that asks for all of them takes their place."""
    return tuple(
        close(request, RequestState.EXPIRED, SUPERSEDED)
        if request.state is RequestState.OPEN and set(request.scopes) < set(wanted)
        else request
        for request in requests
    )


def end_links(requests: Sequence[ConsentRequest], granted: ConsentRequest) -> tuple[ConsentRequest, ...]:
    """The requests with those closed whose link stands in the status and that ask for nothing more than was just consented to."""
    return tuple(
        close(request, RequestState.EXPIRED, SUPERSEDED)
        if request.state is RequestState.OPEN and request.id is not None and set(request.scopes) <= set(granted.scopes)
        else request
        for request in requests
    )


def add(requests: Sequence[ConsentRequest], opened: ConsentRequest) -> tuple[ConsentRequest, ...]:
    """The requests with one more; beyond `HISTORY` the oldest closed one goes, and where all are open the oldest of them."""
    kept = [*requests, opened]
    while len(kept) > HISTORY:
        oldest_closed = next((r for r in kept if r.state is not RequestState.OPEN), kept[0])
        kept.remove(oldest_closed)
    return tuple(kept)
