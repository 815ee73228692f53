from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter

from contracts.schemas import complaints, schema_of
from grantkeeper.core.accounts import complete, describe, is_enough, is_expected, promises_more, put_in_words, read_userinfo, show
from grantkeeper.core.messages import Answer
from grantkeeper.core.tokens import IDClaims, TokenSet, write_payload
from grantkeeper.resources import Account, ExpectedAccount


def claims(**members: Any) -> IDClaims:
    return IDClaims(iss="https://as.test", sub="248289761001", **members)


def verified(email: str, **members: Any) -> IDClaims:
    return claims(email=email, email_verified=True, **members)


SUBJECT = ExpectedAccount(subject="248289761001")
EMAIL = ExpectedAccount(email="alice@example.com")
DOMAIN = ExpectedAccount(domain="example.com")


@pytest.mark.parametrize(
    ("expected", "told", "fits"),
    [
        pytest.param(None, None, True, id="nobody in particular"),
        pytest.param(SUBJECT, claims(), True, id="the subject"),
        pytest.param(ExpectedAccount(subject="1"), claims(), False, id="another subject"),
        pytest.param(ExpectedAccount(subject="ALICE"), IDClaims(sub="alice"), False, id="a subject is compared to the letter"),
        pytest.param(SUBJECT, None, False, id="nobody knows who it was"),
        pytest.param(EMAIL, verified("alice@example.com"), True, id="the address"),
        pytest.param(EMAIL, verified("Alice@Example.COM"), True, id="the address in capitals"),
        pytest.param(EMAIL, claims(email="alice@example.com"), False, id="an address that is not verified"),
        pytest.param(
            EMAIL, claims(email="alice@example.com", email_verified=False), False, id="an address that is said not to be verified"
        ),
        pytest.param(EMAIL, verified("bob@example.com"), False, id="another address"),
        pytest.param(EMAIL, claims(), False, id="no address"),
        pytest.param(
            ExpectedAccount(email="kate@example.com"), verified("\u212aate@example.com"), False, id="a letter that lowers to ASCII"
        ),
        pytest.param(DOMAIN, verified("bob@example.com"), True, id="the domain of the address"),
        pytest.param(DOMAIN, verified("bob@EXAMPLE.com"), True, id="the domain in capitals"),
        pytest.param(DOMAIN, verified("bob@evil.example.com"), False, id="a domain below it"),
        pytest.param(DOMAIN, verified("bob@notexample.com"), False, id="a domain that ends alike"),
        pytest.param(DOMAIN, claims(email="bob@example.com"), False, id="the domain of an address that is not verified"),
        pytest.param(DOMAIN, claims(hd="example.com"), True, id="the organization that the provider names"),
        pytest.param(DOMAIN, claims(hd="example.org"), False, id="another organization"),
        pytest.param(DOMAIN, verified("bob@gmail.test", hd="example.com"), True, id="the organization, with an address elsewhere"),
        pytest.param(
            ExpectedAccount(subject="248289761001", email="alice@example.com"),
            verified("bob@example.com"),
            False,
            id="one of two does not fit",
        ),
    ],
)
def test_the_account_is_the_one_that_was_expected(expected: ExpectedAccount | None, told: IDClaims | None, fits: bool) -> None:
    assert is_expected(told, expected) is fits


@pytest.mark.parametrize(
    ("expected", "told", "enough"),
    [
        pytest.param(None, None, True, id="nothing is expected"),
        pytest.param(SUBJECT, claims(), True, id="a subject is always told"),
        pytest.param(SUBJECT, None, False, id="no ID token"),
        pytest.param(EMAIL, claims(), False, id="no address"),
        pytest.param(EMAIL, claims(email="alice@example.com"), False, id="an address that may be verified elsewhere"),
        pytest.param(EMAIL, verified("bob@example.com"), True, id="another address that is verified"),
        pytest.param(DOMAIN, claims(), False, id="no domain"),
        pytest.param(DOMAIN, claims(hd="example.com"), True, id="the organization"),
        pytest.param(DOMAIN, claims(hd="example.org"), False, id="another organization: the address may still fit"),
    ],
)
def test_an_id_token_is_enough_to_judge_by(expected: ExpectedAccount | None, told: IDClaims | None, enough: bool) -> None:
    assert is_enough(told, expected) is enough


@pytest.mark.parametrize(
    ("told", "scopes", "more"),
    [
        pytest.param(None, ("openid",), True, id="an OpenID server that sent no ID token"),
        pytest.param(None, ("repo",), False, id="not asked in the OpenID way"),
        pytest.param(claims(), ("openid",), False, id="nothing but the subject was asked for"),
        pytest.param(claims(), ("openid", "email"), True, id="the address is left to userinfo"),
        pytest.param(claims(email="a@b"), ("openid", "email"), False, id="the address is there"),
        pytest.param(claims(), ("openid", "profile"), True, id="the name is left to userinfo"),
        pytest.param(claims(name="A"), ("openid", "profile"), False, id="the name is there"),
    ],
)
def test_userinfo_promises_more(told: IDClaims | None, scopes: tuple[str, ...], more: bool) -> None:
    assert promises_more(told, scopes) is more


@pytest.mark.parametrize(
    ("told", "besides", "whole"),
    [
        pytest.param(claims(), verified("a@b", name="A"), verified("a@b", name="A"), id="what was missing"),
        pytest.param(claims(name="A"), claims(name="B"), claims(name="A"), id="the signed one counts"),
        pytest.param(claims(email="a@b"), verified("c@d"), verified("c@d"), id="a verified address before another"),
        pytest.param(verified("a@b"), claims(email="c@d"), verified("a@b"), id="verified where it was signed"),
        pytest.param(claims(email="a@b"), claims(email="c@d"), claims(email="a@b"), id="neither is verified"),
        pytest.param(claims(email="a@b"), claims(email_verified=True), claims(email="a@b"), id="verified without an address is none"),
    ],
)
def test_userinfo_completes_an_id_token(told: IDClaims, besides: IDClaims, whole: IDClaims) -> None:
    assert complete(told, besides) == whole


LONG = "x" * 300


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param({"preferred_username": "alice", "name": "Alice Ä. 愛"}, {"username": "alice", "name": "Alice Ä. 愛"}, id="names"),
        pytest.param(
            {"login": "alice", "avatar_url": "https://x.test/a"}, {"username": "alice", "picture": "https://x.test/a"}, id="as GitHub says"
        ),
        pytest.param({"name": LONG, "preferred_username": LONG}, {"name": "x" * 255, "username": "x" * 255}, id="long names are cut"),
        pytest.param(
            {"name": " Alice\n\u202e\x00Example\ud800 "}, {"name": "AliceExample"}, id="what shows nothing, or turns the line, goes"
        ),
        pytest.param({"name": "\n", "preferred_username": ""}, {}, id="nothing is left"),
        pytest.param({"name": 7, "picture": ["x"], "email": {"a": 1}, "hd": True}, {}, id="no texts"),
        pytest.param({"email": "a@b.c", "email_verified": True}, {"email": "a@b.c", "email_verified": True}, id="verified"),
        pytest.param({"email": "a@b.c", "email_verified": "true"}, {"email": "a@b.c", "email_verified": True}, id="verified, in a word"),
        pytest.param({"email": "a@b.c", "email_verified": 1}, {"email": "a@b.c", "email_verified": True}, id="verified, in a number"),
        pytest.param({"email": "a@b.c", "email_verified": "yes"}, {"email": "a@b.c"}, id="verified, in another word"),
        pytest.param({"email": f"{LONG}@b.c"}, {}, id="an address that is too long is left out, not cut"),
        pytest.param({"email": "a b@c"}, {}, id="an address with a space"),
        pytest.param({"email": "a@b@c"}, {}, id="an address of two domains"),
        pytest.param({"picture": "http://x.test/a"}, {}, id="a picture over http"),
        pytest.param({"picture": "javascript:alert(1)"}, {}, id="a picture that is a script"),
        pytest.param({"picture": "https://x.test/" + "a" * 2048}, {}, id="a picture of a long address"),
        pytest.param({"hd": "example.com"}, {"hd": "example.com"}, id="an organization"),
    ],
)
def test_claims_are_kept_in_bounds(said: dict[str, object], kept: dict[str, object]) -> None:
    assert describe(said, issuer="i", subject="s").model_dump(exclude_none=True) == {"iss": "i", "sub": "s", **kept}


MEMBERS = ("preferred_username", "login", "name", "email", "email_verified", "hd", "picture", "avatar_url")


@given(
    st.dictionaries(st.sampled_from(MEMBERS), st.text() | st.none() | st.integers() | st.booleans() | st.from_regex(r".+@.+|https://.+"))
)
def test_whatever_is_claimed_fits_into_status(said: dict[str, object]) -> None:
    shown = show(describe(said, issuer="i", subject="s"))
    assert shown is not None
    account = schema_of("UserGrant")["properties"]["status"]["properties"]["account"]
    written = TypeAdapter(Account)
    written.dump_json(shown)
    assert list(complaints(account, written.dump_python(shown, by_alias=True, exclude_none=True))) == []


def test_the_longest_claims_fit_beside_the_longest_tokens() -> None:
    said = {
        "preferred_username": "\U0001f600" * 255,
        "name": "\U0001f600" * 255,
        "email": "\U0001f600" * 252 + "@b",
        "email_verified": True,
        "hd": "h" * 253,
        "picture": "https://" + "p" * 2040,
    }
    claims = describe(said, issuer="https://" + "i" * 2040, subject='"' * 255)
    assert claims.picture is not None
    assert claims.hd is not None
    assert claims.email is not None
    now = datetime(2026, 11, 21, tzinfo=UTC)
    tokens = TokenSet(
        access_token=SecretStr("a" * (40 * 1024 - 6)), token_type="Bearer", obtained_at=now, expires_at=now, id_claims=claims, scope=""
    )
    assert len(write_payload(tokens)) <= 48 * 1024


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status=status, content_type="application/json", retry_after=None, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "issuer", "subject"),
    [
        pytest.param({"sub": "alice"}, "https://as.test", "alice", id="sub"),
        pytest.param({"sub": "alice"}, None, "alice", id="sub, of a server without issuer"),
        pytest.param({"id": 583231}, None, "583231", id="a number for an id"),
        pytest.param({"id": "u-1"}, None, "u-1", id="an id"),
        pytest.param({"id": "u-1"}, "https://as.test", None, id="an id is no sub"),
        pytest.param({"id": True}, None, None, id="true for an id"),
        pytest.param({}, None, None, id="nobody"),
        pytest.param({"sub": ""}, None, None, id="an empty sub"),
        pytest.param({"sub": "a\nb"}, None, None, id="a sub of two lines"),
        pytest.param(["sub"], None, None, id="no object"),
    ],
)
def test_userinfo_names_the_account(body: object, issuer: str | None, subject: str | None) -> None:
    told = read_userinfo(answer(body), issuer=issuer)
    assert (told.sub if told else None) == subject


@pytest.mark.parametrize("status", [401, 403, 302, 500])
def test_userinfo_that_is_refused_says_nothing(status: int) -> None:
    assert read_userinfo(answer({"sub": "alice"}, status), issuer=None) is None


def test_what_is_expected_is_said_in_words() -> None:
    expected = ExpectedAccount(subject="1", email="alice@example.com", domain="example.com")
    assert put_in_words(expected) == "subject 1, email alice@example.com, domain example.com"
    assert put_in_words(None) == ""
