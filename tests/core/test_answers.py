from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from grantkeeper.core.answers import (
    REASONS,
    Dead,
    Granted,
    Lost,
    Outcome,
    Rejected,
    Revoked,
    Transient,
    read_revocation_answer,
    read_token_answer,
)
from grantkeeper.core.messages import Answer
from grantkeeper.core.outcomes import name_error
from grantkeeper.core.tokens import TokenSet

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
OF_CLIENT = partial(Rejected, is_of_client=True)
GOOD = {"access_token": "at-1", "token_type": "Bearer"}
HELD = TokenSet(access_token=SecretStr("at-0"), refresh_token=SecretStr("rt-0"), token_type="bearer", obtained_at=NOW - timedelta(hours=1))


def answer(
    body: object, *, status: int = 200, content_type: str = "application/json", retry_after: str | None = None, date: str | None = None
) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, content_type=content_type, retry_after=retry_after, body=raw, date=date)


def read(given: Answer, *, previous: TokenSet | None = None) -> Outcome:
    outcome = read_token_answer(given, now=NOW, asked=("read",), previous=previous)
    assert outcome.reason in REASONS
    return outcome


def error(code: object, **more: object) -> dict[str, object]:
    return {"error": code, "error_description": "SELECT canary FROM users", **more}


HTML = b"<!DOCTYPE html><html><body>Log in&access_token=x</body></html>"


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        # b: the grant is dead, whatever the status
        pytest.param(answer(error("invalid_grant"), status=400), Dead("invalid_grant"), id="refused, as RFC 6749 has it"),
        pytest.param(answer(error("invalid_grant"), status=401), Dead("invalid_grant"), id="refused with 401"),
        pytest.param(answer(error("invalid_grant"), status=403), Dead("invalid_grant"), id="refused with 403: Auth0, Atlassian"),
        pytest.param(answer(error("invalid_grant"), status=200), Dead("invalid_grant"), id="refused with 200"),
        pytest.param(answer(error("invalid_grant"), status=500), Dead("invalid_grant"), id="refused with 500"),
        pytest.param(answer(error(" Invalid_Grant ")), Dead("invalid_grant"), id="refused in capitals"),
        pytest.param(answer(error("bad_refresh_token")), Dead("bad_refresh_token"), id="GitHub: 200, a refresh token that is spent"),
        pytest.param(answer(error("bad_verification_code")), Dead("bad_verification_code"), id="GitHub: 200, a code that is spent"),
        pytest.param(
            answer(b"error=bad_verification_code&error_description=x", content_type="application/x-www-form-urlencoded"),
            Dead("bad_verification_code"),
            id="GitHub: the same as a form",
        ),
        pytest.param(answer({"ok": False, "error": "token_revoked"}), Dead("token_revoked"), id="Slack: ok is false, revoked"),
        pytest.param(
            answer({"ok": False, "error": "invalid_refresh_token"}), Dead("invalid_refresh_token"), id="Slack: ok is false, spent"
        ),
        pytest.param(
            answer(error("interaction_required", error_codes=[50076]), status=400),
            Dead("interaction_required"),
            id="Microsoft: the person is needed",
        ),
        # c: client or server is misconfigured, nothing was spent
        pytest.param(answer(error("invalid_client"), status=401), OF_CLIENT("invalid_client"), id="wrong client secret"),
        pytest.param(
            answer(error("unauthorized_client"), status=401), OF_CLIENT("unauthorized_client"), id="Keycloak: wrong client secret"
        ),
        pytest.param(
            answer(error("unauthorized_client"), status=400), Rejected("unauthorized_client"), id="may not do this, perhaps for one"
        ),
        pytest.param(
            answer(error("incorrect_client_credentials")), OF_CLIENT("incorrect_client_credentials"), id="GitHub: 200, wrong client secret"
        ),
        pytest.param(answer({"ok": False, "error": "invalid_client_id"}), OF_CLIENT("invalid_client_id"), id="Slack: no such client"),
        pytest.param(answer(error("redirect_uri_mismatch")), Rejected("redirect_uri_mismatch"), id="GitHub: 200, wrong redirect URI"),
        pytest.param(answer(error("invalid_scope"), status=400), Rejected("invalid_scope"), id="a scope that may not be had"),
        pytest.param(answer(error("use_dpop_nonce"), status=400), Rejected("use_dpop_nonce"), id="DPoP is wanted"),
        pytest.param(answer(error("sql_error: canary"), status=400), Rejected("other"), id="an error that nobody knows is not repeated"),
        pytest.param(answer({"ok": False}), Rejected("other"), id="Slack: ok is false, and no word why"),
        pytest.param(
            answer(error({"type": "OAuthException", "code": 190}), status=400), Rejected("other"), id="Facebook: an object for an error"
        ),
        pytest.param(answer({**GOOD, **error("invalid_client")}), OF_CLIENT("invalid_client"), id="an error beside a token wins"),
        # d: later, and surely nothing spent
        pytest.param(
            answer(error("temporarily_unavailable"), status=503), Transient("temporarily_unavailable"), id="says that it is temporary"
        ),
        pytest.param(answer(error("slow_down"), status=400), Transient("slow_down"), id="asks for patience"),
        pytest.param(answer({"ok": False, "error": "ratelimited"}), Transient("ratelimited"), id="Slack: rate-limited"),
        pytest.param(answer(b"", status=429), Transient("too_many_requests"), id="429 and nothing"),
        pytest.param(answer(HTML, status=429, content_type="text/html"), Transient("too_many_requests"), id="429 and a page"),
        pytest.param(
            answer(error("access_denied"), status=429), Transient("too_many_requests"), id="429 and an error that says something else"
        ),
        pytest.param(answer(error("invalid_grant"), status=429), Dead("invalid_grant"), id="429, and refused all the same"),
        # e: nobody knows
        pytest.param(
            answer(b"", status=503, retry_after="120"),
            Lost("server_error", server_failed=True, retry_after=timedelta(minutes=2)),
            id="503 that asks to be left alone",
        ),
        pytest.param(
            answer(error("server_error"), status=400, retry_after="90000"),
            Lost("server_error", server_failed=True, retry_after=timedelta(hours=1)),
            id="and for too long",
        ),
        pytest.param(answer(b"", status=502), Lost("server_error", server_failed=True), id="502 of a load balancer"),
        pytest.param(answer(HTML, status=503, content_type="text/html"), Lost("server_error", server_failed=True), id="503 and a page"),
        pytest.param(answer(error("weird"), status=500), Lost("server_error", server_failed=True), id="500 and an unknown error"),
        pytest.param(answer(error("server_error"), status=400), Lost("server_error", server_failed=True), id="400 and server_error"),
        pytest.param(answer(error("fatal_error")), Lost("fatal_error", server_failed=True), id="Slack: failed on the way"),
        pytest.param(answer(GOOD, status=500), Lost("server_error", server_failed=True), id="500 and a token"),
        pytest.param(answer(b"", status=302), Lost("redirected", server_failed=True), id="302 to a login page"),
        pytest.param(answer(HTML, status=302), Lost("redirected", server_failed=True), id="302 and a page"),
        pytest.param(answer(GOOD, status=307), Lost("redirected", server_failed=True), id="307 and a token"),
        pytest.param(answer(b"", status=401), Lost("unreadable", server_failed=True), id="401 and nothing"),
        pytest.param(answer(HTML, status=403), Lost("unreadable", server_failed=True), id="403 and a page of a firewall"),
        pytest.param(
            answer(HTML, status=404, retry_after="30"),
            Lost("unreadable", server_failed=True, retry_after=timedelta(seconds=30)),
            id="404 of a gateway that asks to be left alone",
        ),
        pytest.param(answer(GOOD, status=400), Lost("unreadable", server_failed=True), id="400 and a token"),
        pytest.param(answer(HTML, content_type="text/html"), Lost("unreadable"), id="200 and a page"),
        pytest.param(answer(b"", status=204), Lost("unreadable"), id="204"),
        pytest.param(answer(b'{"access_token":"at-1","token_'), Lost("unreadable"), id="cut off"),
        pytest.param(answer([GOOD]), Lost("unreadable"), id="a list"),
        pytest.param(answer(b'"at-1"'), Lost("unreadable"), id="a string"),
        pytest.param(answer(b'{"a":' * 30_000), Lost("unreadable"), id="nested 30,000 deep, and cut off"),
        pytest.param(answer(b"[" * 30_000 + b"]" * 30_000), Lost("unreadable"), id="nested 30,000 deep"),
        pytest.param(answer(b"a=b&" * 100), Lost("unreadable"), id="a form of a hundred fields"),
        pytest.param(
            answer(b'{"access_token":"at-1","access_token":"at-2","token_type":"bearer"}'), Lost("unreadable"), id="two access tokens"
        ),
        pytest.param(answer(b"access_token=a&access_token=b&token_type=bearer"), Lost("unreadable"), id="two access tokens in a form"),
        pytest.param(answer({}), Lost("no_access_token"), id="an empty object"),
        pytest.param(answer({"ok": True, "authed_user": GOOD}), Lost("no_access_token"), id="Slack: the token lies deeper"),
        pytest.param(answer({**GOOD, "access_token": ""}), Lost("no_access_token"), id="an empty access token"),
        pytest.param(answer({**GOOD, "access_token": None}), Lost("no_access_token"), id="null for an access token"),
        pytest.param(answer({**GOOD, "access_token": 7}), Lost("malformed_token"), id="a number for an access token"),
        pytest.param(answer({**GOOD, "access_token": ["at-1"]}), Lost("malformed_token"), id="a list for an access token"),
        pytest.param(answer({**GOOD, "access_token": "at\r\nX: y"}), Lost("malformed_token"), id="a token that would end a header line"),
        pytest.param(answer({**GOOD, "access_token": "at\x00"}), Lost("malformed_token"), id="a token with NUL"),
        pytest.param(answer({**GOOD, "access_token": "at-é"}), Lost("malformed_token"), id="a token that is not ASCII"),
        pytest.param(answer({**GOOD, "refresh_token": "rt\n"}), Lost("malformed_token"), id="a refresh token of two lines"),
        pytest.param(answer({**GOOD, "refresh_token": True}), Lost("malformed_token"), id="true for a refresh token"),
        pytest.param(answer({**GOOD, "token_type": "DPoP"}), Lost("unknown_token_type"), id="a token type that is not ours to use"),
        pytest.param(answer({**GOOD, "token_type": "mac"}), Lost("unknown_token_type"), id="a token type that nobody uses"),
        pytest.param(answer({**GOOD, "token_type": ["bearer"]}), Lost("unknown_token_type"), id="a list for a token type"),
        pytest.param(answer({**GOOD, "access_token": "a" * 45_000}), Lost("too_large"), id="a token that fits into no sealed set"),
    ],
)
def test_what_an_answer_means(given: Answer, outcome: Outcome) -> None:
    assert read(given) == outcome
    assert read(given, previous=HELD) == outcome
    assert "canary" not in repr(read(given))


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        pytest.param(answer({"refresh_token": "rt-1"}), True, id="and nothing else"),
        pytest.param(answer({**GOOD, "refresh_token": "rt-1", "token_type": "DPoP"}), True, id="and a token type that is not ours"),
        pytest.param(answer({**GOOD, "refresh_token": "rt-1"}, status=500), True, id="and 500"),
        pytest.param(answer({**GOOD, "refresh_token": "rt-1", **error("server_error")}), False, id="beside an error"),
    ],
)
def test_another_refresh_token_is_found_where_nothing_else_is_of_use(given: Answer, is_kept: bool) -> None:
    outcome = read(given, previous=HELD)
    assert isinstance(outcome, Lost)
    assert (outcome.successor is not None) is is_kept
    assert "rt-1" not in repr(outcome)
    assert read(given) == replace(outcome, successor=None), "a first answer has nothing to keep it with"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(answer(GOOD), id="JSON"),
        pytest.param(answer(GOOD, status=201), id="201"),
        pytest.param(answer(GOOD, content_type="application/json;charset=ISO-8859-1"), id="a charset"),
        pytest.param(answer(GOOD, content_type="text/html"), id="the wrong content type"),
        pytest.param(answer(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()), id="a byte order mark"),
        pytest.param(answer(json.dumps(GOOD).encode("utf-16")), id="UTF-16"),
        pytest.param(answer(b" \r\n" + json.dumps(GOOD).encode() + b"\n"), id="white space around it"),
        pytest.param(answer(b'{"access_token":"at-1","token_type":"bearer","name":"Ren\xe9"}'), id="Latin-1 in something else"),
        pytest.param(answer(b'{"access_token":"at-1","token_type":"bearer","x":NaN,"y":1e999,"z":-Infinity}'), id="numbers that are none"),
        pytest.param(answer(b'{"access_token":"at-1","token_type":"bearer","x":' + b"9" * 10_000 + b"}"), id="a number of 10,000 digits"),
        pytest.param(answer(b'{"access_token":"at-1","access_token":"at-1","token_type":"bearer"}'), id="the same token twice"),
        pytest.param(
            answer(b"access_token=at-1&scope=&token_type=bearer", content_type="application/x-www-form-urlencoded; charset=utf-8"),
            id="a form",
        ),
        pytest.param(answer(b"access_token=at-1&token_type=bearer\n", content_type="text/plain"), id="a form that calls itself text"),
        pytest.param(answer({**GOOD, "error": None}), id="null for an error"),
        pytest.param(answer({**GOOD, "error": "", "ok": True}), id="an empty error, and ok"),
        pytest.param(answer({**GOOD, "unknown": {"deep": [1, 2]}}), id="members that nobody knows"),
    ],
)
def test_tokens_are_found(given: Answer) -> None:
    outcome = read(given)
    assert isinstance(outcome, Granted), outcome
    assert outcome.tokens.access_token == SecretStr("at-1")


@pytest.mark.parametrize(
    ("stated", "logged"),
    [
        pytest.param(error("invalid_scope"), "invalid_scope", id="a word of ours"),
        pytest.param(error("organization_suspended"), "organization_suspended", id="a word of theirs"),
        pytest.param(error("TOKEN_GONE"), "token_gone", id="in capitals"),
        pytest.param(error("sql_error: canary"), "not shown: 17 characters that are no plain word", id="a sentence"),
        pytest.param(error("8xLOxBtZp8"), "not shown: 10 characters that are no plain word", id="what could be a token"),
        pytest.param(error("tGzvJOkFXGQxTlKWIA"), "not shown: 18 characters that are no plain word", id="letters that could be one"),
        pytest.param(error("a" * 25), "not shown: 25 characters that are no plain word", id="too long for a word"),
        pytest.param(error("evil\nline"), "not shown: 9 characters that are no plain word", id="two lines"),
        pytest.param(error({"code": 190}), "not shown: no word, but a structure", id="an object"),
        pytest.param({"ok": False}, "no word", id="none"),
    ],
)
def test_what_the_log_says_of_a_rejection(stated: dict[str, object], logged: str) -> None:
    outcome = read(answer(stated, status=400))
    assert isinstance(outcome, Rejected)
    assert name_error(outcome) == logged


def test_what_a_preset_calls_a_refusal_is_one() -> None:
    given = answer(error("Account_Closed"), status=403)
    assert read(given) == Rejected("other")
    assert read_token_answer(given, now=NOW, asked=(), refusals=("account_closed",)) == Dead("account_closed")


def test_what_the_connector_says_reaches_the_tokens() -> None:
    given = answer({**GOOD, "scope": "a,b"})
    outcome = read_token_answer(given, now=NOW, asked=("a,b",), separator=",", assumed_lifetime=timedelta(hours=1))
    assert isinstance(outcome, Granted)
    assert (outcome.tokens.scopes, outcome.tokens.expires_at) == (("a", "b"), NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("retry_after", "date", "wait"),
    [
        pytest.param("30", None, 30, id="seconds"),
        pytest.param("0", None, 0, id="at once"),
        pytest.param("999999999", None, 3600, id="an hour at most"),
        pytest.param("Sat, 21 Nov 2026 06:31:00 GMT", None, 60, id="a date"),
        pytest.param("Sat, 21 Nov 2026 09:31:00 GMT", "Sat, 21 Nov 2026 09:30:00 GMT", 60, id="a date, by the server's own clock"),
        pytest.param("Sat, 21 Nov 2026 06:31:00 GMT", "yesterday", 60, id="a date, and a clock that cannot be read"),
        pytest.param("Fri, 20 Nov 2026 06:31:00 GMT", None, 0, id="a date that is past"),
        pytest.param("Sat, 21 Nov 2026 06:31:00 -0000", None, 60, id="a date without a zone"),
        pytest.param("Sat, 21 Nov 99999 06:31:00 GMT", None, None, id="a year that is none"),
        pytest.param("-5", None, None, id="negative"),
        pytest.param("soon", None, None, id="a word"),
        pytest.param("", None, None, id="empty"),
        pytest.param(None, None, None, id="nothing"),
    ],
)
def test_how_long_to_wait(retry_after: str | None, date: str | None, wait: int | None) -> None:
    outcome = read(answer(b"", status=429, retry_after=retry_after, date=date))
    assert outcome == Transient("too_many_requests", None if wait is None else timedelta(seconds=wait))


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        pytest.param(answer(b""), Revoked(), id="200 and nothing, as RFC 7009 has it"),
        pytest.param(answer(b"", status=204), Revoked(), id="204"),
        pytest.param(answer(HTML), Revoked(), id="200 and a page"),
        pytest.param(answer(error("invalid_token")), Revoked(), id="Keycloak: 200 and an error for a token that it does not know"),
        pytest.param(answer(error("invalid_grant"), status=400), Revoked(), id="dead already"),
        pytest.param(answer({"ok": False, "error": "token_revoked"}), Revoked(), id="Slack: gone already"),
        pytest.param(answer(error("unsupported_token_type"), status=400), Rejected("unsupported_token_type"), id="cannot be revoked"),
        pytest.param(answer(error("invalid_client"), status=401), OF_CLIENT("invalid_client"), id="wrong client secret"),
        pytest.param(answer(b"", status=503), Lost("server_error", server_failed=True), id="503"),
        pytest.param(answer(b"", status=429, retry_after="5"), Transient("too_many_requests", timedelta(seconds=5)), id="429"),
        pytest.param(answer(b"", status=302), Lost("redirected", server_failed=True), id="302"),
        pytest.param(answer(b"", status=404), Lost("unreadable", server_failed=True), id="404"),
    ],
)
def test_what_the_answer_to_a_revocation_means(given: Answer, outcome: object) -> None:
    assert read_revocation_answer(given, now=NOW) == outcome


MEMBERS = st.sampled_from(
    ["access_token", "refresh_token", "id_token", "token_type", "scope", "expires_in", "refresh_expires_in", "error", "ok"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["at", "bearer", "invalid_grant", "3600"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BODIES = st.one_of(
    st.binary(),
    st.dictionaries(MEMBERS, VALUES).map(lambda members: json.dumps(members).encode()),
    st.dictionaries(MEMBERS, VALUES).map(lambda members: json.dumps({**GOOD, **members}).encode()),
    st.dictionaries(MEMBERS, st.text()).map(lambda members: "&".join(f"{name}={value}" for name, value in members.items()).encode()),
)


@given(BODIES, st.integers(100, 599), st.none() | st.text(), st.none() | st.text(), st.none() | st.just(HELD))
def test_no_answer_makes_reading_fail(
    body: bytes, status: int, retry_after: str | None, date: str | None, previous: TokenSet | None
) -> None:
    given = answer(body, status=status, retry_after=retry_after, date=date)
    outcome = read(given, previous=previous)
    if isinstance(outcome, Granted):
        assert outcome.tokens.access_token.get_secret_value().isascii()
        assert outcome.tokens.refresh_token is not None or previous is None
    read_revocation_answer(given, now=NOW)
