"""Turn the members of a successful token answer (RFC 6749 section 5.1) into the set that is kept.

Tolerant where servers are sloppy and nothing can be misunderstood; strict where a value would be handed on as a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from grantkeeper.core.outcomes import Granted, Lost
from grantkeeper.core.rotation import note_turnover
from grantkeeper.core.tokens import TokenSet

_TOKEN = re.compile(r"[\x20-\x7e]+")
"""1*VSCHAR, RFC 6749 appendix A.12 and A.17: nothing that could end a header line."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_TYPES = frozenset({"bearer", "bot", "user"})
"""RFC 6749 section 7.1 forbids using a token of a type that one does not know. Slack calls its bearer tokens bot and user."""

_LARGEST = 40 * 1024
"""What a sealed payload has room for, in bytes of JSON, its other members left aside."""

_LONGEST = timedelta(days=3650)
_REFRESH_LIFETIMES = ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in")


def read_tokens(
    members: Mapping[str, object],
    *,
    now: datetime,
    asked: Sequence[str],
    previous: TokenSet | None,
    assumed_lifetime: timedelta | None,
    refresh_lifetime: timedelta | None = None,
    separator: str,
) -> Granted | Lost:
    """The set in an answer that names no error; after a refresh, what the answer leaves out stays as it was."""
    access_token, refresh_token, id_token = (members.get(name) or None for name in ("access_token", "refresh_token", "id_token"))

    def lose(reason: str) -> Lost:
        return Lost(reason, successor=find_successor(members, previous, now=now, refresh_lifetime=refresh_lifetime))

    if access_token is None:
        return lose("no_access_token")
    if not _is_token(access_token) or not (refresh_token is None or _is_token(refresh_token)):
        return lose("malformed_token")
    token_type = members.get("token_type") or (previous.token_type if previous else "Bearer")
    if not isinstance(token_type, str) or token_type.lower() not in _TYPES:
        return lose("unknown_token_type")
    scope = _read_scope(members.get("scope"), asked, separator) or (previous.scope if previous else " ".join(asked)) or None
    remembered = previous.asked if previous else tuple(asked)
    if not _fits(access_token, refresh_token, scope, remembered):
        return lose("too_large")
    lifetime = read_lifetime(members.get("expires_in")) or assumed_lifetime
    fresh = TokenSet(
        access_token=SecretStr(str(access_token)),
        refresh_token=SecretStr(str(refresh_token)) if refresh_token else None,
        token_type=token_type,
        scope=scope,
        obtained_at=now,
        expires_at=now + lifetime if lifetime else None,
        refresh_expires_at=_read_refresh_expiry(members, now),
        asked=remembered,
    )
    return Granted(
        tokens=_let_expire(_continue(previous, fresh) if previous else fresh, previous, refresh_lifetime),
        id_token=SecretStr(str(id_token)) if _is_token(id_token) else None,
    )


def find_successor(
    members: Mapping[str, object], previous: TokenSet | None, *, now: datetime, refresh_lifetime: timedelta | None = None
) -> TokenSet | None:
    """What is held, with the refresh token of an answer that is of no use otherwise; None where it brings no other one."""
    refresh_token = members.get("refresh_token")
    if previous is None or not _is_token(refresh_token) or refresh_token == _reveal(previous.refresh_token):
        return None
    if not _fits(_reveal(previous.access_token), refresh_token, previous.scope, previous.asked):
        return None
    lifetime = refresh_lifetime and now + refresh_lifetime
    return previous.model_copy(
        update={
            "refresh_token": SecretStr(str(refresh_token)),
            "refresh_expires_at": _read_refresh_expiry(members, now) or lifetime,
            "turnover": note_turnover(previous.turnover, changed=True),
        }
    )


def read_lifetime(stated: object) -> timedelta | None:
    """A lifetime in seconds, as servers write it: a number, or digits in a string; whole, and ten years at most.

    None for anything else, and for what is not positive: servers write 0 and -1 where they mean that nothing expires.
    """
    if isinstance(stated, str) and _NUMBER.fullmatch(stated.strip()):
        stated = float(stated.strip())
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    seconds = int(min(stated, _LONGEST.total_seconds())) if stated >= 1 else 0
    return timedelta(seconds=seconds) if seconds else None


def _continue(previous: TokenSet, fresh: TokenSet) -> TokenSet:
    """The next set of the same grant; a refresh token that stays keeps its deadline, and unknown members are carried along."""
    stays = fresh.refresh_token is None or fresh.refresh_token == previous.refresh_token
    return previous.model_copy(
        update={
            "access_token": fresh.access_token,
            "refresh_token": fresh.refresh_token or previous.refresh_token,
            "token_type": fresh.token_type,
            "scope": fresh.scope,
            "obtained_at": fresh.obtained_at,
            "expires_at": fresh.expires_at,
            "refresh_expires_at": fresh.refresh_expires_at or (previous.refresh_expires_at if stays else None),
            "turnover": note_turnover(previous.turnover, changed=not stays),
        }
    )


def _let_expire(tokens: TokenSet, previous: TokenSet | None, refresh_lifetime: timedelta | None) -> TokenSet:
    """A refresh token that is new and comes without a deadline gets the one that the connector states."""
    is_new = tokens.refresh_token is not None and (previous is None or tokens.refresh_token != previous.refresh_token)
    if not is_new or tokens.refresh_expires_at is not None or refresh_lifetime is None:
        return tokens
    return tokens.model_copy(update={"refresh_expires_at": tokens.obtained_at + refresh_lifetime})


def _read_refresh_expiry(members: Mapping[str, object], now: datetime) -> datetime | None:
    lifetimes = (read_lifetime(members.get(name)) for name in _REFRESH_LIFETIMES)
    return next((now + lifetime for lifetime in lifetimes if lifetime), None)


def _read_scope(stated: object, asked: Sequence[str], separator: str) -> str | None:
    """The granted scopes, separated by spaces; a comma separates too, unless a scope that was asked for holds one."""
    if isinstance(stated, list):
        stated = " ".join(part for part in stated if isinstance(part, str))
    if not isinstance(stated, str):
        return None
    if separator == "," or not any("," in scope for scope in asked):
        stated = stated.replace(",", " ")
    return " ".join(dict.fromkeys(scope for scope in stated.split() if _SCOPE.fullmatch(scope))) or None


def _fits(*parts: object) -> bool:
    return sum(len(json.dumps(part)) for part in parts) <= _LARGEST


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None
