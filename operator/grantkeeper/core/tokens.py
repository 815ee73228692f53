"""What a token answer holds, and the one part of it that may leave the house.

`TokenSet` has no way to a Secret of a workload, a page, or a log line; only the `AccessToken` that it lends has.
Both redact themselves: their text never shows a token.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, SecretStr, SerializationInfo

from grantkeeper.core.times import from_seconds, to_seconds

Moment = Annotated[datetime, BeforeValidator(from_seconds), PlainSerializer(to_seconds)]
"""An aware datetime; whole seconds since the epoch in a sealed payload."""

SEALING = {"sealing": True}
"""The one context in which a `Sealable` writes itself in clear; only an envelope's payload is made with it."""


def _write_when_sealing(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if info.context is SEALING else str(secret)


Sealable = Annotated[SecretStr, PlainSerializer(_write_when_sealing, when_used="json")]
"""A secret that may be sealed; anything else that is written of it is asterisks."""


class IDClaims(BaseModel):
    """Who consented, as the provider's ID token and userinfo name the account (OpenID Connect Core section 5.1), in bounded lengths."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    iss: str | None = None
    """None where the server has no issuer: there the account is known from its userinfo alone."""
    sub: str
    username: str | None = None
    name: str | None = None
    email: str | None = None
    email_verified: bool | None = None
    hd: str | None = None
    """The domain of the organization that the account belongs to, as Google says it."""
    picture: str | None = None


class AccessToken(BaseModel):
    """What may be handed to consumers: never a refresh token."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    value: SecretStr
    token_type: str
    scope: str | None
    expires_at: datetime | None
    generation: int
    account: str | None = None
    """The provider's own identifier of the account that consented; None where it is not known."""


class Turnover(BaseModel):
    """What refreshes have shown of whether the server changes the refresh token."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    changed: bool = False
    """It has done so at least once."""
    kept: int = 0
    """How often it has not, as long as it never did."""


class TokenSet(BaseModel):
    """One token answer (RFC 6749 section 5.1), as it is sealed. Members that this version does not know are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    access_token: Sealable
    refresh_token: Sealable | None = None
    token_type: str
    scope: str | None = None
    obtained_at: Moment
    expires_at: Moment | None = None
    refresh_expires_at: Moment | None = None
    id_claims: IDClaims | None = None
    asked: tuple[str, ...] | None = None
    """The scopes that the person was asked for when they consented; None in sets that were sealed before this was kept."""
    turnover: Turnover = Turnover()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, sorted; none where the server never named any."""
        return tuple(sorted(set((self.scope or "").split())))

    def lend(self, generation: int) -> AccessToken:
        """The access token alone, stamped with the generation of the set it came from."""
        return AccessToken(
            value=self.access_token,
            token_type=self.token_type,
            scope=self.scope,
            expires_at=self.expires_at,
            generation=generation,
            account=self.id_claims.sub if self.id_claims else None,
        )


def write_payload(value: BaseModel) -> bytes:
    """What goes into an envelope, with its secrets in clear."""
    return value.model_dump_json(context=SEALING, exclude_none=True).encode()


def fingerprint(secret: SecretStr) -> str:
    """SHA-256 in lower-case hex: tells two tokens apart without showing either."""
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()
