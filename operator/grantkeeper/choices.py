"""The values that a field of the two resources can have, where these are words of ours."""

from __future__ import annotations

from enum import StrEnum


class ClientAuthentication(StrEnum):
    """How the client proves itself at the token endpoint (OpenID Connect Core section 9)."""

    BASIC = "ClientSecretBasic"
    POST = "ClientSecretPost"
    NONE = "None"


class PKCE(StrEnum):
    """Proof key for code exchange (RFC 7636)."""

    S256 = "S256"
    DISABLED = "Disabled"


class ScopeSeparator(StrEnum):
    """What the server puts between scopes."""

    SPACE = "Space"
    COMMA = "Comma"

    @property
    def character(self) -> str:
        """What stands between two scopes on the wire."""
        return "," if self is ScopeSeparator.COMMA else " "


class TokenStorage(StrEnum):
    """Whether the tokens of a consent are kept, or only whose account it was."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class RevocationPolicy(StrEnum):
    """What happens to the tokens at the authorization server when the grant is deleted."""

    REVOKE = "Revoke"
    RETAIN = "Retain"


class Rotation(StrEnum):
    """Whether refresh tokens are spent by their use (RFC 9700 section 4.14.2)."""

    DETECT = "Detect"
    NONE = "None"
    STRICT = "Strict"


class Format(StrEnum):
    """The files that a delivered Secret holds."""

    TOKEN = "Token"  # noqa: S105  # the name of a format
    HEADER = "Header"
    JSON = "JSON"
    ENV = "Env"


class ConsentLink(StrEnum):
    """How a consent link reaches the person."""

    ON_REQUEST = "OnRequest"
    STATUS = "Status"


class NamespacesFrom(StrEnum):
    """Whose grants a connector admits."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class SelectorOperator(StrEnum):
    """How a label is compared with the values of a requirement, as in Kubernetes."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class RequestState(StrEnum):
    """Where a consent request stands."""

    OPEN = "Open"
    ANSWERED = "Answered"
    GRANTED = "Granted"
    REFUSED = "Refused"
    EXPIRED = "Expired"
