"""What an answer means for the token or code that was presented: five classes, and the words that say why.

The words are a closed set. A server's own text can hold anything, an SQL statement or a secret included, so it is compared
with these words and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from pydantic import SecretStr

from grantkeeper.core.tokens import TokenSet

OTHER = "other"

DEAD_WORDS = frozenset({
    "invalid_grant",  # RFC 6749 section 5.2
    "bad_refresh_token", "bad_verification_code",  # GitHub
    "invalid_refresh_token", "invalid_code", "code_already_used", "code_expired", "token_expired", "token_revoked",  # Slack
    "interaction_required", "consent_required", "login_required",  # Microsoft, after OpenID Connect Core section 3.1.2.6
})  # fmt: skip
"""The person has to be asked again."""

REJECTED_WORDS = frozenset({
    "invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",  # RFC 6749 section 5.2
    "access_denied", "invalid_target", "use_dpop_nonce", "unsupported_token_type", "invalid_token",  # RFCs 8628, 8707, 9449, 7009, 6750
    "expired_token", "invalid_dpop_proof", "invalid_authorization_details", "insufficient_scope",  # RFCs 8628, 9449, 9396, 6750
    "incorrect_client_credentials", "redirect_uri_mismatch",  # GitHub
    "bad_client_secret", "invalid_client_id", "bad_redirect_uri",  # Slack
})  # fmt: skip
"""The client or the server is misconfigured; what was presented was not looked at."""

CLIENT_WORDS = frozenset({"invalid_client", "incorrect_client_credentials", "bad_client_secret", "invalid_client_id"})
"""Of these, the ones that say that no grant of this client can fare better; any other may be about one grant alone."""

SECRET_WORDS = frozenset({"invalid_client", "incorrect_client_credentials", "bad_client_secret"})
"""Of these again, the ones that may mean that the client secret is wrong, so that another one may fare better."""

TRANSIENT_WORDS = frozenset({
    "temporarily_unavailable", "slow_down",  # RFC 6749 section 4.1.2.1, RFC 8628 section 3.5
    "too_many_requests", "rate_limit_exceeded", "ratelimited",
})  # fmt: skip
"""Later; what was presented was not looked at."""

UNCERTAIN_WORDS = frozenset({"server_error", "internal_error", "internal_server_error", "service_unavailable", "fatal_error"})
"""The server failed on the way, and what was presented may be spent."""

UNUSABLE_WORDS = frozenset({
    "no_answer", "redirected", "unreadable", "no_access_token", "malformed_token", "unknown_token_type", "too_large",
})  # fmt: skip
"""Our own words for no answer, and for answers that say nothing usable."""

REASONS = DEAD_WORDS | REJECTED_WORDS | TRANSIENT_WORDS | UNCERTAIN_WORDS | UNUSABLE_WORDS | {OTHER, "granted", "revoked"}
"""Every reason that an outcome can have, the refusals of a preset aside."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Class a: tokens, to be kept before anything else is done."""

    tokens: TokenSet
    id_token: SecretStr | None = None
    reason: str = "granted"


@dataclass(frozen=True, slots=True)
class Dead:
    """Class b: what was presented is refused for good; only the person can help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Class c: client or server is misconfigured; what was presented is as good as before."""

    reason: str
    is_of_client: bool = False
    """No grant of this client can fare better."""
    said: str = field(default="", compare=False)
    """Of a word that is none of ours: the word itself if it is a plain one, else why it is not shown. For the log alone."""


@dataclass(frozen=True, slots=True)
class Transient:
    """Class d: not now, and surely nothing spent."""

    reason: str
    retry_after: timedelta | None = None
    """How long the server asked to be left alone, at most an hour."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Class e: whether what was presented is spent is unknown."""

    reason: str
    server_failed: bool = False
    """Something on the way said that it failed, a server or a gateway, rather than nothing, or what passes for a success."""
    retry_after: timedelta | None = None
    """How long it asked to be left alone, at most an hour."""
    successor: TokenSet | None = None
    """What was held, with another refresh token that the answer brings although nothing else in it is of use: the old one is spent."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The token is gone at the server, now or since earlier (RFC 7009 section 2.2)."""

    reason: str = "revoked"


def name_error(outcome: Outcome) -> str:
    """What went wrong, for the log: there a server's own word is named where it can be."""
    return outcome.said or outcome.reason if isinstance(outcome, Rejected) else outcome.reason


def blames_secret(reason: str, status: int) -> bool:
    """Whether an answer says that the client secret is wrong.

    `unauthorized_client` says that the client may not do this, whatever it proves itself by (RFC 6749 section 5.2). Keycloak says it
    of a wrong secret, too, and then with 401, which is about credentials and nothing else (RFC 9110 section 15.5.2).
    """
    return reason in SECRET_WORDS or (reason == "unauthorized_client" and status == HTTPStatus.UNAUTHORIZED)


def blames_client(reason: str, status: int) -> bool:
    """Whether an answer says that no grant of this client can fare better."""
    return reason in CLIENT_WORDS or blames_secret(reason, status)


Outcome = Granted | Dead | Rejected | Transient | Lost
RevocationOutcome = Revoked | Rejected | Transient | Lost
