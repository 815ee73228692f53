"""Every reason that a condition can give, and where it may stand.

The reasons are an API: people write alerts and scripts on them. What each means and what is to be done is in crds/README.md,
which a contract test holds to this list. A verdict takes no other reason, so one that is not here does not pass mypy.
"""

# ruff: noqa: S105  # reasons that speak of a Secret hold none

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is as it is, as it stands in status."""

    # Of both kinds
    READY = "Ready"
    PENDING = "Pending"
    ACCEPTED = "Accepted"
    # Of grants
    CONNECTOR_NOT_FOUND = "ConnectorNotFound"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    SCOPES_NOT_OFFERED = "ScopesNotOffered"
    INVALID_TEMPLATE = "InvalidTemplate"
    CONSENTED = "Consented"
    AWAITING_CONSENT = "AwaitingConsent"
    CONSENT_DENIED = "ConsentDenied"
    EXCHANGE_FAILED = "ExchangeFailed"
    ACCOUNT_MISMATCH = "AccountMismatch"
    REAUTHORIZATION_REQUIRED = "ReauthorizationRequired"
    CONNECTOR_REPLACED = "ConnectorReplaced"
    UNSEALABLE = "Unsealable"
    TOKENS_NOT_KEPT = "TokensNotKept"
    UNEXPIRED = "Unexpired"
    NEVER_EXPIRES = "NeverExpires"
    EXPIRED = "Expired"
    REFRESH_FAILING = "RefreshFailing"
    NOT_REFRESHABLE = "NotRefreshable"
    CONNECTOR_NOT_READY = "ConnectorNotReady"
    SUSPENDED = "Suspended"
    DELIVERED = "Delivered"
    ON_REQUEST = "OnRequest"
    SECRET_CONFLICT = "SecretConflict"
    WRITE_FAILED = "WriteFailed"
    # Of connectors
    UNKNOWN_PROVIDER = "UnknownProvider"
    DISCOVERY_FAILED = "DiscoveryFailed"
    ISSUER_MISMATCH = "IssuerMismatch"
    RESOLVED_REFS = "ResolvedRefs"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    SECRET_NOT_OFFERED = "SecretNotOffered"
    SECRET_INVALID = "SecretInvalid"
    REACHABLE = "Reachable"
    CLIENT_REJECTED = "ClientRejected"
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class Reasons:
    """What one condition can say. Unknown, it says `Pending`."""

    when_true: frozenset[Reason]
    when_false: frozenset[Reason] = frozenset()


R = Reason

OF_A_GRANT: Mapping[str, Reasons] = {
    "Accepted": Reasons(
        frozenset({R.ACCEPTED}),
        frozenset({R.CONNECTOR_NOT_FOUND, R.NAMESPACE_NOT_ALLOWED, R.SCOPES_NOT_OFFERED, R.INVALID_TEMPLATE}),
    ),
    "Authorized": Reasons(
        frozenset({R.CONSENTED}),
        frozenset({
            R.AWAITING_CONSENT, R.CONSENT_DENIED, R.EXCHANGE_FAILED, R.ACCOUNT_MISMATCH,
            R.REAUTHORIZATION_REQUIRED, R.CONNECTOR_REPLACED, R.UNSEALABLE, R.TOKENS_NOT_KEPT,
        }),
    ),
    "Fresh": Reasons(
        frozenset({R.UNEXPIRED, R.NEVER_EXPIRES}),
        frozenset({R.EXPIRED, R.REFRESH_FAILING, R.NOT_REFRESHABLE, R.CONNECTOR_NOT_READY, R.SUSPENDED}),
    ),
    "Delivered": Reasons(frozenset({R.DELIVERED, R.ON_REQUEST}), frozenset({R.SECRET_CONFLICT, R.WRITE_FAILED})),
}  # fmt: skip
"""What each condition of a UserGrant can say, in the order in which `Ready` looks at them."""

OF_A_CONNECTOR: Mapping[str, Reasons] = {
    "Accepted": Reasons(frozenset({R.ACCEPTED}), frozenset({R.UNKNOWN_PROVIDER, R.DISCOVERY_FAILED, R.ISSUER_MISMATCH})),
    "ResolvedRefs": Reasons(
        frozenset({R.RESOLVED_REFS}), frozenset({R.SECRET_NOT_FOUND, R.SECRET_KEY_MISSING, R.SECRET_NOT_OFFERED, R.SECRET_INVALID})
    ),
    "Reachable": Reasons(frozenset({R.REACHABLE}), frozenset({R.CLIENT_REJECTED, R.UNREACHABLE})),
}
"""The same of an OAuthConnector."""

STALLED = frozenset({
    R.NAMESPACE_NOT_ALLOWED, R.SCOPES_NOT_OFFERED, R.INVALID_TEMPLATE, R.UNSEALABLE, R.SECRET_CONFLICT,
    R.UNKNOWN_PROVIDER, R.ISSUER_MISMATCH,
    R.SECRET_NOT_FOUND, R.SECRET_KEY_MISSING, R.SECRET_NOT_OFFERED, R.SECRET_INVALID, R.CLIENT_REJECTED,
})  # fmt: skip
"""Where a person must act who is not the one being asked for consent (`Stalled` of kstatus)."""
