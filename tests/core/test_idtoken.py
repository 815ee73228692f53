from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from grantkeeper.core.idtoken import IDTokenError, judge_id_token
from grantkeeper.core.tokens import IDClaims

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
SOON = int((NOW + timedelta(minutes=5)).timestamp())
CLAIMS: dict[str, object] = {
    "iss": "https://as.test",
    "sub": "alice",
    "aud": "client-1",
    "exp": SOON,
    "iat": SOON - 300,
    "nonce": "nonce-1",
}


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def id_token(claims: object) -> SecretStr:
    return SecretStr(f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln")


def judge(token: SecretStr, *, nonce: str | None = "nonce-1") -> IDClaims:
    return judge_id_token(token, issuer="https://as.test", client_id="client-1", nonce=nonce, now=NOW)


@pytest.mark.parametrize(
    ("changed", "nonce"),
    [
        pytest.param({}, "nonce-1", id="for us, in answer to this request"),
        pytest.param({"aud": ["client-1"]}, "nonce-1", id="a list of one audience"),
        pytest.param({"aud": ["api", "client-1"], "azp": "client-1"}, "nonce-1", id="one audience of several"),
        pytest.param({"exp": SOON - 330}, "nonce-1", id="expired half a minute ago: clocks differ"),
        pytest.param({"exp": float(SOON)}, "nonce-1", id="a fraction of a second"),
        pytest.param({"nonce": None}, None, id="a refresh, whose ID token needs no nonce"),
        pytest.param({}, None, id="a refresh that repeats the nonce"),
        pytest.param({"email": "a@example.com", "picture": {"x": 1}}, "nonce-1", id="claims that nobody asked about"),
        pytest.param({"sub": "s" * 255}, "nonce-1", id="the longest subject"),
    ],
)
def test_an_id_token_names_the_account(changed: dict[str, object], nonce: str | None) -> None:
    claims = {**CLAIMS, **changed}
    judged = judge(id_token(claims), nonce=nonce)
    assert judged.model_dump() == {"iss": "https://as.test", "sub": claims["sub"]}, "nothing else is kept"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"iss": "https://evil.test"}, "wrong_issuer", id="of another server"),
        pytest.param({"iss": "https://as.test/"}, "wrong_issuer", id="a slash at the end"),
        pytest.param({"iss": None}, "wrong_issuer", id="no issuer"),
        pytest.param({"aud": "client-2"}, "wrong_audience", id="for another client"),
        pytest.param({"aud": ["client-2", "api"]}, "wrong_audience", id="for several others"),
        pytest.param({"aud": []}, "wrong_audience", id="for nobody"),
        pytest.param({"aud": None}, "wrong_audience", id="no audience"),
        pytest.param({"aud": {"client-1": 1}}, "wrong_audience", id="an audience that is no list"),
        pytest.param({"aud": "client-1 client-2"}, "wrong_audience", id="two audiences in one string"),
        pytest.param({"sub": None}, "no_subject", id="no subject"),
        pytest.param({"sub": ""}, "no_subject", id="an empty subject"),
        pytest.param({"sub": 7}, "no_subject", id="a number for a subject"),
        pytest.param({"sub": "s" * 256}, "no_subject", id="a subject that is too long"),
        pytest.param({"sub": "alice\nadmin"}, "no_subject", id="a subject of two lines"),
        pytest.param({"exp": SOON - 300 - 60}, "expired", id="expired a minute ago"),
        pytest.param({"exp": None}, "expired", id="no expiry"),
        pytest.param({"exp": True}, "expired", id="true for an expiry"),
        pytest.param({"exp": str(SOON)}, "expired", id="a string for an expiry"),
        pytest.param({"nonce": "nonce-2"}, "wrong_nonce", id="in answer to another request"),
        pytest.param({"nonce": None}, "wrong_nonce", id="in answer to no request"),
        pytest.param({"nonce": ["nonce-1"]}, "wrong_nonce", id="a nonce that is no string"),
    ],
)
def test_an_id_token_is_refused(changed: dict[str, object], reason: str) -> None:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    with pytest.raises(IDTokenError) as caught:
        judge(id_token(claims))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("opaque", id="no JWT"),
        pytest.param(f"a.{part(CLAIMS)}", id="two parts"),
        pytest.param(f"a.{part(CLAIMS)}.b.c.d", id="five parts: encrypted"),
        pytest.param("a.!!!.b", id="no base64url"),
        pytest.param("a.A.b", id="base64url that ends too early"),
        pytest.param(f"a.{part([CLAIMS])}.b", id="a list"),
        pytest.param(f"a.{part('alice')}.b", id="a string"),
        pytest.param("a._w.b", id="no JSON"),
    ],
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    with pytest.raises(IDTokenError) as caught:
        judge(SecretStr(text))
    assert caught.value.reason == "unreadable"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(CLAIMS)), inner),
    )
)
def test_no_claims_make_judging_fail_otherwise(claims: object) -> None:
    with pytest.raises(IDTokenError):
        judge(id_token(claims))
