from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from grantkeeper.core.granting import find_successor, read_lifetime, read_tokens
from grantkeeper.core.outcomes import Granted
from grantkeeper.core.tokens import IDClaims, TokenSet

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD = {"access_token": "at-1", "token_type": "Bearer"}
HELD = TokenSet.model_validate(
    {
        "access_token": "at-0",
        "refresh_token": "rt-0",
        "token_type": "bearer",
        "scope": "read write",
        "obtained_at": NOW - HOUR,
        "expires_at": NOW,
        "refresh_expires_at": NOW + 9 * HOUR,
        "id_claims": {"iss": "https://as.test", "sub": "alice"},
        "rotates": True,
    }
)


def grant(
    members: Mapping[str, object],
    *,
    previous: TokenSet | None = None,
    assumed: timedelta | None = None,
    asked: tuple[str, ...] = ("read",),
    separator: str = " ",
) -> Granted:
    outcome = read_tokens(members, now=NOW, asked=asked, previous=previous, assumed_lifetime=assumed, separator=separator)
    assert isinstance(outcome, Granted), outcome
    return outcome


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        *((word, word) for word in ("Bearer", "bearer", "BEARER", "bot", "user")),
        pytest.param(None, "Bearer", id="Shopify: none"),
        pytest.param("", "Bearer", id="empty"),
    ],
)
def test_a_bearer_token_keeps_the_name_of_its_type(stated: str | None, kept: str) -> None:
    assert grant({**GOOD, "token_type": stated}).tokens.token_type == kept


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (3600, 3600),
        (59, 59),
        (1, 1),
        (3600.0, 3600),
        (3600.5, 3600),
        ("3600", 3600),
        (" 3600 ", 3600),
        ("3600.0", 3600),
        (315_360_000, 315_360_000),
        (315_360_001, 315_360_000),
        (1e30, 315_360_000),
        (10**40, 315_360_000),
        ("9" * 5000, 315_360_000),
        (0, None),
        (-1, None),
        (0.5, None),
        ("0", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e3", None),
        ("NaN", None),
        ("inf", None),
        ("٣٦٠٠", None),
        ("0x10", None),
        (None, None),
        (True, None),
        (False, None),
        ([3600], None),
        ({"s": 1}, None),
    ],
)
def test_lifetimes_as_servers_write_them(stated: object, expected: int | None) -> None:
    assert read_lifetime(stated) == (timedelta(seconds=expected) if expected else None)
    for name in ("expires_in", "refresh_expires_in"):
        tokens = grant({**GOOD, name: stated}).tokens
        expiry = tokens.expires_at if name == "expires_in" else tokens.refresh_expires_at
        assert expiry == (NOW + timedelta(seconds=expected) if expected else None)


@pytest.mark.parametrize(
    ("body", "assumed", "expires_at"),
    [
        pytest.param({"expires_in": 60}, HOUR, NOW + timedelta(minutes=1), id="what the server says holds"),
        pytest.param({}, HOUR, NOW + HOUR, id="what it leaves out is assumed"),
        pytest.param({"expires_in": "soon"}, HOUR, NOW + HOUR, id="what cannot be read is assumed"),
        pytest.param({"expires_in": 0}, HOUR, NOW + HOUR, id="0 is not: expired already"),
        pytest.param({}, None, None, id="without an assumption it never expires"),
    ],
)
def test_when_an_access_token_expires(body: dict[str, object], assumed: timedelta | None, expires_at: datetime | None) -> None:
    assert grant({**GOOD, **body}, assumed=assumed).tokens.expires_at == expires_at
    assert grant({**GOOD, **body}, assumed=assumed, previous=HELD).tokens.expires_at == expires_at


@pytest.mark.parametrize("name", ["refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"])
@pytest.mark.parametrize(
    ("stated", "expected"),
    [(3600, NOW + HOUR), ("3600", NOW + HOUR), (0, None), (None, None)],
    ids=["said", "a string", "0: not expired", "null"],
)
def test_when_a_refresh_token_expires(name: str, stated: object, expected: datetime | None) -> None:
    assert grant({**GOOD, "refresh_token": "rt-1", name: stated}).tokens.refresh_expires_at == expected


@pytest.mark.parametrize(
    ("stated", "asked", "kept"),
    [
        pytest.param("read write", ("read",), "read write", id="wider than asked: what was granted counts"),
        pytest.param("read", ("read", "write"), "read", id="narrower than asked"),
        pytest.param(["read", "write"], ("read",), "read write", id="Twitch: a list"),
        pytest.param(["read", 7, None], ("read",), "read", id="a list of odd things"),
        pytest.param("read,write", ("read",), "read write", id="GitHub: commas, although asked with spaces"),
        pytest.param("read, write ,,x", ("read",), "read write x", id="commas and spaces"),
        pytest.param("a,b c", ("a,b",), "a,b c", id="a comma inside a scope that was asked for"),
        pytest.param("read read", ("read",), "read", id="twice the same"),
        pytest.param('read "quoted" bad\\slash \x07 é', ("read",), "read", id="what no scope can be is dropped"),
        pytest.param("x" * 257, ("read",), "read", id="longer than any scope"),
        pytest.param(None, ("read", "write"), "read write", id="none stated: what was asked"),
        pytest.param("", ("read",), "read", id="GitHub App: empty"),
        pytest.param(7, ("read",), "read", id="a number"),
        pytest.param(None, (), None, id="none stated and none asked"),
    ],
)
def test_scopes_as_servers_write_them(stated: object, asked: tuple[str, ...], kept: str | None) -> None:
    assert grant({**GOOD, "scope": stated}, asked=asked).tokens.scope == kept


def test_the_separator_of_the_connector_splits_scopes_that_hold_it() -> None:
    assert grant({**GOOD, "scope": "a,b"}, asked=("a,b",), separator=",").tokens.scopes == ("a", "b")


def test_a_refresh_brings_a_whole_new_set() -> None:
    body = {
        "access_token": "at-1",
        "refresh_token": "rt-1",
        "token_type": "Bearer",
        "expires_in": 60,
        "scope": "read",
        "refresh_expires_in": 120,
    }
    tokens = grant(body, previous=HELD).tokens
    assert tokens == TokenSet.model_validate(
        {
            "access_token": "at-1",
            "refresh_token": "rt-1",
            "token_type": "Bearer",
            "scope": "read",
            "obtained_at": NOW,
            "expires_at": NOW + timedelta(seconds=60),
            "refresh_expires_at": NOW + timedelta(seconds=120),
            "id_claims": IDClaims(iss="https://as.test", sub="alice"),
            "rotates": True,
            "turnover": {"changed": True},
        }
    )


@pytest.mark.parametrize(
    ("body", "refresh_token", "refresh_expires_at"),
    [
        pytest.param({}, "rt-0", HELD.refresh_expires_at, id="none: the old one stays, with its deadline"),
        pytest.param({"refresh_token": ""}, "rt-0", HELD.refresh_expires_at, id="empty: the same"),
        pytest.param({"refresh_token": None}, "rt-0", HELD.refresh_expires_at, id="null: the same"),
        pytest.param({"refresh_token": "rt-0"}, "rt-0", HELD.refresh_expires_at, id="the old one again, as most of its life"),
        pytest.param(
            {"refresh_token": "rt-0", "refresh_expires_in": 60}, "rt-0", NOW + timedelta(minutes=1), id="the old one, with a deadline"
        ),
        pytest.param({"refresh_token": "rt-1"}, "rt-1", None, id="a new one: the old deadline is not its own"),
        pytest.param({"refresh_token": "rt-1", "refresh_expires_in": 0}, "rt-1", None, id="Keycloak: a new one for ever"),
    ],
)
def test_the_refresh_token_after_a_refresh(body: dict[str, object], refresh_token: str, refresh_expires_at: datetime | None) -> None:
    tokens = grant({**GOOD, **body}, previous=HELD).tokens
    assert tokens.refresh_token == SecretStr(refresh_token)
    assert tokens.refresh_expires_at == refresh_expires_at


@pytest.mark.parametrize(
    "body", [{}, {"scope": "", "token_type": ""}, {"scope": None, "token_type": None}], ids=["absent", "empty", "null"]
)
def test_what_a_refresh_leaves_out_stays(body: dict[str, object]) -> None:
    tokens = grant({"access_token": "at-1", **body}, previous=HELD, asked=("something", "else")).tokens
    assert (tokens.scope, tokens.token_type, tokens.id_claims) == ("read write", "bearer", HELD.id_claims)


def test_a_set_remembers_what_was_asked_for_at_the_consent_through_every_refresh() -> None:
    first = grant({**GOOD, "scope": "read"}, asked=("read", "write")).tokens
    assert (first.asked, first.scopes) == (("read", "write"), ("read",))
    assert grant({**GOOD, "scope": "write"}, previous=first, asked=first.scopes).tokens.asked == ("read", "write")
    assert grant(GOOD, previous=HELD).tokens.asked is None


@pytest.mark.parametrize(
    ("stated", "kept"),
    [("a.b.c", SecretStr("a.b.c")), ("", None), (None, None), (7, None), ("a\nb", None)],
    ids=["a JWT", "empty", "null", "a number", "two lines"],
)
def test_an_id_token_is_handed_on_to_be_judged(stated: object, kept: SecretStr | None) -> None:
    assert grant({**GOOD, "id_token": stated}).id_token == kept


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"[0-9]{1,400}(\.[0-9]*)?"))
@example("3600\x1f")
def test_no_lifetime_is_out_of_bounds(stated: object) -> None:
    lifetime = read_lifetime(stated)
    assert lifetime is None or timedelta(seconds=1) <= lifetime <= timedelta(days=3650)


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        pytest.param("rt-1", "rt-1", id="another one"),
        pytest.param("rt-0", None, id="the one that was presented"),
        pytest.param(None, None, id="none"),
        pytest.param("rt-1\n", None, id="of two lines"),
        pytest.param(["rt-1"], None, id="a list"),
        pytest.param("r" * 45_000, None, id="one that fits into no sealed set"),
    ],
)
def test_a_refresh_token_in_an_answer_that_is_of_no_use_otherwise(stated: object, kept: str | None) -> None:
    found = find_successor({"refresh_token": stated, "refresh_expires_in": 60}, HELD, now=NOW)
    assert (found.refresh_token.get_secret_value() if found and found.refresh_token else None) == kept
    if found is not None:
        assert found.refresh_expires_at == NOW + timedelta(minutes=1)
        assert found.turnover.changed
        assert found.access_token == HELD.access_token
        assert (found.obtained_at, found.expires_at) == (HELD.obtained_at, HELD.expires_at)


def test_a_first_answer_that_is_of_no_use_leaves_nothing_to_keep() -> None:
    assert find_successor({"refresh_token": "rt-1"}, None, now=NOW) is None
