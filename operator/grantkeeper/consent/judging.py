"""Decide which page a person sees. No I/O, no clock: what is known in, a page out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr

from grantkeeper.choices import PKCE, RequestState, RevocationPolicy, TokenStorage
from grantkeeper.consent.addresses import Link
from grantkeeper.consent.views import Asker, Connected, Departure, Notice, Page, Question, Refused, Scope, Server, Waiting
from grantkeeper.core.catalogue import Preset
from grantkeeper.core.oauth import authorization_url
from grantkeeper.core.presets import Habits, UnknownProvider, find_habits
from grantkeeper.core.reasons import Reason
from grantkeeper.core.requests import SUPERSEDED, hash_id, read_wish
from grantkeeper.resources import Account, ConsentRequestStatus, OAuthConnector, UserGrant

_PAUSES = ((3, 1), (6, 2), (12, 5), (30, 15))
"""Up to this look, wait so many seconds before the next; after the last the page leaves it to the person: five minutes in all."""
_PATIENCE = 9
"""After so many looks (some 20 seconds) the page says that it takes longer than usual."""
_NO_PRESETS: Mapping[str, Preset] = {}
_HTTPS = re.compile(r"https://([A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?)(?:[/?][\x21-\x7E]*)?")
"""Without a user part, a backslash or anything beyond ASCII: browsers and people read those in different ways."""


def find_request(grant: UserGrant | None, link: Link) -> ConsentRequestStatus | None:
    """The request that a link belongs to; None where there is none, or no grant, or one that is about to go."""
    if grant is None or grant.metadata.is_deleting:
        return None
    digest = hash_id(link.id)
    return next((request for request in grant.status.consent_requests if request.hash == digest), None)


def is_wished_for(grant: UserGrant | None, link: Link) -> bool:
    """Whether a link is one that somebody has just asked for, so that its request may be about to open."""
    return grant is not None and not grant.metadata.is_deleting and read_wish(grant.metadata.annotations) == hash_id(link.id)


def is_open(request: ConsentRequestStatus, now: datetime) -> bool:
    """Whether an answer to this request can still be of use."""
    return request.state is RequestState.OPEN and now < request.expiration_time


def is_held_up(grant: UserGrant) -> bool:
    """Whether the controller may do nothing for this grant now, by its own report: its connector does not admit it, or nobody keeps it."""
    accepted = next((condition for condition in grant.status.conditions if condition.type == "Accepted"), None)
    return accepted is not None and accepted.reason in {Reason.NAMESPACE_NOT_ALLOWED, Reason.PENDING}


def judge(
    grant: UserGrant,
    request: ConsentRequestStatus,
    connector: OAuthConnector | None,
    *,
    now: datetime,
    look: int,
    presets: Mapping[str, Preset] = _NO_PRESETS,
) -> Page:
    """Decide what somebody sees who follows a link. `look` counts how often they have looked since they answered; 0 is before."""
    habits = _find_habits(connector, presets)
    server = describe_server(connector, presets)
    known = server or Server(grant.spec.connector_ref.name, "")
    match request.state:
        case RequestState.EXPIRED:
            return Notice.SUPERSEDED if request.reason == SUPERSEDED else Notice.EXPIRED
        case RequestState.OPEN if not is_open(request, now):
            return Notice.EXPIRED
        case RequestState.OPEN if not look:
            is_ready = server is not None and not is_held_up(grant)
            return _ask(grant, request, connector, habits, server, now) if connector and server and is_ready else Notice.UNREADY
        case RequestState.GRANTED:
            account = _name_account(grant.status.account)
            scopes = _compare_scopes(request.scopes, grant.status.granted_scopes, habits)
            return Connected(_describe_asker(grant), known, account, scopes)
        case RequestState.REFUSED:
            return Refused(_describe_asker(grant), known, request.reason or "Unknown", stays=_is_connected(grant))
        case _:
            return _wait(request, known, max(look, 1))


def depart(
    request: ConsentRequestStatus,
    connector: OAuthConnector | None,
    *,
    redirect_uri: str,
    state: SecretStr,
    presets: Mapping[str, Preset] = _NO_PRESETS,
) -> Departure | Notice:
    """The way to the authorization server with one request (RFC 6749 section 4.1.1, RFC 7636 section 4.3)."""
    server, endpoint, habits = describe_server(connector, presets), _find_endpoint(connector), _find_habits(connector, presets)
    if connector is None or server is None or endpoint is None or habits is None:
        return Notice.UNREADY
    proves_key = habits.pkce is PKCE.S256
    if proves_key and request.challenge is None:
        return Notice.UNREADY
    address = authorization_url(
        endpoint,
        client_id=connector.spec.client_id,
        redirect_uri=redirect_uri,
        scopes=request.scopes,
        state=state.get_secret_value(),
        challenge=request.challenge if proves_key else None,
        nonce=request.nonce,
        parameters=habits.authorization_parameters,
        separator=habits.scope_separator.character,
    )
    return Departure(server, SecretStr(address))


def describe_server(connector: OAuthConnector | None, presets: Mapping[str, Preset] = _NO_PRESETS) -> Server | None:
    """The authorization server as people know it; None before the controller has found where to send them."""
    host, habits = _read_host(_find_endpoint(connector)), _find_habits(connector, presets)
    if connector is None or connector.status.server is None or host is None or habits is None:
        return None
    return Server(habits.display_name or _read_host(connector.status.server.issuer) or host, host)


def _find_habits(connector: OAuthConnector | None, presets: Mapping[str, Preset]) -> Habits | None:
    """How the server is dealt with; None where its preset is not known here, while one process is newer than another."""
    try:
        return find_habits(connector.spec, presets) if connector else None
    except UnknownProvider:
        return None


def _find_endpoint(connector: OAuthConnector | None) -> str | None:
    return connector.status.server.authorization_endpoint if connector and connector.status.server else None


def _read_host(url: str | None) -> str | None:
    """The host of an https URL as the browser's address bar will show it; None where the two could differ."""
    match = _HTTPS.fullmatch(url or "")
    return match[1].lower() if match else None


def _ask(  # everything that is on the page
    grant: UserGrant, request: ConsentRequestStatus, connector: OAuthConnector, habits: Habits | None, server: Server, now: datetime
) -> Question:
    return Question(
        asker=_describe_asker(grant),
        server=server,
        scopes=_describe_scopes(request.scopes, habits, held=grant.status.granted_scopes if _is_connected(grant) else ()),
        secrets=tuple(secret.name for secret in grant.spec.secrets),
        revokes=grant.spec.revocation_policy is RevocationPolicy.REVOKE,
        keeps=connector.spec.token_storage is TokenStorage.ENABLED,
        expires_at=request.expiration_time,
        now=now,
    )


def _wait(request: ConsentRequestStatus, server: Server, look: int) -> Waiting:
    pause = next((seconds for last, seconds in _PAUSES if look <= last), None)
    is_slow = look > _PATIENCE
    return Waiting(server, look, pause, is_slow=is_slow, may_start_again=is_slow and request.state is RequestState.OPEN)


def _name_account(account: Account | None) -> str | None:
    """The name by which its owner knows it best."""
    return (account.username or account.email or account.name or account.subject) if account else None


def _describe_asker(grant: UserGrant) -> Asker:
    return Asker(grant.metadata.namespace, grant.metadata.name, grant.spec.user, grant.spec.purpose)


def _is_connected(grant: UserGrant) -> bool:
    return grant.status.token_state == "Active"  # noqa: S105  # a state, not a token


def _describe_scopes(scopes: tuple[str, ...], habits: Habits | None, *, held: tuple[str, ...]) -> tuple[Scope, ...]:
    """What is asked for; beside scopes that are held already, which of them are new."""
    words = habits.scope_descriptions if habits else {}
    return tuple(Scope(name, words.get(name), is_new=bool(held) and name not in held) for name in scopes)


def _compare_scopes(asked: tuple[str, ...], granted: tuple[str, ...], habits: Habits | None) -> tuple[Scope, ...]:
    """What was asked, then what came besides. A server that names no scopes granted what was asked (RFC 6749 section 5.1)."""
    words = habits.scope_descriptions if habits else {}
    held = granted or asked
    besides = tuple(name for name in granted if name not in asked)
    return tuple(Scope(name, words.get(name), granted=name in held) for name in (*asked, *besides))
