"""ID tokens: what the conformance suite tries on a client, and more, each a row."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fakes.signing import Signer, make_key, publish
from grantkeeper.core.idtoken import IDTokenError, judge_id_token, names_another
from grantkeeper.core.signatures import read_keys
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
SERVER = Signer(make_key("RSA"), algorithm="RS256")
STRANGER = Signer(make_key("RSA", number=2), algorithm="RS256")
OTHER_KEY = Signer(make_key("RSA", number=3), kid="second", algorithm="RS256")
ACCESS_TOKEN = SecretStr("an-access-token")


def half_hash(token: str, name: str = "sha256") -> str:
    digest = hashlib.new(name, token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def judge(token: SecretStr, *, nonce: str | None = "nonce-1", keys: tuple[Signer, ...] = (SERVER,)) -> IDClaims:
    known = read_keys(publish(*(signer.publish() for signer in keys)))
    return judge_id_token(token, known, issuer="https://as.test", client_id="client-1", nonce=nonce, access_token=ACCESS_TOKEN, now=NOW)


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
        pytest.param({"acr": "1", "picture": {"x": 1}}, "nonce-1", id="claims that nobody asked about"),
        pytest.param({"azp": "client-1"}, "nonce-1", id="the party, named though there is only one"),
        pytest.param({"at_hash": half_hash("an-access-token")}, "nonce-1", id="with the hash of the access token"),
        pytest.param({"iat": SOON - 300 + 60}, "nonce-1", id="issued in a minute: clocks differ"),
        pytest.param({"sub": "s" * 255}, "nonce-1", id="the longest subject"),
    ],
)
def test_an_id_token_names_the_account(changed: dict[str, object], nonce: str | None) -> None:
    claims = {**CLAIMS, **changed}
    judged = judge(SERVER.sign(claims), nonce=nonce)
    assert judged.model_dump(exclude_none=True) == {"iss": "https://as.test", "sub": claims["sub"]}, "nothing else is kept"


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
        pytest.param({"aud": ["client-1", "api"]}, "wrong_party", id="for several, and it does not say for which"),
        pytest.param({"aud": ["client-1", "api"], "azp": "api"}, "wrong_party", id="for several, and another one is named"),
        pytest.param({"azp": "client-2"}, "wrong_party", id="for us, issued to another"),
        pytest.param({"iat": None}, "no_issue_time", id="no time of issue"),
        pytest.param({"iat": "now"}, "no_issue_time", id="a time of issue that is no number"),
        pytest.param({"iat": SOON - 300 + 61}, "no_issue_time", id="issued in the future"),
        pytest.param({"at_hash": half_hash("another")}, "wrong_token", id="the hash of another access token"),
        pytest.param({"at_hash": half_hash("an-access-token", "sha512")}, "wrong_token", id="another kind of hash"),
        pytest.param({"at_hash": 7}, "wrong_token", id="a hash that is a number"),
        pytest.param({"at_hash": "é"}, "wrong_token", id="a hash beyond ASCII"),
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
        judge(SERVER.sign(claims))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("token", "keys", "reason"),
    [
        pytest.param(SERVER.sign(CLAIMS, kid=None), (SERVER,), None, id="kid absent, one key"),
        pytest.param(SERVER.sign(CLAIMS, kid=None), (SERVER, OTHER_KEY), "ambiguous_key", id="kid absent, several keys"),
        pytest.param(OTHER_KEY.sign(CLAIMS), (SERVER, OTHER_KEY), None, id="one of several keys, by its kid"),
        pytest.param(OTHER_KEY.sign(CLAIMS), (SERVER,), "unknown_key", id="a kid that is not published"),
        pytest.param(STRANGER.sign(CLAIMS), (SERVER,), "bad_signature", id="a signature that is not the server's"),
        pytest.param(Signer(make_key("oct"), algorithm="HS256").sign(CLAIMS), (SERVER,), "wrong_algorithm", id="a shared secret"),
        pytest.param(SecretStr("opaque"), (SERVER,), "unreadable", id="no JWT"),
    ],
)
def test_the_signature_is_checked(token: SecretStr, keys: tuple[Signer, ...], reason: str | None) -> None:
    if reason is None:
        assert judge(token, keys=keys).sub == "alice"
        return
    with pytest.raises(IDTokenError) as caught:
        judge(token, keys=keys)
    assert caught.value.reason == reason


def test_none_is_no_algorithm() -> None:
    header, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, CLAIMS))
    with pytest.raises(IDTokenError, match="wrong_algorithm"):
        judge(SecretStr(f"{header}.{claims}."))


@pytest.mark.parametrize(
    ("changed", "held", "another"),
    [
        pytest.param({}, IDClaims(iss="https://as.test", sub="alice"), False, id="the same"),
        pytest.param({"sub": "mallory"}, IDClaims(iss="https://as.test", sub="alice"), True, id="another subject"),
        pytest.param({"iss": "https://evil.test"}, IDClaims(iss="https://as.test", sub="alice"), True, id="another issuer"),
        pytest.param({"sub": None}, IDClaims(iss="https://as.test", sub="alice"), True, id="no subject"),
        pytest.param({"sub": "mallory"}, IDClaims(sub="alice"), False, id="nothing to compare with: known from userinfo alone"),
    ],
)
def test_a_refreshed_id_token_names_another_account(changed: dict[str, object], held: IDClaims, another: bool) -> None:
    assert names_another(SERVER.sign({**CLAIMS, **changed}), held) is another


@pytest.mark.parametrize("text", ["", "opaque", "a.b", "a.A.b", "a._w.b", "a.b.c.d.e"])
def test_a_refreshed_id_token_that_cannot_be_read_says_nothing(text: str) -> None:
    assert not names_another(SecretStr(text), IDClaims(iss="https://as.test", sub="alice"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(CLAIMS)), inner),
    )
)
def test_no_claims_make_judging_fail_otherwise(claims: Any) -> None:
    with pytest.raises(IDTokenError):
        judge(SERVER.sign(claims))
