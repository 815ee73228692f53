from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from grantkeeper.choices import ClientAuthentication
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.oauth import (
    Client,
    Request,
    authorization_url,
    challenge,
    code_request,
    refresh_request,
    revocation_request,
    userinfo_request,
)

ENDPOINTS = Endpoints(authorization="https://as.test/authorize", token="https://as.test/token", revocation="https://as.test/revoke")
CLIENT = Client("client-1", ClientAuthentication.BASIC, SecretStr("secret-1"), ENDPOINTS)
TOKEN = SecretStr("rt-1")


def form_of(request: Request) -> dict[str, str]:
    pairs = parse_qsl(request.form.get_secret_value(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "no parameter twice (RFC 6749 section 3.2)"
    return dict(pairs)


def authorization_of(request: Request) -> str:
    header = request.headers["Authorization"]
    assert isinstance(header, SecretStr)
    scheme, credentials = header.get_secret_value().split(" ")
    assert scheme == "Basic"
    return base64.b64decode(credentials).decode()


def test_the_challenge_is_the_one_of_rfc_7636_appendix_b() -> None:
    assert challenge(SecretStr("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_is_exchanged_with_its_verifier_and_redirect_uri() -> None:
    request = code_request(
        CLIENT, code=SecretStr("4/0abc+/="), verifier=SecretStr("v" * 43), redirect_uri="https://gk.test/callback/a/b?x=1"
    )
    assert (request.method, request.url) == ("POST", "https://as.test/token")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert form_of(request) == {
        "grant_type": "authorization_code",
        "code": "4/0abc+/=",
        "redirect_uri": "https://gk.test/callback/a/b?x=1",
        "code_verifier": "v" * 43,
    }


def test_without_pkce_there_is_no_verifier() -> None:
    assert "code_verifier" not in form_of(code_request(CLIENT, code=SecretStr("c"), verifier=None, redirect_uri="https://gk.test/cb"))


def test_a_refresh_asks_for_the_same_scope_by_naming_none() -> None:
    assert form_of(refresh_request(CLIENT, refresh_token=TOKEN)) == {"grant_type": "refresh_token", "refresh_token": "rt-1"}


def test_a_revocation_goes_to_its_own_endpoint() -> None:
    request = revocation_request(replace(CLIENT, token_parameters={"audience": "a"}), token=TOKEN, hint="refresh_token")
    assert request.url == "https://as.test/revoke"
    assert form_of(request) == {"token": "rt-1", "token_type_hint": "refresh_token"}
    assert authorization_of(request) == "client-1:secret-1"


def test_no_revocation_without_an_endpoint() -> None:
    client = replace(CLIENT, endpoints=replace(ENDPOINTS, revocation=None))
    with pytest.raises(ValueError, match="no revocation endpoint"):
        revocation_request(client, token=TOKEN, hint="access_token")


def test_userinfo_is_asked_with_the_access_token_and_nothing_of_the_client() -> None:
    client = replace(CLIENT, endpoints=replace(ENDPOINTS, userinfo="https://as.test/me"))
    request = userinfo_request(client, access_token=SecretStr("at-1"))
    bearer = request.headers["Authorization"]
    assert (request.method, request.url, request.form.get_secret_value()) == ("GET", "https://as.test/me", "")
    assert isinstance(bearer, SecretStr)
    assert bearer.get_secret_value() == "Bearer at-1"
    with pytest.raises(ValueError, match="no userinfo endpoint"):
        userinfo_request(CLIENT, access_token=SecretStr("at-1"))


@pytest.mark.parametrize(
    ("authentication", "proof"),
    [
        pytest.param(ClientAuthentication.BASIC, {}, id="basic: in the header, and nowhere else"),
        pytest.param(ClientAuthentication.POST, {"client_id": "client-1", "client_secret": "secret-1"}, id="post: in the form"),
        pytest.param(ClientAuthentication.NONE, {"client_id": "client-1"}, id="public: the id alone"),
    ],
)
def test_a_client_proves_itself_in_one_way(authentication: ClientAuthentication, proof: dict[str, str]) -> None:
    request = refresh_request(replace(CLIENT, authentication=authentication), refresh_token=TOKEN)
    assert form_of(request) == {"grant_type": "refresh_token", "refresh_token": "rt-1", **proof}
    assert ("Authorization" in request.headers) == (authentication is ClientAuthentication.BASIC)
    assert "client" not in urlsplit(request.url).query


@pytest.mark.parametrize("authentication", [ClientAuthentication.BASIC, ClientAuthentication.POST])
def test_a_confidential_client_without_a_secret_builds_nothing(authentication: ClientAuthentication) -> None:
    with pytest.raises(ValueError, match="there is none"):
        refresh_request(replace(CLIENT, authentication=authentication, secret=None), refresh_token=TOKEN)


@pytest.mark.parametrize(
    ("client_id", "secret", "credentials"),
    [
        pytest.param("id", "p%s+ w:&=", "id:p%25s%2B+w%3A%26%3D", id="what three servers refuse unencoded"),
        pytest.param("https://client.test", "s", "https%3A%2F%2Fclient.test:s", id="a URL as client id"),
        pytest.param("id", "pässwörd", "id:p%C3%A4ssw%C3%B6rd", id="letters beyond ASCII"),
        pytest.param("id", "plain-._~", "id:plain-._~", id="nothing to encode"),
    ],
)
def test_basic_credentials_are_form_urlencoded(client_id: str, secret: str, credentials: str) -> None:
    client = replace(CLIENT, client_id=client_id, secret=SecretStr(secret))
    assert authorization_of(refresh_request(client, refresh_token=TOKEN)) == credentials


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_credentials_arrive(client_id: str, secret: str) -> None:
    client = replace(CLIENT, client_id=client_id, secret=SecretStr(secret))
    first, second = authorization_of(refresh_request(client, refresh_token=TOKEN)).split(":")
    arrived = parse_qs(f"id={first}&secret={second}", keep_blank_values=True)
    assert arrived == {"id": [client_id], "secret": [secret]}


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_token_arrives(token: str) -> None:
    assert form_of(refresh_request(CLIENT, refresh_token=SecretStr(token)))["refresh_token"] == token


def test_configured_parameters_are_sent_and_never_win() -> None:
    extra = {"audience": "api", "grant_type": "password", "refresh_token": "other", "client_id": "other"}
    client = replace(CLIENT, authentication=ClientAuthentication.NONE, token_parameters=extra)
    assert form_of(refresh_request(client, refresh_token=TOKEN)) == {
        "audience": "api",
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        "client_id": "client-1",
    }


def test_nor_do_they_win_over_a_code() -> None:
    client = replace(CLIENT, token_parameters={"audience": "api", "code": "other", "redirect_uri": "https://evil.test"})
    form = form_of(code_request(client, code=SecretStr("c"), verifier=None, redirect_uri="https://gk.test/cb"))
    assert form == {"audience": "api", "grant_type": "authorization_code", "code": "c", "redirect_uri": "https://gk.test/cb"}


def test_nothing_of_a_request_shows_its_secrets() -> None:
    for authentication in ClientAuthentication:
        client = replace(CLIENT, authentication=authentication)
        shown = repr((client, refresh_request(client, refresh_token=TOKEN)))
        assert "rt-1" not in shown
        assert "secret-1" not in shown
        assert base64.b64encode(b"client-1:secret-1").decode() not in shown


def ask(endpoint: str = "https://as.test/authorize", **changed: object) -> dict[str, list[str]]:
    usual: dict[str, object] = {
        "client_id": "client-1",
        "redirect_uri": "https://gk.test/callback/a/b",
        "scopes": ("read", "write"),
        "state": "state-1",
        "challenge": "challenge-1",
        "nonce": "nonce-1",
        "parameters": {},
    }
    url = authorization_url(endpoint, **{**usual, **changed})  # type: ignore[arg-type]
    assert url.startswith("https://as.test/authorize?")
    assert "+" not in url, "a space is %20: some servers read a plus as itself"
    return parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)


def test_a_person_is_asked_with_state_challenge_and_nonce() -> None:
    assert ask() == {
        "response_type": ["code"],
        "client_id": ["client-1"],
        "redirect_uri": ["https://gk.test/callback/a/b"],
        "scope": ["read write"],
        "state": ["state-1"],
        "code_challenge": ["challenge-1"],
        "code_challenge_method": ["S256"],
        "nonce": ["nonce-1"],
    }


def test_what_is_not_asked_for_is_left_out() -> None:
    asked = ask(scopes=(), challenge=None, nonce=None)
    assert set(asked) == {"response_type", "client_id", "redirect_uri", "state"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"separator": ","}, {"scope": ["read,write"]}, id="scopes with commas between them"),
        pytest.param({"parameters": {"access_type": "offline"}}, {"access_type": ["offline"]}, id="parameters of the connector"),
        pytest.param(
            {"parameters": {"state": "x", "response_type": "token"}}, {"state": ["state-1"], "response_type": ["code"]}, id="ours win"
        ),
        pytest.param(
            {"endpoint": "https://as.test/authorize?tenant=t&flag="}, {"tenant": ["t"], "flag": [""]}, id="the endpoint's own query stays"
        ),
        pytest.param({"endpoint": "https://as.test/authorize?resource=a&resource=b"}, {"resource": ["a", "b"]}, id="also what it repeats"),
        pytest.param(
            {"endpoint": "https://as.test/authorize?state=x&scope=admin"}, {"state": ["state-1"], "scope": ["read write"]}, id="never twice"
        ),
    ],
)
def test_the_authorization_url_holds(changed: dict[str, object], expected: dict[str, list[str]]) -> None:
    asked = ask(**changed)  # type: ignore[arg-type]
    assert {name: asked[name] for name in expected} == expected


def test_the_same_can_be_presented_with_the_other_client_secret() -> None:
    rotating = replace(CLIENT, other_secret=SecretStr("secret-2"))
    request = refresh_request(rotating, refresh_token=TOKEN)
    assert request.alternative is not None
    assert (authorization_of(request), authorization_of(request.alternative)) == ("client-1:secret-1", "client-1:secret-2")
    assert form_of(request) == form_of(request.alternative)
    assert (request.client_secret, request.alternative.client_secret) == (SecretStr("secret-1"), SecretStr("secret-2"))
    assert request.alternative.alternative is None, "there is no third"
    assert "secret-2" not in repr(request)


def test_with_one_client_secret_there_is_no_alternative() -> None:
    assert refresh_request(CLIENT, refresh_token=TOKEN).alternative is None
