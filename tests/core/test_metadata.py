from __future__ import annotations

import json

import pytest

from grantkeeper.core.messages import Answer
from grantkeeper.core.metadata import Endpoints, MetadataError, discovery_urls, from_spec, read_metadata
from grantkeeper.resources import EndpointsSpec

ISSUER = "https://as.test/tenant"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://as.test/authorize",
    "token_endpoint": "https://as.test/token",
}
WHOLE = {
    **DOCUMENT,
    "revocation_endpoint": "https://as.test/revoke",
    "introspection_endpoint": "https://as.test/introspect",
    "userinfo_endpoint": "https://as.test/me",
    "jwks_uri": "https://as.test/jwks",
    "authorization_response_iss_parameter_supported": True,
    "id_token_signing_alg_values_supported": ["RS256"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
}


def answer(document: object, *, status: int = 200, content_type: str = "application/json") -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status=status, content_type=content_type, retry_after=None, body=body)


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        pytest.param(
            "https://as.test",
            ("https://as.test/.well-known/oauth-authorization-server", "https://as.test/.well-known/openid-configuration"),
            id="no path: two places",
        ),
        pytest.param(
            "https://as.test/",
            ("https://as.test/.well-known/oauth-authorization-server", "https://as.test/.well-known/openid-configuration"),
            id="a slash at the end is no path",
        ),
        pytest.param(
            "https://as.test:8443/realms/a/",
            (
                "https://as.test:8443/.well-known/oauth-authorization-server/realms/a",
                "https://as.test:8443/realms/a/.well-known/openid-configuration",
                "https://as.test:8443/.well-known/openid-configuration/realms/a",
            ),
            id="a path: before it, after it, and before it in OpenID's words",
        ),
    ],
)
def test_metadata_is_looked_for(issuer: str, urls: tuple[str, ...]) -> None:
    assert discovery_urls(issuer) == urls


@pytest.mark.parametrize(
    "issuer",
    [
        "http://as.test", "as.test", "", "https://", "https:///x", "https://as.test?x=1", "https://as.test#x", "https://a b.test",
        "https://user@as.test", "https://as.test\\@evil.test", "https://as.test\\evil.test",
        "https://as.test/\r\nHost: evil", "https://[as.test", "https://as.test:99999",
        "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_issuer_is_an_https_url(issuer: str) -> None:
    with pytest.raises(MetadataError, match="not an https URL") as caught:
        discovery_urls(issuer)
    assert caught.value.reason == "DiscoveryFailed"


def test_everything_that_is_used_is_read() -> None:
    assert read_metadata(ISSUER, answer(WHOLE)) == Endpoints(
        issuer=ISSUER,
        authorization="https://as.test/authorize",
        token="https://as.test/token",
        revocation="https://as.test/revoke",
        introspection="https://as.test/introspect",
        userinfo="https://as.test/me",
        jwks="https://as.test/jwks",
        iss_parameter_supported=True,
        openid=True,
    )


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "text/plain", ""], ids=["with a charset", "the wrong content type", "none at all"]
)
def test_a_small_document_is_enough(content_type: str) -> None:
    assert read_metadata(ISSUER, answer(DOCUMENT, content_type=content_type)) == Endpoints(
        issuer=ISSUER, authorization="https://as.test/authorize", token="https://as.test/token"
    )


def test_endpoints_on_another_host_are_the_servers_own_business() -> None:
    document = {**DOCUMENT, "token_endpoint": "https://tokens.elsewhere.test/t"}
    assert read_metadata(ISSUER, answer(document)).token == "https://tokens.elsewhere.test/t"


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        pytest.param("https://evil.test", "another issuer", id="another server"),
        pytest.param("https://as.test/tenant/", "a slash at the end", id="a slash at the end, and a hint"),
        pytest.param("https://AS.test/tenant", "another issuer", id="capitals: compared letter by letter"),
        pytest.param("https://as.test:443/tenant", "another issuer", id="the default port, written out"),
        pytest.param("https://as.test/%74enant", "another issuer", id="percent-encoded"),
        pytest.param(None, "another issuer", id="none"),
        pytest.param([ISSUER], "another issuer", id="a list"),
    ],
)
def test_a_document_speaks_for_the_issuer_that_was_asked(stated: object, message: str) -> None:
    with pytest.raises(MetadataError, match=message) as caught:
        read_metadata(ISSUER, answer({**DOCUMENT, "issuer": stated}))
    assert caught.value.reason == "IssuerMismatch"
    assert "evil" not in str(caught.value), "what a server sent is not repeated"


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url",
    [
        "http://as.test/x",
        "javascript:alert(1)",
        "/relative",
        "",
        7,
        "https://user:pw@as.test/x",
        "https://as.test/x#y",
        "https://as.test/a b",
    ],
)
def test_endpoints_are_https_urls(member: str, url: object) -> None:
    with pytest.raises(MetadataError, match=f"{member} is missing or not an https URL"):
        read_metadata(ISSUER, answer({**DOCUMENT, member: url}))


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint"])
def test_two_endpoints_are_needed(member: str) -> None:
    with pytest.raises(MetadataError, match=member):
        read_metadata(ISSUER, answer({name: value for name, value in DOCUMENT.items() if name != member}))


@pytest.mark.parametrize("methods", [["plain"], [], "S256", {"S256": True}])
def test_pkce_without_s256_is_refused(methods: object) -> None:
    with pytest.raises(MetadataError, match="S256"):
        read_metadata(ISSUER, answer({**DOCUMENT, "code_challenge_methods_supported": methods}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(answer(DOCUMENT, status=404), "status 404", id="not found"),
        pytest.param(answer(DOCUMENT, status=302), "status 302", id="a redirect"),
        pytest.param(answer(b"<html>Hi</html>", content_type="text/html; charset=utf-8"), "an HTML page", id="an HTML page"),
        pytest.param(answer(b""), "no usable document", id="nothing"),
        pytest.param(answer([DOCUMENT]), "not an object", id="a list"),
        pytest.param(answer(b"[" * 60_000), "nested too deeply", id="nesting"),
        pytest.param(
            answer(b'{"issuer":"https://as.test/tenant","issuer":"https://evil.test"}'), "two values", id="two issuers in one document"
        ),
    ],
)
def test_what_is_no_document_is_refused(given: Answer, message: str) -> None:
    with pytest.raises(MetadataError, match=message) as caught:
        read_metadata(ISSUER, given)
    assert caught.value.reason == "DiscoveryFailed"


@pytest.mark.parametrize("promise", [False, None, "true", 1])
def test_only_true_promises_iss(promise: object) -> None:
    document = {**DOCUMENT, "authorization_response_iss_parameter_supported": promise}
    assert read_metadata(ISSUER, answer(document)).iss_parameter_supported is False


def test_endpoints_of_a_spec() -> None:
    spec = EndpointsSpec(authorization="https://as.test/a", token="https://as.test/t")
    assert from_spec(spec) == Endpoints(authorization="https://as.test/a", token="https://as.test/t")
    spec = EndpointsSpec(authorization="https://as.test/a", token="https://as.test/t", revocation="https://as.test/r")
    assert from_spec(spec).revocation == "https://as.test/r"
    spec = EndpointsSpec(authorization="https://as.test/a", token="https://as.test/t", userinfo="https://as.test/me")
    assert from_spec(spec).userinfo == "https://as.test/me"
