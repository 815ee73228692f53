"""Answers judged against the record of their request."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.choices import RequestState
from grantkeeper.core.answering import ConsentAnswer, Judgement, Junk, Redeem, Refuse, judge_answer, read_answer
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.reasons import Reason
from grantkeeper.core.requests import ConsentRequest, hash_id

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOME = "https://consent.example.com/callback/team/calendar"
SERVER = Endpoints(authorization="https://as/a", token="https://as/t", issuer="https://as", iss_parameter_supported=True)
QUIET = replace(SERVER, iss_parameter_supported=False)
CODE = SecretStr("the-code")
REQUEST = ConsentRequest(hash=hash_id(SecretStr("the-id")), nonce="n", scopes=("read",), expires_at=NOW + timedelta(days=7))
ANSWER = ConsentAnswer(
    secret_name="answer-1",
    secret_uid="u",
    namespace="team",
    grant="alice",
    connector="calendar",
    request=REQUEST.hash,
    redirect_uri=HOME,
    code=CODE,
    error=None,
    iss="https://as",
)


def answer(**changes: Any) -> ConsentAnswer:  # any field of an answer
    return replace(ANSWER, **changes)


@pytest.mark.parametrize(
    ("given", "request_", "endpoints", "expected"),
    [
        pytest.param(ANSWER, REQUEST, SERVER, Redeem(CODE), id="it fits"),
        pytest.param(answer(iss=None), REQUEST, QUIET, Redeem(CODE), id="no iss, and none was promised"),
        pytest.param(answer(iss=None), REQUEST, SERVER, Junk("it does not say which server it is from"), id="a promised iss is missing"),
        pytest.param(answer(iss="https://evil"), REQUEST, SERVER, Junk("it is from another server"), id="mixed up: another iss"),
        pytest.param(
            answer(iss="https://evil"), REQUEST, QUIET, Junk("it is from another server"), id="another iss, though none was promised"
        ),
        pytest.param(answer(iss="https://as/"), REQUEST, SERVER, Junk("it is from another server"), id="iss is compared as a string"),
        pytest.param(ANSWER, None, SERVER, Junk("no open request has this id"), id="an id that nobody gave out"),
        pytest.param(
            ANSWER, REQUEST.model_copy(update={"state": RequestState.GRANTED}), SERVER, Junk("no open request has this id"), id="replayed"
        ),
        pytest.param(
            ANSWER,
            REQUEST.model_copy(update={"state": RequestState.ANSWERED}),
            SERVER,
            Junk("no open request has this id"),
            id="half redeemed",
        ),
        pytest.param(ANSWER, REQUEST.model_copy(update={"expires_at": NOW}), SERVER, Junk("the request has expired"), id="too late"),
        pytest.param(answer(connector="mail"), REQUEST, SERVER, Junk("it came back for another connector"), id="another connector"),
        pytest.param(
            answer(redirect_uri=HOME + "x"), REQUEST, SERVER, Junk("it came back for another connector"), id="another redirect URI"
        ),
        pytest.param(answer(code=None, error="access_denied"), REQUEST, SERVER, Refuse(Reason.CONSENT_DENIED), id="denied"),
        pytest.param(answer(code=None, error="server_error"), REQUEST, SERVER, Refuse(Reason.EXCHANGE_FAILED), id="any other error"),
        pytest.param(
            answer(error="access_denied"), REQUEST, SERVER, Refuse(Reason.CONSENT_DENIED), id="an error and a code: the error counts"
        ),
        pytest.param(answer(code=None), REQUEST, SERVER, Junk("it holds neither a code nor an error"), id="nothing in it"),
        pytest.param(
            answer(code=None, error="access_denied", iss="x"), REQUEST, SERVER, Junk("it is from another server"), id="a forged denial"
        ),
    ],
)
def test_judge_answer(given: ConsentAnswer, request_: ConsentRequest | None, endpoints: Endpoints, expected: Judgement) -> None:
    judged = judge_answer(given, request_, connector="calendar", redirect_uri=HOME, endpoints=endpoints, now=NOW)
    assert judged == expected


def test_an_answer_is_read_by_the_hash_of_its_id() -> None:
    data = {"namespace": "team", "grant": "alice", "connector": "calendar", "id": "the-id", "redirectURI": HOME, "code": "c"}
    secret = {
        "type": "grantkeeper.dev/answer",
        "metadata": {"name": "answer-1", "uid": "u"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    read = read_answer(secret)
    assert (read.request, read.code, read.iss) == (REQUEST.hash, SecretStr("c"), None)
    assert "c'" not in repr(read.code)


def test_another_secret_is_no_answer() -> None:
    with pytest.raises(ValueError, match="not an answer"):
        read_answer({"type": "Opaque", "metadata": {"name": "answer-1", "uid": "u"}, "data": {}})
