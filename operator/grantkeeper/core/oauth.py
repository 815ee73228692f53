"""Build what a client says to an authorization server (RFC 6749, RFC 7636, RFC 7009), without saying it.

Every builder has a reader in `answers`: the adapter between the two carries bytes and decides nothing. Parameters that the
protocol sets always win over parameters that somebody configured.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

from pydantic import SecretStr

from grantkeeper.choices import ClientAuthentication
from grantkeeper.core.messages import Answer, Request
from grantkeeper.core.metadata import Endpoints

__all__ = [
    "Answer",
    "Client",
    "Request",
    "authorization_url",
    "challenge",
    "code_request",
    "refresh_request",
    "revocation_request",
    "userinfo_request",
]


@dataclass(frozen=True, slots=True)
class Client:
    """One client at one authorization server, with what it proves itself by."""

    client_id: str
    authentication: ClientAuthentication
    secret: SecretStr | None
    endpoints: Endpoints
    pkce: bool = True
    scope_separator: str = " "
    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    token_parameters: Mapping[str, str] = field(default_factory=dict)
    refusals: Sequence[str] = ()
    """Errors by which this server refuses what is presented for good, besides those that are known of all."""
    other_secret: SecretStr | None = None
    """A second one, for when the server rejects the first."""


def challenge(verifier: SecretStr) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.get_secret_value().encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorization_url(  # noqa: PLR0913  # what RFC 6749 section 4.1.1 sends
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    challenge: str | None,
    nonce: str | None,
    parameters: Mapping[str, str],
    separator: str = " ",
) -> str:
    """Where a person is sent to be asked (RFC 6749 section 4.1.1); a query that the endpoint has of its own is kept."""
    ours = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": separator.join(scopes),
        "state": state,
        "code_challenge": challenge or "",
        "code_challenge_method": "S256" if challenge else "",
        "nonce": nonce or "",
    }
    asked = {**parameters, **{name: value for name, value in ours.items() if value}}
    url = urlsplit(endpoint)
    kept = [(name, value) for name, value in parse_qsl(url.query, keep_blank_values=True) if name not in asked]
    return url._replace(query=urlencode([*kept, *asked.items()], quote_via=quote)).geturl()


def code_request(client: Client, *, code: SecretStr, verifier: SecretStr | None, redirect_uri: str) -> Request:
    """Exchange a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    form = {"grant_type": "authorization_code", "code": code.get_secret_value(), "redirect_uri": redirect_uri}
    if verifier is not None:
        form["code_verifier"] = verifier.get_secret_value()
    return _post(client, client.endpoints.token, {**client.token_parameters, **form})


def refresh_request(client: Client, *, refresh_token: SecretStr) -> Request:
    """Ask for fresh tokens (RFC 6749 section 6); without `scope`, which means the same as before."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.get_secret_value()}
    return _post(client, client.endpoints.token, {**client.token_parameters, **form})


def revocation_request(client: Client, *, token: SecretStr, hint: Literal["access_token", "refresh_token"]) -> Request:
    """Give a token back (RFC 7009 section 2.1); ValueError where the server has no endpoint for it."""
    if client.endpoints.revocation is None:
        raise ValueError("the server has no revocation endpoint")
    return _post(client, client.endpoints.revocation, {"token": token.get_secret_value(), "token_type_hint": hint})


def userinfo_request(client: Client, *, access_token: SecretStr) -> Request:
    """Ask whose token this is (OpenID Connect Core section 5.3.1); ValueError where the server has no endpoint for it."""
    if client.endpoints.userinfo is None:
        raise ValueError("the server has no userinfo endpoint")
    headers: dict[str, SecretStr | str] = {
        "Authorization": SecretStr(f"Bearer {access_token.get_secret_value()}"),
        "Accept": "application/json",
    }
    return Request(method="GET", url=client.endpoints.userinfo, headers=headers, form=SecretStr(""))


def _post(client: Client, url: str, form: Mapping[str, str]) -> Request:
    headers: dict[str, SecretStr | str] = {
        "Content-Type": "application/x-www-form-urlencoded",
        # Some servers send a form, or the login page of a person, to whoever does not ask for this.
        "Accept": "application/json",
    }
    proof: dict[str, str] = {}
    if client.authentication is ClientAuthentication.BASIC:
        headers["Authorization"] = _basic(client.client_id, _secret(client))
    else:
        proof["client_id"] = client.client_id
    if client.authentication is ClientAuthentication.POST:
        proof["client_secret"] = _secret(client).get_secret_value()
    return Request(
        method="POST",
        url=url,
        headers=headers,
        form=SecretStr(urlencode({**form, **proof})),
        client_secret=client.secret,
        alternative=_post(replace(client, secret=client.other_secret, other_secret=None), url, form) if client.other_secret else None,
    )


def _secret(client: Client) -> SecretStr:
    if client.secret is None:
        raise ValueError("this client proves itself by a secret, and there is none")
    return client.secret


def _basic(client_id: str, secret: SecretStr) -> SecretStr:
    """Both halves are form-urlencoded first (RFC 6749 section 2.3.1); without that a colon or a percent sign breaks them."""
    credentials = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
    return SecretStr("Basic " + base64.b64encode(credentials.encode()).decode())
