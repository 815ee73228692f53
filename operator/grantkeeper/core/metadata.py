"""Where an authorization server is reached: from its metadata (RFC 8414, OpenID Connect Discovery 1.0) or from the spec.

Everything later is sent to these addresses, so a document counts only if it names the very issuer that was asked for, and
only https endpoints (RFC 8414 section 3.3, RFC 9700 section 4.4.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from grantkeeper.core.documents import Unreadable, read_object
from grantkeeper.core.messages import Answer
from grantkeeper.core.reasons import Reason
from grantkeeper.errors import ProviderError
from grantkeeper.resources import EndpointsSpec

_URL = re.compile(r"https://[\x21-\x7e]{1,2040}")
_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"


class MetadataError(ProviderError):
    """The metadata cannot be used; `reason` is the condition's, the message a sentence that repeats nothing of the document."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of one authorization server, each an https URL."""

    authorization: str
    token: str
    issuer: str | None = None
    revocation: str | None = None
    introspection: str | None = None
    userinfo: str | None = None
    jwks: str | None = None
    iss_parameter_supported: bool = False
    """Whether every redirect carries `iss` (RFC 9207)."""
    openid: bool = False
    """Whether it issues ID tokens."""
    announced: frozenset[str] = frozenset()
    """What its metadata tells of besides: some of Refresh, DeviceFlow, PAR and DPoP."""


def from_spec(endpoints: EndpointsSpec) -> Endpoints:
    """The endpoints of a server that publishes no metadata."""
    return Endpoints(
        authorization=endpoints.authorization, token=endpoints.token, revocation=endpoints.revocation, userinfo=endpoints.userinfo
    )


def discovery_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, in the order to try.

    RFC 8414 section 3.1 puts the well-known part between host and path, OpenID Connect Discovery section 4 after the path.
    """
    if not _is_https(issuer) or "?" in issuer:
        raise MetadataError(Reason.DISCOVERY_FAILED, "the issuer is not an https URL without query and fragment")
    url = urlsplit(issuer)
    path = url.path.rstrip("/")
    host = f"https://{url.netloc}"
    return tuple(dict.fromkeys((f"{host}{_OAUTH}{path}", f"{host}{path}{_OPENID}", f"{host}{_OPENID}{path}")))


def read_metadata(issuer: str, answer: Answer) -> Endpoints:
    """Read a metadata document; MetadataError where it is none, speaks for another issuer, or names what must not be used."""
    if answer.status != HTTPStatus.OK:
        raise MetadataError(Reason.DISCOVERY_FAILED, f"the metadata of {issuer} was answered with status {answer.status}")
    try:
        document = read_object(answer.body)
    except Unreadable as unreadable:
        kind = "an HTML page" if "html" in answer.content_type.lower() else f"no usable document ({unreadable})"
        raise MetadataError(Reason.DISCOVERY_FAILED, f"the issuer answered with {kind} where its metadata should be") from None
    _check_issuer(issuer, document.get("issuer"))
    _check_pkce(document)
    return Endpoints(
        issuer=issuer,
        authorization=_endpoint(document, "authorization_endpoint"),
        token=_endpoint(document, "token_endpoint"),
        revocation=_optional_endpoint(document, "revocation_endpoint"),
        introspection=_optional_endpoint(document, "introspection_endpoint"),
        userinfo=_optional_endpoint(document, "userinfo_endpoint"),
        jwks=_optional_endpoint(document, "jwks_uri"),
        iss_parameter_supported=document.get("authorization_response_iss_parameter_supported") is True,
        openid="id_token_signing_alg_values_supported" in document,
        announced=_read_announced(document),
    )


def _read_announced(document: dict[str, object]) -> frozenset[str]:
    """Only what is said counts: a server that lists no grant types may refresh all the same, and one that knows offline_access does."""

    def lists(member: str, value: str) -> bool:
        values = document.get(member)
        return isinstance(values, list) and value in values

    told = {
        "Refresh": lists("grant_types_supported", "refresh_token") or lists("scopes_supported", "offline_access"),
        "DeviceFlow": document.get("device_authorization_endpoint"),
        "PAR": document.get("pushed_authorization_request_endpoint"),
        "DPoP": document.get("dpop_signing_alg_values_supported"),
    }
    return frozenset(feature for feature, evidence in told.items() if evidence)


def _check_issuer(wanted: str, stated: object) -> None:
    """Compare as RFC 3986 section 6.2.1 does, character by character: normalizing is where impersonation begins."""
    if stated == wanted:
        return
    if isinstance(stated, str) and stated.rstrip("/") == wanted.rstrip("/"):
        raise MetadataError(
            Reason.ISSUER_MISMATCH,
            "the server's own name differs from spec.issuer by a slash at the end; "
            "create the connector anew, with spec.issuer as the server writes it",
        )
    raise MetadataError(
        Reason.ISSUER_MISMATCH,
        "the metadata speaks for another issuer than spec.issuer, or the preset, names; it cannot be changed: create the connector anew",
    )


def _check_pkce(document: dict[str, object]) -> None:
    """A server that lists its challenge methods and not S256 offers only the one that protects nothing (RFC 9700 section 2.1.1)."""
    methods = document.get("code_challenge_methods_supported")
    if methods is not None and not (isinstance(methods, list) and "S256" in methods):
        raise MetadataError(Reason.DISCOVERY_FAILED, "the server's metadata lists PKCE methods, and S256 is not among them")


def _endpoint(document: dict[str, object], member: str) -> str:
    url = document.get(member)
    if not isinstance(url, str) or not _is_https(url):
        raise MetadataError(Reason.DISCOVERY_FAILED, f"the metadata's {member} is missing or not an https URL")
    return url


def _optional_endpoint(document: dict[str, object], member: str) -> str | None:
    return None if document.get(member) is None else _endpoint(document, member)


def _is_https(url: str) -> bool:
    if not _URL.fullmatch(url) or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and "\\" not in url
    except ValueError:
        return False
