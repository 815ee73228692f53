"""What an authorization server may send back, and the Secret that hands it to the controller."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from doors.house import CODE, ID, random_like
from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import ERRORS, Answer, Redirect, read_redirect, write_answer
from grantkeeper.consent.tickets import Ticket
from grantkeeper.core.answering import read_answer

STATE = random_like("a state")
ISSUER = "https://login.example.com"


def redirect(code: str | None = CODE, error: str | None = None, iss: str | None = None) -> Redirect:
    """A redirect with this state."""
    return Redirect(state=SecretStr(STATE), code=SecretStr(code) if code else None, error=error, iss=iss)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(f"code={CODE}&state={STATE}", redirect(), id="a code"),
        pytest.param(f"state={STATE}&iss={quote(ISSUER)}&code={CODE}", redirect(iss=ISSUER), id="a code and the issuer, in any order"),
        pytest.param(f"code=a%2Fb%20c%2B&state={STATE}", redirect("a/b c+"), id="an escaped code"),
        pytest.param(f"code=4/0Ab+cd&state={STATE}", redirect("4/0Ab cd"), id="a plus is a space"),
        pytest.param(f"code={CODE}&state={STATE}&session_state=x&scope=a+b&hd=", redirect(), id="parameters that nobody here knows"),
        pytest.param(f"code={CODE}&state={STATE}&error=", redirect(), id="an error without a value was left out"),
        pytest.param(f"error=access_denied&state={STATE}", redirect(None, "access_denied"), id="a refusal"),
        pytest.param(f"error=consent_required&state={STATE}", redirect(None, "consent_required"), id="an OpenID Connect refusal"),
        pytest.param(f"error=<script>&state={STATE}&error_description=x", redirect(None, "other"), id="an error that no standard names"),
        pytest.param(f"code={'c' * 3072}&state={STATE}", redirect("c" * 3072), id="a long code"),
    ],
)
def test_what_a_server_may_send(query: str, expected: Redirect) -> None:
    assert read_redirect(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="nothing"),
        pytest.param(f"code={CODE}", id="no state"),
        pytest.param(f"code={CODE}&state=", id="an empty state"),
        pytest.param(f"code={CODE}&state=short", id="a state that is none of ours"),
        pytest.param(f"state={STATE}", id="neither code nor error"),
        pytest.param(f"code=&state={STATE}", id="a code without a value"),
        pytest.param(f"code={CODE}&error=access_denied&state={STATE}", id="both code and error"),
        pytest.param(f"code={CODE}&code=other&state={STATE}", id="two codes"),
        pytest.param(f"code={CODE}&code={CODE}&state={STATE}", id="the same code twice"),
        pytest.param(f"code={CODE}&state={STATE}&state={STATE}", id="the state twice"),
        pytest.param(f"code={CODE}&state={STATE}&iss=a&iss=b", id="two issuers"),
        pytest.param(f"code={CODE}&state={STATE}&x=1&x=2", id="anything twice"),
        pytest.param(f"code={CODE}&c%6fde=x&state={STATE}", id="the code twice, in two spellings"),
        pytest.param(f"code={'c' * 3073}&state={STATE}", id="a code that is too long"),
        pytest.param(f"code={CODE}&state={STATE}&iss={'i' * 1025}", id="an issuer that is too long"),
        pytest.param(f"code={CODE}&state={STATE}&x={'x' * 12288}", id="a query that is too long"),
        pytest.param(f"code={CODE}&state={STATE}&" + "&".join(f"p{n}=1" for n in range(31)), id="too many parameters"),
        pytest.param(f"code=a%00b&state={STATE}", id="a zero byte"),
        pytest.param(f"code=a%0d%0ab&state={STATE}", id="a line end"),
        pytest.param(f"code=%C3%A9&state={STATE}", id="a letter beyond ASCII"),
        pytest.param(f"code=\xe9&state={STATE}", id="a raw byte beyond ASCII"),
        pytest.param(f"code=%ff&state={STATE}", id="no UTF-8"),
        pytest.param(f"code={CODE}&state={STATE}&iss=https://a%0a", id="a line end in the issuer"),
    ],
)
def test_what_no_server_may_send(query: str) -> None:
    assert read_redirect(query) is None


@given(st.text())
def test_whatever_comes_is_read_or_refused(query: str) -> None:
    found = read_redirect(query)
    assert found is None or (found.code is None) != (found.error is None)


def test_only_errors_of_the_standards_are_passed_on() -> None:
    for error in ERRORS:
        found = read_redirect(urlencode({"error": error, "state": STATE}))
        assert found is not None
        assert found.error == error
    assert len(ERRORS) == 16


ANSWER = Answer(
    ticket=Ticket(Link("team-a", "calendar-alice", SecretStr(ID)), SecretStr(STATE)),
    callback=Callback("team-a", "calendar"),
    redirect_uri="https://consent.example.com/callback/team-a/calendar",
    redirect=redirect(iss=ISSUER),
    time=datetime(2026, 11, 21, 6, 30, 15, tzinfo=UTC),
)


def test_the_answer_secret_in_full() -> None:
    secret = write_answer(ANSWER, 2, "grantkeeper")
    data = {key: base64.b64decode(value).decode() for key, value in secret.pop("data").items()}
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "grantkeeper.dev/answer",
        "metadata": {
            "name": f"answer-{hashlib.sha256(ID.encode()).hexdigest()}-2",
            "namespace": "grantkeeper",
            "labels": {"grantkeeper.dev/kind": "answer"},
        },
    }
    assert data == {
        "namespace": "team-a",
        "grant": "calendar-alice",
        "connector": "calendar",
        "id": ID,
        "redirectURI": "https://consent.example.com/callback/team-a/calendar",
        "time": "2026-11-21T06:30:15Z",
        "code": CODE,
        "iss": ISSUER,
    }


def test_a_refusal_holds_its_error_and_no_code() -> None:
    data = write_answer(replace(ANSWER, redirect=redirect(None, "access_denied")), 1, "grantkeeper")["data"]
    assert base64.b64decode(data["error"]) == b"access_denied"
    assert "code" not in data
    assert "iss" not in data


def test_the_controller_reads_what_was_written() -> None:
    secret = write_answer(ANSWER, 1, "grantkeeper")
    secret["metadata"]["uid"] = "1"
    read = read_answer(secret)
    assert (read.namespace, read.grant, read.connector) == ("team-a", "calendar-alice", "calendar")
    assert read.request == hashlib.sha256(ID.encode()).hexdigest()
    assert read.redirect_uri == ANSWER.redirect_uri
    assert read.code == SecretStr(CODE)
    assert (read.error, read.iss) == (None, ISSUER)


def test_the_largest_answer_stays_below_8_kib() -> None:
    name = ".".join(["n" * 63] * 3 + ["n" * 61])
    largest = Answer(
        ticket=Ticket(Link("n" * 63, name, SecretStr(ID)), SecretStr(STATE)),
        callback=Callback("n" * 63, name),
        redirect_uri=f"https://{'h' * 253}:65535/callback/{'n' * 63}/{name}",
        redirect=redirect("c" * 3072, iss="i" * 1024),
        time=ANSWER.time,
    )
    data = write_answer(largest, 3, "grantkeeper")["data"]
    assert sum(len(key) + len(value) for key, value in data.items()) < 8192


def test_an_answer_shows_neither_code_nor_state_nor_id() -> None:
    text = repr(ANSWER)
    assert not [secret for secret in (CODE, STATE, ID) if secret in text]
