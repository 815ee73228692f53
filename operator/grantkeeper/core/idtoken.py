"""Judge an ID token: who consented, said by the very server that was asked, to this client, in answer to this request.

Every check of OpenID Connect Core section 3.1.3.7 is made, the signature's included, although the token came over TLS: whoever
could bring another one here would have another person's account bound to a grant.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr

from grantkeeper.core.accounts import SUBJECT, describe
from grantkeeper.core.documents import Unreadable, read_object
from grantkeeper.core.signatures import SigningKeys, Unverifiable, verify
from grantkeeper.core.tokens import IDClaims
from grantkeeper.errors import ProviderError

_PAYLOAD = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)
_CLOCK_SKEW = timedelta(seconds=60)


class IDTokenError(ProviderError):
    """The account cannot be told.

    `reason` is one of: unreadable, wrong_algorithm, unknown_key, ambiguous_key, bad_signature, no_keys, wrong_issuer,
    wrong_audience, wrong_party, no_subject, expired, no_issue_time, wrong_nonce, wrong_token, no_userinfo, other_subject.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the account cannot be told: {reason}")
        self.reason = reason


def judge_id_token(  # what section 3.1.3.7 holds a token against
    id_token: SecretStr, keys: SigningKeys, *, issuer: str, client_id: str, nonce: str | None, access_token: SecretStr, now: datetime
) -> IDClaims:
    """The account that the ID token names (OpenID Connect Core sections 2 and 3.1.3.7); IDTokenError where it does not hold.

    `nonce` is what the request carried, None for a request without one.
    """
    try:
        verified = verify(id_token, keys)
    except Unverifiable as error:
        raise IDTokenError(error.reason) from None
    claims = verified.claims
    if claims.get("iss") != issuer:
        raise IDTokenError("wrong_issuer")
    _check_audience(claims, client_id)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise IDTokenError("no_subject")
    if not _lies_ahead(claims.get("exp"), now - _CLOCK_SKEW):
        raise IDTokenError("expired")
    if not _is_number(claims.get("iat")) or _lies_ahead(claims.get("iat"), now + _CLOCK_SKEW):
        raise IDTokenError("no_issue_time")
    if nonce is not None and claims.get("nonce") != nonce:
        raise IDTokenError("wrong_nonce")
    if "at_hash" in claims and not _is_hash_of(claims["at_hash"], access_token, verified.digest):
        raise IDTokenError("wrong_token")
    return describe(claims, issuer=issuer, subject=subject)


def names_another(id_token: SecretStr, held: IDClaims) -> bool:
    """Whether the ID token of a refresh is of another issuer or subject than the first (OpenID Connect Core section 12.2).

    It is read without its signature, because it can only refuse; one that cannot be read says nothing.
    """
    parts = _PAYLOAD.fullmatch(id_token.get_secret_value())
    try:
        claims = read_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) if parts else None
    except (Unreadable, ValueError):
        claims = None
    return claims is not None and held.iss is not None and (claims.get("iss"), claims.get("sub")) != (held.iss, held.sub)


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    """A token for several is for the one that `azp` names; one that names another there is not for us, whoever else may read it."""
    audience, party = claims.get("aud"), claims.get("azp")
    if audience != client_id and not (isinstance(audience, list) and client_id in audience):
        raise IDTokenError("wrong_audience")
    is_for_several = isinstance(audience, list) and len(audience) > 1
    if party != client_id and (is_for_several or party is not None):
        raise IDTokenError("wrong_party")


def _is_hash_of(stated: object, access_token: SecretStr, digest: str) -> bool:
    """The left half of the access token's hash (OpenID Connect Core section 3.1.3.6)."""
    whole = hashlib.new(digest, access_token.get_secret_value().encode()).digest()
    half = base64.urlsafe_b64encode(whole[: len(whole) // 2]).decode().rstrip("=")
    return isinstance(stated, str) and hmac.compare_digest(stated.encode(), half.encode())


def _lies_ahead(moment: object, now: datetime) -> bool:
    return _is_number(moment) and now.timestamp() < float(str(moment))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
