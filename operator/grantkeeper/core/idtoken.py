"""Judge an ID token: who consented, said by the very server that was asked, to this client, in answer to this request.

Its signature is not checked, because it came from the token endpoint over TLS, which OpenID Connect Core section 3.1.3.7
accepts in place of one. An ID token that came any other way must not be judged here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr

from grantkeeper.core.documents import Unreadable, read_object
from grantkeeper.core.tokens import IDClaims
from grantkeeper.errors import ProviderError

_COMPACT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)
_SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
_CLOCK_SKEW = timedelta(seconds=60)


class IDTokenError(ProviderError):
    """The ID token cannot be used; `reason` is one of: unreadable, wrong_issuer, wrong_audience, no_subject, expired, wrong_nonce."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ID token cannot be used: {reason}")
        self.reason = reason


def judge_id_token(id_token: SecretStr, *, issuer: str, client_id: str, nonce: str | None, now: datetime) -> IDClaims:
    """The account that the ID token names (OpenID Connect Core sections 2 and 3.1.3.7); IDTokenError where it does not hold.

    `nonce` is what the request carried, None for a request without one and for a refresh (section 12.2).
    """
    claims = _read_claims(id_token)
    if claims.get("iss") != issuer:
        raise IDTokenError("wrong_issuer")
    if not _is_for(claims.get("aud"), client_id):
        raise IDTokenError("wrong_audience")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise IDTokenError("no_subject")
    if not _is_alive(claims.get("exp"), now):
        raise IDTokenError("expired")
    if nonce is not None and claims.get("nonce") != nonce:
        raise IDTokenError("wrong_nonce")
    return IDClaims(iss=issuer, sub=subject)


def _read_claims(id_token: SecretStr) -> Mapping[str, object]:
    parts = _COMPACT.fullmatch(id_token.get_secret_value())
    if parts is None:
        raise IDTokenError("unreadable")
    payload = parts[1]
    try:
        return read_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (Unreadable, ValueError):
        raise IDTokenError("unreadable") from None


def _is_for(audience: object, client_id: str) -> bool:
    return audience == client_id or (isinstance(audience, list) and client_id in audience)


def _is_alive(expiry: object, now: datetime) -> bool:
    """Whether `exp` lies ahead, with a minute for clocks that differ."""
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return False
    return now.timestamp() < expiry + _CLOCK_SKEW.total_seconds()
